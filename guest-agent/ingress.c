#include "ingress.h"

#include "loop.h"
#include "loopback.h"
#include "relay.h"
#include "vsock.h"
#include "common/agent_protocol.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_LIMIT_US = 10 * 1000000 };

struct relay {
	struct relay *next;
	struct loop_source host, server;
	bool is_connected; /* to the server */
	struct relay_direction in, out;
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
	relay_give_up(&relay->in);
	relay_give_up(&relay->out);
	free(relay);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* False if nothing is left to do. */
static bool pump_both(struct relay *relay)
{
	enum relay_step in = relay_pump(&relay->in, relay->host.fd, relay->server.fd), out;

	if (in == RELAY_SOURCE_BROKE || in == RELAY_NO_MEMORY)
		return false;
	/* A server that has seen enough answers and closes: what the host still sends is of no use, what was answered is. */
	if (in == RELAY_SINK_BROKE)
		relay_give_up(&relay->in);
	out = relay_pump(&relay->out, relay->server.fd, relay->host.fd);
	if (out == RELAY_SINK_BROKE || out == RELAY_NO_MEMORY)
		return false;
	if (out == RELAY_SOURCE_BROKE) {
		relay_give_up(&relay->in);
		relay->out.has_ended = true;
		out = relay_pump(&relay->out, relay->server.fd, relay->host.fd);
	}
	return out != RELAY_SINK_BROKE && !(relay->in.is_shut && relay->out.is_shut);
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
	watch(&relay->host, relay_wanted(&relay->in, &relay->out));
	watch(&relay->server, relay_wanted(&relay->out, &relay->in));
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
