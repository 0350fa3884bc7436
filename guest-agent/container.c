#include "container.h"

#include "cgroup.h"
#include "container_environment.h"
#include "container_output.h"
#include "container_probes.h"
#include "container_process.h"
#include "ingress.h"
#include "process.h"
#include "common/agent_protocol.h"
#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	FAILED_GRACE_MS = 10000, /* for a container whose probe failed */
	STOP_BODY_SIZE = 8,
};

#define TO(state) (1u << AGENT_CONTAINER_##state)

static const uint8_t may_become[AGENT_CONTAINER_ENDED + 1] = {
	[AGENT_CONTAINER_NONE] = TO(PREPARING),
	[AGENT_CONTAINER_PREPARING] = TO(HELD) | TO(STARTING) | TO(ENDING) | TO(ENDED),
	[AGENT_CONTAINER_HELD] = TO(STARTING) | TO(ENDING) | TO(ENDED),
	[AGENT_CONTAINER_STARTING] = TO(READY) | TO(ENDING) | TO(ENDED),
	[AGENT_CONTAINER_READY] = TO(UNREADY) | TO(ENDING) | TO(ENDED),
	[AGENT_CONTAINER_UNREADY] = TO(READY) | TO(ENDING) | TO(ENDED),
	[AGENT_CONTAINER_ENDING] = TO(ENDED),
};

static void on_grace_over(struct loop_timer *timer);
static void on_message(struct loop_source *source, uint32_t events);

static const struct container_options *options;
static enum agent_container_state state;
static uint8_t *description; /* the body of START, in which the texts of `container` lie */
static struct agent_container container;
static struct container_variables handed_over;

static pid_t pid; /* of its process 1; 0: it does not run */
static struct cgroup cgroup = { .directory_fd = -1 };
static struct loop_source messages = { .fd = -1, .on_events = on_message };
static struct loop_timer grace = { .on_expiry = on_grace_over };

static char reason[400]; /* why it is being ended, if it is not the host's wish */
static bool was_killed;  /* by the agent */
static uint64_t started_us, oom_kills;
static struct container_exit container_end;

static void move(enum agent_container_state next, const char *sentence)
{
	if (!(may_become[state] & 1u << next))
		log_error("container: impossible move from state %d to %d", (int)state, (int)next);
	state = next;
	container_watch_tell_state(next, sentence);
}

/* ---- its end ----------------------------------------------------------------------------------------------------- */

static void stop(uint32_t grace_ms, const char *why)
{
	bool is_running = state >= AGENT_CONTAINER_STARTING && state <= AGENT_CONTAINER_UNREADY;

	if (state != AGENT_CONTAINER_ENDING) {
		snprintf(reason, sizeof(reason), "%s", why);
		move(AGENT_CONTAINER_ENDING, why);
	}
	container_probes_stop();
	if (is_running && grace_ms > 0)
		kill(pid, container.stop_signal);
	loop_timer_start(&grace, is_running || grace.due_us ? (uint64_t)grace_ms * 1000 : 0);
}

/* Process 1's end is that of its whole PID namespace. */
static void on_grace_over(struct loop_timer *timer)
{
	(void)timer;
	if (!pid)
		return;
	was_killed = true;
	kill(pid, SIGKILL);
	cgroup_kill(&cgroup);
}

static void note_exit(int wait_status)
{
	bool by_sigkill = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
	char end[64];

	process_describe_end(wait_status, end, sizeof(end));
	container_end.signal = WIFSIGNALED(wait_status) ? (uint32_t)WTERMSIG(wait_status) : 0;
	container_end.status = process_exit_status(wait_status);
	if (by_sigkill && !was_killed && cgroup_oom_kills(&cgroup) > oom_kills)
		snprintf(end, sizeof(end), "was killed because memory ran out");
	else if (by_sigkill && was_killed)
		snprintf(end, sizeof(end), "was killed because it had not ended by itself");
	snprintf(container_end.sentence, sizeof(container_end.sentence), "%s%sthe entrypoint %s", reason,
		 reason[0] ? "; " : "", end);
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

static void on_ready(void)
{
	move(AGENT_CONTAINER_READY, "");
}

static void on_unready(const char *sentence)
{
	move(AGENT_CONTAINER_UNREADY, sentence);
}

static void on_failed(const char *sentence)
{
	log_info("container: %s", sentence);
	stop(FAILED_GRACE_MS, sentence);
}

static const struct container_probes_listener probes_listener = { on_ready, on_unready, on_failed };

static int send_run(void)
{
	static uint8_t message[CONTAINER_MESSAGE_MAX];

	message[0] = CONTAINER_RUN;
	memcpy(message + 1, handed_over.data, handed_over.size);
	return send(messages.fd, message, 1 + handed_over.size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The entrypoint runs. */
static void begin(void)
{
	move(AGENT_CONTAINER_STARTING, "");
	started_us = loop_now_us();
	ingress_set_port(container.target_port);
	container_probes_start(&container, &probes_listener);
}

static void note_failure(const uint8_t *text, size_t size)
{
	container_end.status = size ? text[0] : 0;
	container_end.signal = 0;
	snprintf(container_end.sentence, sizeof(container_end.sentence), "%.*s", (int)(size ? size - 1 : 0),
		 (const char *)text + 1);
}

/* Only process 1 has the other end, and it is the agent's own until the entrypoint runs. False at the end. */
static bool take_message(void)
{
	uint8_t message[1024];
	ssize_t size = messages.fd < 0 ? 0 : recv(messages.fd, message, sizeof(message), MSG_DONTWAIT);
	struct bytes b = bytes_from(message + 1, size > 1 ? (size_t)size - 1 : 0);

	/* A reset comes before what was said, where process 1 ended without having read what it was told. */
	if (size <= 0)
		return size < 0 && (errno == EINTR || errno == ECONNRESET);
	if (message[0] == CONTAINER_PREPARED && state == AGENT_CONTAINER_PREPARING) {
		if (container.flags & AGENT_CONTAINER_HOLD)
			move(AGENT_CONTAINER_HELD, "");
		else
			begin();
	} else if (message[0] == CONTAINER_FAILED) {
		note_failure(message + 1, (size_t)size - 1);
	} else if (message[0] == CONTAINER_EXITED && !container_end.sentence[0]) {
		note_exit((int)bytes_get_u32(&b));
	}
	return true;
}

static void on_message(struct loop_source *source, uint32_t events)
{
	if (!take_message() && (events & EPOLLHUP))
		loop_close(source);
}

bool container_reaped(pid_t reaped, int wait_status)
{
	if (!pid || reaped != pid)
		return false;
	while (take_message())
		;
	if (!container_end.sentence[0])
		note_exit(wait_status);
	pid = 0;
	container_end.ran_us = started_us ? loop_now_us() - started_us : 0;
	log_info("container: %s", container_end.sentence);
	loop_timer_stop(&grace);
	container_probes_stop();
	ingress_set_port(0);
	loop_close(&messages);
	container_output_close();
	move(AGENT_CONTAINER_ENDED, container_end.sentence);
	container_watch_tell_exit(&container_end);
	return true;
}

void container_kill(void)
{
	if (!pid)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- AGENT_CONTAINER_START --------------------------------------------------------------------------------------- */

static int open_messages(int *other_fd)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	messages.fd = fds[0];
	*other_fd = fds[1];
	return loop_watch(&messages, EPOLLIN);
}

static int spawn(void)
{
	struct container_process_spec spec = {
		.container = &container,
		.files = {
			.scratch = options->scratch,
			.lower = options->lower,
			.n_disks = container.n_disks,
			.is_machine_ours = options->is_machine_ours,
		},
		.output_fds = { -1, -1 },
		.message_fd = -1,
	};
	int result = container_output_open(spec.output_fds);

	if (result == 0)
		result = open_messages(&spec.message_fd);
	cgroup = cgroup_open("container");
	oom_kills = cgroup_oom_kills(&cgroup);
	spec.cgroup_fd = cgroup.directory_fd;
	if (result == 0)
		result = container_process_spawn(&spec, &pid);
	/* While its other end is open here, too: one that has failed already tells so, and this does not fail. */
	if (result == 0 && !(container.flags & AGENT_CONTAINER_HOLD))
		result = send_run();
	cleanup_fd(&spec.output_fds[OUTPUT_STDOUT]);
	cleanup_fd(&spec.output_fds[OUTPUT_STDERR]);
	cleanup_fd(&spec.message_fd);
	return result;
}

static int write_handed_over(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/" CONTAINER_HANDOVER, options->scratch);
	return container_variables_write(&handed_over, path);
}

static const char *objection_to_start(void)
{
	if (!container_is_meant())
		return "this guest is for interpreters: a container needs one that was booted with HEARTH_CONTAINER=1";
	if (state != AGENT_CONTAINER_NONE || description)
		return "a container was started already, and a guest has one in its life";
	return NULL;
}

/* Keeps the description. NULL, or what is wrong with it. */
static const char *take_description(const struct frame *frame)
{
	const char *fault;

	description = malloc(frame->length ? frame->length : 1);
	if (!description)
		return "there is no memory for the container";
	memcpy(description, frame_body(frame), frame->length);
	fault = agent_container_decode(description, frame->length, &container);
	if (!fault && !options->lower && container.n_disks == 0)
		fault = "the container has no disk";
	if (!fault && container.target_port == AGENT_TOKEN_PORT)
		fault = "port 1026 of the loopback is where tokens are asked for: choose another target port";
	if (fault) {
		free(description);
		description = NULL;
	}
	return fault;
}

static int start(const struct frame *frame, struct error *err)
{
	const char *fault = objection_to_start();
	int result;

	if (!fault)
		fault = take_description(frame);
	if (fault)
		return error_set(err, EINVAL, "%s", fault);
	if (container_scratch_make(options->scratch, err) < 0)
		return -err->code;
	result = write_handed_over();
	if (result < 0)
		return error_set(err, -result, "write the container's environment: %s", strerror(-result));
	result = ingress_open(options->ingress_path);
	if (result < 0)
		return error_set(err, -result, "listen for the container's connections: %s", strerror(-result));
	result = spawn();
	if (result < 0)
		return error_set(err, -result, "start the container: %s", strerror(-result));
	move(AGENT_CONTAINER_PREPARING, "");
	return 0;
}

/* ---- other orders ------------------------------------------------------------------------------------------------ */

static int run(struct error *err)
{
	int result;

	if (state != AGENT_CONTAINER_HELD)
		return error_set(err, EINVAL,
				 "no container is held: it can run but once, and only when it is prepared");
	result = send_run();
	if (result < 0)
		return error_set(err, -result, "run the entrypoint: %s", strerror(-result));
	begin();
	return 0;
}

static int take_stop(uint32_t grace_ms, struct error *err)
{
	if (!pid)
		return error_set(err, ESRCH, "no container runs");
	stop(grace_ms, "");
	return 0;
}

static int take_environment(const struct frame *frame, struct error *err)
{
	const char *body = (const char *)frame_body(frame);
	const char *fault = container_variables_check(body, frame->length);
	int result;

	if (!fault && !pid)
		fault = "no container runs";
	if (fault)
		return error_set(err, EINVAL, "%s", fault);
	result = container_variables_set(&handed_over, body, frame->length);
	if (result == 0)
		result = write_handed_over();
	return result < 0 ? error_set(err, -result, "hand over variables: %s", strerror(-result)) : 0;
}

void container_hand_over(const char *variables, size_t size)
{
	int result;

	if (!container_is_meant())
		return;
	result = container_variables_set(&handed_over, variables, size);
	if (result == 0 && pid)
		result = write_handed_over();
	if (result < 0)
		log_warn("container: variables were not handed over: %s", strerror(-result));
}

bool container_is_about(uint16_t type)
{
	return type >= AGENT_CONTAINER_START && type <= AGENT_CONTAINER_ENVIRONMENT;
}

bool container_take(struct container_watch *watch, struct execution_host *host, const struct frame *frame)
{
	struct bytes b = bytes_from(frame_body(frame), frame->length);
	struct error err = { 0 };
	uint32_t grace_ms;
	int result = 0;

	switch (frame->type) {
	case AGENT_CONTAINER_START:
		result = start(frame, &err);
		break;
	case AGENT_CONTAINER_RUN:
		result = run(&err);
		break;
	case AGENT_CONTAINER_STOP:
		grace_ms = bytes_get_u32(&b);
		if (frame->length != STOP_BODY_SIZE || bytes_get_u32(&b) != 0)
			return false;
		result = take_stop(grace_ms, &err);
		break;
	case AGENT_CONTAINER_ENVIRONMENT:
		result = take_environment(frame, &err);
		break;
	default:
		break;
	}
	if (result < 0) {
		log_info("container: refused: %s", err.text);
		host->send(host, frame_create_text(AGENT_CONTAINER_REFUSED, frame->request, err.text));
		return true;
	}
	container_watch_answer(host, frame->request);
	if (frame->type == AGENT_CONTAINER_START || frame->type == AGENT_CONTAINER_ATTACH) {
		container_watch_attach(watch, host, frame->request);
		container_watch_go_on(watch);
	}
	return true;
}

void container_init(const struct container_options *given)
{
	options = given;
}

bool container_is_meant(void)
{
	return options->scratch != NULL;
}

const char *container_objection_to_save(void)
{
	if (state == AGENT_CONTAINER_HELD || state == AGENT_CONTAINER_READY)
		return NULL;
	return "the container is neither ready nor held";
}
