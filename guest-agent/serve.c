#include "serve.h"

#include "adopt.h"
#include "cgroup.h"
#include "container.h"
#include "execution.h"
#include "files.h"
#include "init.h"
#include "settle.h"
#include "token_offer.h"
#include "vsock.h"
#include "common/agent_protocol.h"
#include "common/bytes.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 16,
	READY_BODY_SIZE = 20,
	LIMIT_BODY_SIZE = 16,
	READY_TRIES = 20,
	READY_PAUSE_US = 100 * 1000,
};

struct connection {
	struct loop_source source; /* fd -1: the slot is free */
	struct frame_reader reader;
	struct outbox outbox;
	struct frame *held; /* AGENT_EXECUTE that waits for an abandoned execution to end */
	struct execution_host host;
	struct file_transfer files;
	struct container_watch container;
};

static void on_ready_pause_over(struct loop_timer *timer);
static void on_ready_socket(struct loop_source *source, uint32_t events);
static void on_execution_end(struct loop_timer *timer);

static const struct serve_options *options;
static struct loop_source listener;
static struct connection connections[CONNECTIONS_MAX];
static struct loop_timer execution_end = { .on_expiry = on_execution_end };
static struct loop_source ready_socket = { .fd = -1, .on_events = on_ready_socket };
static struct loop_timer ready_pause = { .on_expiry = on_ready_pause_over };
static int ready_tries;
static uint64_t listening_us;

static void watch(struct connection *connection)
{
	uint32_t events = EPOLLRDHUP;

	if (!connection->held)
		events |= EPOLLIN;
	if (connection->outbox.bytes || files_has_more(&connection->files) ||
	    container_watch_has_more(&connection->container))
		events |= EPOLLOUT;
	loop_watch(&connection->source, events);
}

static void close_connection(struct connection *connection)
{
	loop_close(&connection->source);
	frame_reader_fini(&connection->reader);
	outbox_fini(&connection->outbox);
	frame_destroy(connection->held);
	connection->held = NULL;
	files_abandon(&connection->files);
	container_watch_detach(&connection->container);
	execution_abandon(&connection->host);
	settle_abandon(&connection->host);
}

static struct connection *connection_of(struct execution_host *host)
{
	return (struct connection *)(void *)((char *)host - offsetof(struct connection, host));
}

/* A failed send shows again as an event, which closes: a caller's connection does not vanish under it. */
static void send_to_host(struct execution_host *host, struct frame *frame)
{
	struct connection *connection = connection_of(host);

	outbox_push(&connection->outbox, frame);
	outbox_flush(&connection->outbox, connection->source.fd);
	watch(connection);
}

static size_t waiting_for_host(struct execution_host *host)
{
	return connection_of(host)->outbox.bytes;
}

static const char *objection_to_execution(void)
{
	if (container_is_meant())
		return "this guest runs a container and no interpreters";
	return settle_is_running() ? "the guest is being settled" : NULL;
}

/* NULL: the shell. */
static struct interpreter *interpreter_of(const struct frame *frame)
{
	/* A body without one is refused as too short. */
	uint8_t language = frame->length > 0 ? frame_body(frame)[0] : 0;

	if (language == AGENT_SHELL)
		return NULL;
	return language == AGENT_NODE ? options->node : options->python;
}

static void execute(struct connection *connection, struct frame *frame)
{
	const char *objection = objection_to_execution();

	if (!objection) {
		execution_start(&connection->host, interpreter_of(frame), frame);
		return;
	}
	execution_refuse(&connection->host, frame->request, objection);
	frame_destroy(frame);
}

/* A container cannot be told to rest: it is the host that chooses the moment. */
static void settle(struct connection *connection, const struct frame *frame)
{
	const char *objection;

	if (!container_is_meant()) {
		settle_start(&connection->host, frame->request, options->python, options->node);
		return;
	}
	objection = container_objection_to_save();
	send_to_host(&connection->host, frame_create_text(AGENT_SETTLED, frame->request, objection ? objection : ""));
}

/* Why the guest was not adopted, in err; or 0. */
static int adopt(const struct frame *frame, struct error *err)
{
	uint64_t received_us = loop_now_us();
	struct adoption adoption;
	const char *fault = adopt_decode(frame_body(frame), frame->length, &adoption);
	int result = 0;

	if (!fault && settle_is_running())
		fault = "the guest is being settled";
	if (!fault && execution_is_running())
		fault = "an execution is running";
	if (fault)
		return error_set(err, EINVAL, "%s", fault);
	token_offer_withdraw();
	if (options->is_machine_ours)
		result = adopt_machine(&adoption, received_us, err);
	if (result < 0)
		return result;
	interpreter_reseed(options->python);
	interpreter_reseed(options->node);
	return 0;
}

static void answer_adopt(struct connection *connection, const struct frame *frame)
{
	struct error err = { 0 };

	if (adopt(frame, &err) < 0)
		log_warn_limited("not adopted: %s", err.text);
	send_to_host(&connection->host, frame_create_text(AGENT_ADOPTED, frame->request, err.text));
}

/* False if it makes no sense. */
static bool take_limits(const struct frame *frame)
{
	struct bytes b = bytes_from(frame_body(frame), frame->length);
	const uint32_t n_processes = bytes_get_u32(&b), zero = bytes_get_u32(&b);
	const uint64_t disk_bytes = bytes_get_u64(&b);
	struct error err = { 0 };

	if (frame->length != LIMIT_BODY_SIZE || zero != 0)
		return false;
	if (n_processes)
		cgroup_limit_processes(n_processes);
	if (disk_bytes && options->is_machine_ours && init_limit_disk(disk_bytes, &err) < 0)
		log_warn_limited("%s", err.text);
	return true;
}

/* False if the host broke the protocol. */
static bool take_frame(struct connection *connection, struct frame *frame)
{
	bool is_sound;

	if (files_is_about(frame->type)) {
		is_sound = files_take(&connection->files, &connection->host, frame);
		frame_destroy(frame);
		return is_sound;
	}
	if (container_is_about(frame->type)) {
		is_sound = container_take(&connection->container, &connection->host, frame);
		frame_destroy(frame);
		return is_sound;
	}
	switch (frame->type) {
	case AGENT_EXECUTE:
		if (execution_is_abandoned())
			connection->held = frame;
		else
			execute(connection, frame);
		return true;
	case AGENT_INTERRUPT:
		execution_interrupt(&connection->host, frame->request);
		frame_destroy(frame);
		return true;
	case AGENT_SETTLE:
		settle(connection, frame);
		frame_destroy(frame);
		return true;
	case AGENT_ADOPT:
		answer_adopt(connection, frame);
		frame_destroy(frame);
		return true;
	case AGENT_OFFER_TOKENS:
		is_sound = token_offer_take(frame_body(frame), frame->length);
		frame_destroy(frame);
		return is_sound;
	case AGENT_LIMIT:
		is_sound = take_limits(frame);
		frame_destroy(frame);
		return is_sound;
	default:
		frame_destroy(frame);
		return false;
	}
}

/* The host takes more. */
static void go_on(struct connection *connection)
{
	execution_resume(&connection->host);
	files_go_on(&connection->files, &connection->host);
	container_watch_go_on(&connection->container);
}

static void on_connection(struct loop_source *source, uint32_t events)
{
	struct connection *connection = (struct connection *)(void *)source;
	struct frame *frame;
	int result = 0;

	if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
		close_connection(connection);
		return;
	}
	if (events & EPOLLOUT)
		result = outbox_flush(&connection->outbox, source->fd);
	if (result == 0 && (events & EPOLLOUT))
		go_on(connection);
	if (result == 0 && (events & EPOLLIN) && !connection->held) {
		result = frame_reader_next(&connection->reader, source->fd, &frame);
		if (result == 1 && !take_frame(connection, frame))
			result = -EPROTO;
	}
	if (result < 0) {
		if (result != -EPIPE)
			log_warn_limited("connection ended: %s", strerror(-result));
		close_connection(connection);
		return;
	}
	watch(connection);
}

static void on_execution_end(struct loop_timer *timer)
{
	(void)timer;
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = &connections[i];
		struct frame *frame = connection->held;

		if (connection->source.fd < 0 || !frame)
			continue;
		connection->held = NULL;
		if (!take_frame(connection, frame))
			close_connection(connection);
		else
			watch(connection);
	}
}

static void on_listener(struct loop_source *source, uint32_t events)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = &connections[i];

		if (connection->source.fd >= 0)
			continue;
		*connection = (struct connection) {
			.source = { .fd = fd, .on_events = on_connection },
			.host = { .send = send_to_host, .waiting = waiting_for_host },
		};
		outbox_init(&connection->outbox);
		watch(connection);
		return;
	}
	log_warn_limited("a connection was closed because %d are open", CONNECTIONS_MAX);
	close(fd);
}

static int open_listener(void)
{
	listener.on_events = on_listener;
	listener.fd = vsock_listen(AGENT_PORT, options->unix_path);
	return listener.fd < 0 ? listener.fd : loop_watch(&listener, EPOLLIN);
}

/* ---- AGENT_READY ------------------------------------------------------------------------------------------------- */

static void try_ready(void)
{
	int fd = vsock_connect(AGENT_READY_PORT, options->ready_path);

	ready_tries++;
	if (fd < 0) {
		loop_timer_start(&ready_pause, READY_PAUSE_US);
		return;
	}
	ready_socket.fd = fd;
	loop_watch(&ready_socket, EPOLLOUT);
}

static void on_ready_pause_over(struct loop_timer *timer)
{
	(void)timer;
	if (ready_tries < READY_TRIES)
		try_ready();
	else
		log_info("nobody listens for the ready message");
}

static void on_ready_socket(struct loop_source *source, uint32_t events)
{
	uint8_t wire[AGENT_HEADER_SIZE + READY_BODY_SIZE];
	struct bytes b = bytes_over(wire, sizeof(wire));
	int failure = 0;
	socklen_t size = sizeof(failure);

	(void)events;
	bytes_put_u32(&b, READY_BODY_SIZE);
	bytes_put_u16(&b, AGENT_READY);
	bytes_put_u16(&b, 0);
	bytes_put_u64(&b, 0);
	bytes_put_u32(&b, AGENT_PROTOCOL_VERSION);
	bytes_put_u64(&b, options->began_us);
	bytes_put_u64(&b, listening_us);
	getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
	/* 36 bytes fit into the buffer of a fresh connection, or something is wrong with it. */
	if (!failure && send(source->fd, wire, sizeof(wire), MSG_NOSIGNAL) != (ssize_t)sizeof(wire))
		failure = EIO;
	loop_close(source);
	if (failure)
		loop_timer_start(&ready_pause, READY_PAUSE_US);
}

int serve_start(const struct serve_options *given)
{
	int result;

	options = given;
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		connections[i].source.fd = -1;
	execution_set_idle_timer(&execution_end);
	result = open_listener();
	if (result < 0)
		return result;
	listening_us = loop_now_us();
	if (!options->unix_path || options->ready_path)
		try_ready();
	return 0;
}
