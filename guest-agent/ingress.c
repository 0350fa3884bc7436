#include "ingress.h"

#include "loop.h"
#include "loopback.h"
#include "vsock.h"
#include "common/agent_protocol.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PIECE_SIZE = 32 << 10,
	PIECES_AT_ONCE = 8, /* of one direction, before others have their turn */
	CONNECT_LIMIT_US = 10 * 1000000,
};

struct direction {
	uint8_t *kept; /* what the other side did not take yet; NULL: nothing */
	size_t size, sent;
	bool has_ended; /* nothing more comes */
	bool is_shut;   /* and the other side has all and was told, or takes no more */
};

struct relay {
	struct relay *next;
	struct loop_source host, server;
	bool is_connected; /* to the server */
	struct direction in, out;
	struct loop_timer limit; /* of the time that connecting may take */
};

static struct loop_source listener = { .fd = -1 };
static struct relay *relays;
static unsigned n_relays;
static uint16_t server_port;

static void close_relay(struct relay *relay)
{
	struct relay **link = &relays;

	while (*link != relay)
		link = &(*link)->next;
	*link = relay->next;
	n_relays--;
	loop_timer_stop(&relay->limit);
	loop_close(&relay->host);
	loop_close(&relay->server);
	free(relay->in.kept);
	free(relay->out.kept);
	free(relay);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* How a step of a direction went. */
enum step { MOVED, NOTHING_TO_MOVE, SOURCE_BROKE, SINK_BROKE, NO_MEMORY };

static void drop_kept(struct direction *d)
{
	free(d->kept);
	d->kept = NULL;
}

/* The number of bytes that were sent, 0 if there is no room now, or negative if the connection broke. */
static ssize_t send_some(int fd, const uint8_t *data, size_t size)
{
	ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static enum step send_kept(struct direction *d, int to)
{
	ssize_t n = send_some(to, d->kept + d->sent, d->size - d->sent);

	if (n < 0)
		return SINK_BROKE;
	d->sent += (size_t)n;
	if (d->sent < d->size)
		return NOTHING_TO_MOVE;
	drop_kept(d);
	return MOVED;
}

static enum step keep(struct direction *d, const uint8_t *data, size_t size)
{
	d->kept = malloc(size);
	if (!d->kept)
		return NO_MEMORY;
	memcpy(d->kept, data, size);
	d->size = size;
	d->sent = 0;
	return MOVED;
}

static enum step pass_piece(struct direction *d, int from, int to)
{
	static uint8_t piece[PIECE_SIZE];
	ssize_t size = recv(from, piece, sizeof(piece), MSG_DONTWAIT), sent;

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? NOTHING_TO_MOVE : SOURCE_BROKE;
	d->has_ended = size == 0;
	sent = size ? send_some(to, piece, (size_t)size) : 0;
	if (sent < 0)
		return SINK_BROKE;
	return sent < size ? keep(d, piece + sent, (size_t)(size - sent)) : MOVED;
}

/* Moves what can be moved, and tells the sink of the end once it has all. */
static enum step pump(struct direction *d, int from, int to)
{
	enum step step = d->kept ? send_kept(d, to) : MOVED;

	for (int i = 0; i < PIECES_AT_ONCE && step == MOVED && !d->kept && !d->has_ended; i++)
		step = pass_piece(d, from, to);
	if (d->has_ended && !d->kept && !d->is_shut) {
		d->is_shut = true;
		shutdown(to, SHUT_WR);
	}
	return step;
}

/* A server that has seen enough answers and closes: what the host still sends is of no use, what was answered is. */
static void give_up_server(struct direction *in)
{
	drop_kept(in);
	in->has_ended = in->is_shut = true;
}

/* False if nothing is left to do. */
static bool pump_both(struct relay *relay)
{
	enum step in = pump(&relay->in, relay->host.fd, relay->server.fd), out;

	if (in == SOURCE_BROKE || in == NO_MEMORY)
		return false;
	if (in == SINK_BROKE)
		give_up_server(&relay->in);
	out = pump(&relay->out, relay->server.fd, relay->host.fd);
	if (out == SINK_BROKE || out == NO_MEMORY)
		return false;
	if (out == SOURCE_BROKE) {
		give_up_server(&relay->in);
		relay->out.has_ended = true;
		out = pump(&relay->out, relay->server.fd, relay->host.fd);
	}
	return out != SINK_BROKE && !(relay->in.is_shut && relay->out.is_shut);
}

static uint32_t wanted(const struct direction *from, const struct direction *to)
{
	return (!from->kept && !from->has_ended ? (uint32_t)EPOLLIN : 0) | (to->kept ? (uint32_t)EPOLLOUT : 0);
}

/* A source that waits for nothing is told of errors and hang-ups all the same: once, or it would be for ever. */
static void watch(struct loop_source *source, uint32_t events)
{
	loop_watch(source, events ? events : (uint32_t)EPOLLET);
}

static void go_on(struct relay *relay)
{
	if (!pump_both(relay)) {
		close_relay(relay);
		return;
	}
	watch(&relay->host, wanted(&relay->in, &relay->out));
	watch(&relay->server, wanted(&relay->out, &relay->in));
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* The first byte of a connection. It fits into the buffer of a fresh one, or something is wrong with it. */
static bool answer(int fd, int problem)
{
	const uint8_t byte = (uint8_t)problem;

	return send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

static void refuse(struct relay *relay, int problem)
{
	answer(relay->host.fd, problem);
	close_relay(relay);
}

static void on_server(struct loop_source *source, uint32_t events)
{
	struct relay *relay = (struct relay *)(void *)((char *)source - offsetof(struct relay, server));
	int problem;

	(void)events;
	if (relay->is_connected) {
		go_on(relay);
		return;
	}
	problem = loopback_problem(source);
	if (problem) {
		refuse(relay, problem);
		return;
	}
	relay->is_connected = true;
	loop_timer_stop(&relay->limit);
	if (answer(relay->host.fd, 0))
		go_on(relay);
	else
		close_relay(relay);
}

static void on_host(struct loop_source *source, uint32_t events)
{
	struct relay *relay = (struct relay *)(void *)((char *)source - offsetof(struct relay, host));

	/* A hang-up is the end of both directions. Where the server has ended its own, the other may still be read. */
	bool is_gone = (events & EPOLLERR) || ((events & EPOLLHUP) && !relay->out.is_shut);

	if (is_gone || !relay->is_connected)
		close_relay(relay);
	else
		go_on(relay);
}

static void on_limit(struct loop_timer *timer)
{
	refuse((struct relay *)(void *)((char *)timer - offsetof(struct relay, limit)), ETIMEDOUT);
}

static void connect_to_server(struct relay *relay)
{
	const int on = 1;
	int result = loopback_connect(&relay->server, server_port);

	if (result == 0 && setsockopt(relay->server.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		result = -errno;
	if (result < 0) {
		refuse(relay, -result);
		return;
	}
	loop_timer_start(&relay->limit, CONNECT_LIMIT_US);
	/* Nothing is read before there is somebody to read it, but the host may go away. */
	loop_watch(&relay->host, EPOLLET);
}

/* Why a new connection cannot be one to the container, or 0. */
static int objection(void)
{
	if (!server_port)
		return EHOSTDOWN;
	return n_relays >= AGENT_INGRESS_MAX ? EAGAIN : 0;
}

static void on_listener(struct loop_source *source, uint32_t events)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), problem = objection();
	struct relay *relay = fd < 0 || problem ? NULL : calloc(1, sizeof(*relay));

	(void)events;
	if (fd < 0)
		return;
	if (!relay) {
		answer(fd, problem ? problem : ENOMEM);
		close(fd);
		return;
	}
	relay->host = (struct loop_source) { .fd = fd, .on_events = on_host };
	relay->server = (struct loop_source) { .fd = -1, .on_events = on_server };
	relay->limit.on_expiry = on_limit;
	relay->next = relays;
	relays = relay;
	n_relays++;
	connect_to_server(relay);
}

int ingress_open(const char *unix_path)
{
	int result;

	listener.on_events = on_listener;
	listener.fd = vsock_listen(AGENT_INGRESS_PORT, unix_path);
	if (listener.fd < 0)
		return listener.fd;
	result = loop_watch(&listener, EPOLLIN);
	if (result < 0)
		loop_close(&listener);
	return result;
}

void ingress_set_port(uint16_t port)
{
	server_port = port;
}
