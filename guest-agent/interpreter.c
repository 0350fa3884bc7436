#include "interpreter.h"

#include "common/agent_protocol.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	START_LIMIT_US = 180 * 1000000,
	RETRY_FIRST_US = 100 * 1000,
	RETRY_MAX_US = 20 * 1000000,
	EXIT_LIMIT_US = 5 * 1000000, /* from a closed control socket to the end of the process */
};

#define TO(state) (1u << INTERPRETER_##state)

static const uint8_t may_become[INTERPRETER_N_STATES] = {
	[INTERPRETER_DOWN] = TO(STARTING),
	[INTERPRETER_STARTING] = TO(IDLE) | TO(DYING) | TO(DOWN),
	[INTERPRETER_IDLE] = TO(BUSY) | TO(SETTLING) | TO(DYING) | TO(DOWN),
	[INTERPRETER_BUSY] = TO(IDLE) | TO(DYING) | TO(DOWN),
	[INTERPRETER_SETTLING] = TO(IDLE) | TO(DYING) | TO(DOWN),
	[INTERPRETER_DYING] = TO(DOWN),
};

static void move(struct interpreter *interpreter, enum interpreter_state state)
{
	if (!(may_become[interpreter->state] & (1u << state)))
		log_error("%s: impossible move from state %d to %d", interpreter->name, (int)interpreter->state,
			  (int)state);
	interpreter->state = state;
}

static void start_later(struct interpreter *interpreter)
{
	uint64_t delay_us = RETRY_FIRST_US;

	if (interpreter->state != INTERPRETER_DOWN)
		return;
	for (uint32_t i = 1; i < interpreter->failures && delay_us < RETRY_MAX_US; i++)
		delay_us *= 2;
	loop_timer_start(&interpreter->timer, interpreter->failures ? delay_us : 0);
}

static void watch(struct interpreter *interpreter)
{
	uint32_t input = interpreter->paused ? 0 : EPOLLIN;

	if (interpreter->control.fd >= 0)
		loop_watch(&interpreter->control, input | (interpreter->outbox.bytes ? EPOLLOUT : 0));
}

static void on_output(struct output_pipes *pipes, enum output_stream stream, const uint8_t *data, size_t size)
{
	struct interpreter *interpreter =
		(struct interpreter *)(void *)((char *)pipes - offsetof(struct interpreter, pipes));

	interpreter->listener->output(interpreter, stream, data, size);
}

void interpreter_drain(struct interpreter *interpreter)
{
	output_pipes_drain(&interpreter->pipes);
}

static void become_ready(struct interpreter *interpreter)
{
	loop_timer_stop(&interpreter->timer);
	interpreter->failures = 0;
	interpreter->warm_up_us = loop_now_us() - interpreter->started_us;
	move(interpreter, INTERPRETER_IDLE);
	interpreter->listener->ready(interpreter);
}

static void become_settled(struct interpreter *interpreter)
{
	loop_timer_stop(&interpreter->timer);
	move(interpreter, INTERPRETER_IDLE);
	interpreter->listener->settled(interpreter);
}

static void take_frame(struct interpreter *interpreter, struct frame *frame)
{
	bool is_answer = frame->type == AGENT_DISPLAY || frame->type == AGENT_RESULT || frame->type == AGENT_DONE;

	if (interpreter->state == INTERPRETER_STARTING && frame->type == AGENT_READY) {
		frame_destroy(frame);
		become_ready(interpreter);
	} else if (interpreter->state == INTERPRETER_SETTLING && frame->type == AGENT_SETTLED) {
		frame_destroy(frame);
		become_settled(interpreter);
	} else if (!is_answer || interpreter->state == INTERPRETER_STARTING) {
		frame_destroy(frame);
		interpreter_kill_damaged(interpreter);
	} else if (interpreter->state != INTERPRETER_BUSY || frame->request != interpreter->request) {
		/* What a thread displays after its execution has ended, or a rehearsal, reaches nobody. */
		frame_destroy(frame);
	} else {
		interpreter_drain(interpreter);
		if (frame->type == AGENT_DONE)
			move(interpreter, INTERPRETER_IDLE);
		interpreter->listener->frame(interpreter, frame);
	}
}

/*
 * The driver reads nothing while code runs, so what has not gone out yet waits for a driver that is still to begin. It
 * would take the signal for one that comes late; the frame tells it which execution is meant.
 */
static void signal_interrupt(struct interpreter *interpreter)
{
	if (!interpreter->interrupt_is_due || (interpreter->outbox.bytes && interpreter->control.fd >= 0))
		return;
	interpreter->interrupt_is_due = false;
	if (interpreter->pid)
		kill(-interpreter->pid, SIGINT);
}

static void on_control(struct loop_source *source, uint32_t events)
{
	struct interpreter *interpreter =
		(struct interpreter *)(void *)((char *)source - offsetof(struct interpreter, control));
	struct frame *frame;
	int result = 0;

	if (events & EPOLLOUT)
		result = outbox_flush(&interpreter->outbox, source->fd);
	signal_interrupt(interpreter);
	if (result == 0 && !interpreter->paused) {
		result = frame_reader_next(&interpreter->reader, source->fd, &frame);
		if (result == 1)
			take_frame(interpreter, frame);
	}
	if (result < 0) {
		loop_close(source);
		/* The other end is also closed by a process that ends, and then that is what is to be told. */
		if (result == -EPROTO || result == -ENOMEM)
			interpreter_kill_damaged(interpreter);
		else if (interpreter->state != INTERPRETER_DYING)
			loop_timer_start(&interpreter->timer, EXIT_LIMIT_US);
		return;
	}
	watch(interpreter);
}

static void on_timer(struct loop_timer *timer)
{
	struct interpreter *interpreter =
		(struct interpreter *)(void *)((char *)timer - offsetof(struct interpreter, timer));

	if (interpreter->state == INTERPRETER_DOWN) {
		interpreter_start(interpreter);
	} else if (interpreter->state == INTERPRETER_DYING) {
		process_end_tracers(interpreter->pid);
		loop_timer_start(timer, PROCESS_KILL_LIMIT_US);
	} else if (interpreter->control.fd < 0)
		interpreter_kill_damaged(interpreter);
	else
		interpreter_kill(interpreter);
}

void interpreter_init(struct interpreter *interpreter)
{
	interpreter->state = INTERPRETER_DOWN;
	interpreter->timer.on_expiry = on_timer;
	interpreter->control = (struct loop_source) { .fd = -1, .on_events = on_control };
	interpreter->cgroup = cgroup_open(interpreter->name);
	outbox_init(&interpreter->outbox);
	/* The end of the pipes only means that the driver closed every copy; whether it lives is told by the kernel. */
	output_pipes_init(&interpreter->pipes, on_output, NULL);
}

static int open_control(int *agent_fd, int *driver_fd)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*agent_fd = fds[0];
	*driver_fd = fds[1];
	return fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int spawn(struct interpreter *interpreter)
{
	struct process_spec spec = {
		.argv = interpreter->argv,
		.envp = interpreter->envp,
		.directory = interpreter->directory,
		.input_fd = -1,
		.output_fds = { -1, -1 },
		.control_fd = -1,
		.cgroup_fd = interpreter->cgroup.directory_fd,
		.uid = interpreter->uid,
		.gid = interpreter->gid,
	};
	int result = output_pipes_open(&interpreter->pipes, spec.output_fds);

	if (result == 0)
		result = open_control(&interpreter->control.fd, &spec.control_fd);
	if (result == 0)
		result = process_spawn(&spec, &interpreter->pid);
	cleanup_fd(&spec.output_fds[OUTPUT_STDOUT]);
	cleanup_fd(&spec.output_fds[OUTPUT_STDERR]);
	cleanup_fd(&spec.control_fd);
	return result;
}

static void close_channels(struct interpreter *interpreter)
{
	output_pipes_close(&interpreter->pipes);
	loop_close(&interpreter->control);
	frame_reader_fini(&interpreter->reader);
	outbox_fini(&interpreter->outbox);
}

void interpreter_start(struct interpreter *interpreter)
{
	int result;

	if (interpreter->state != INTERPRETER_DOWN)
		return;
	loop_timer_stop(&interpreter->timer);
	interpreter->paused = false;
	interpreter->reseed_is_due = false;
	interpreter->interrupt_is_due = false;
	interpreter->was_killed = false;
	interpreter->was_damaged = false;
	interpreter->oom_kills = cgroup_oom_kills(&interpreter->cgroup);
	interpreter->refused_forks = cgroup_refused_forks(&interpreter->cgroup);
	interpreter->started_us = loop_now_us();
	result = spawn(interpreter);
	if (result < 0) {
		log_warn("%s: cannot be started: %s", interpreter->name, strerror(-result));
		close_channels(interpreter);
		interpreter->failures++;
		start_later(interpreter);
		interpreter->listener->died(interpreter, "the interpreter could not be started");
		return;
	}
	move(interpreter, INTERPRETER_STARTING);
	loop_timer_start(&interpreter->timer, START_LIMIT_US);
	output_pipes_pause(&interpreter->pipes, false);
	watch(interpreter);
}

/* Takes the frame over. */
static void send_to_driver(struct interpreter *interpreter, struct frame *frame)
{
	outbox_push(&interpreter->outbox, frame);
	outbox_flush(&interpreter->outbox, interpreter->control.fd);
	watch(interpreter);
}

/* Code must not run on randomness that other copies have, so there is no going on without it. */
static void send_randomness(struct interpreter *interpreter)
{
	struct frame *frame = frame_create(AGENT_ADOPT, 0, AGENT_ENTROPY_SIZE);

	interpreter->reseed_is_due = false;
	if (frame && getrandom(frame_body(frame), AGENT_ENTROPY_SIZE, 0) == AGENT_ENTROPY_SIZE) {
		send_to_driver(interpreter, frame);
		return;
	}
	frame_destroy(frame);
	log_error("%s: no randomness for it", interpreter->name);
	interpreter_kill(interpreter);
}

void interpreter_reseed(struct interpreter *interpreter)
{
	interpreter->reseed_is_due = interpreter->control.fd >= 0;
	if (interpreter->reseed_is_due && interpreter->has_state)
		send_randomness(interpreter);
}

void interpreter_set_environment(struct interpreter *interpreter, const char *variables, size_t size)
{
	struct frame *frame;

	if (interpreter->control.fd < 0)
		return;
	frame = frame_create(AGENT_ENVIRONMENT, 0, (uint32_t)size);
	if (frame)
		memcpy(frame_body(frame), variables, size);
	send_to_driver(interpreter, frame);
}

void interpreter_settle(struct interpreter *interpreter)
{
	interpreter->request++;
	move(interpreter, INTERPRETER_SETTLING);
	/* One that has closed its channel has a limit already, and a shorter one. */
	if (interpreter->control.fd >= 0)
		loop_timer_start(&interpreter->timer, START_LIMIT_US);
	send_to_driver(interpreter, frame_create(AGENT_SETTLE, interpreter->request, 0));
}

void interpreter_execute(struct interpreter *interpreter, struct frame *frame)
{
	/* The host's numbers may repeat; these do not, so that a late answer is not taken for a new one. */
	interpreter->request++;
	frame_set_request(frame, interpreter->request);
	interpreter->has_state = true;
	interpreter->interrupt_is_due = false;
	move(interpreter, INTERPRETER_BUSY);
	if (interpreter->reseed_is_due)
		send_randomness(interpreter);
	send_to_driver(interpreter, frame);
}

void interpreter_interrupt(struct interpreter *interpreter)
{
	interpreter->interrupt_is_due = true;
	send_to_driver(interpreter, frame_create(AGENT_INTERRUPT, interpreter->request, 0));
	signal_interrupt(interpreter);
}

void interpreter_kill(struct interpreter *interpreter)
{
	if (interpreter->state == INTERPRETER_DOWN || interpreter->state == INTERPRETER_DYING)
		return;
	loop_timer_start(&interpreter->timer, PROCESS_KILL_LIMIT_US);
	interpreter->was_killed = true;
	move(interpreter, INTERPRETER_DYING);
	process_signal(interpreter->pid, SIGKILL);
	cgroup_kill(&interpreter->cgroup);
}

void interpreter_kill_damaged(struct interpreter *interpreter)
{
	interpreter->was_damaged = true;
	interpreter_kill(interpreter);
}

void interpreter_stop(struct interpreter *interpreter)
{
	interpreter_kill(interpreter);
	if (interpreter->pid)
		waitpid(interpreter->pid, NULL, 0);
}

void interpreter_pause(struct interpreter *interpreter, bool paused)
{
	if (interpreter->paused == paused)
		return;
	interpreter->paused = paused;
	output_pipes_pause(&interpreter->pipes, paused);
	watch(interpreter);
}

bool interpreter_end_flood(struct interpreter *interpreter)
{
	uint64_t refused_forks = cgroup_refused_forks(&interpreter->cgroup);

	if (refused_forks == interpreter->refused_forks)
		return false;
	cgroup_kill_others(&interpreter->cgroup, interpreter->pid);
	interpreter->refused_forks = cgroup_refused_forks(&interpreter->cgroup);
	return true;
}

static void describe_death(struct interpreter *interpreter, int wait_status, char *text, size_t size)
{
	char end[64];
	bool by_sigkill = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
	bool out_of_memory = by_sigkill && !interpreter->was_killed &&
			     cgroup_oom_kills(&interpreter->cgroup) > interpreter->oom_kills;

	process_describe_end(wait_status, end, sizeof(end));
	if (by_sigkill && interpreter->was_damaged)
		snprintf(text, size, "the interpreter was restarted because its control channel was damaged");
	else if (out_of_memory)
		snprintf(text, size, "the interpreter was killed because memory ran out");
	else if (by_sigkill && interpreter->was_killed)
		snprintf(text, size, "the interpreter had to be restarted");
	else
		snprintf(text, size, "the interpreter %s", end);
}

bool interpreter_reaped(struct interpreter *interpreter, pid_t pid, int wait_status)
{
	char how[128];

	if (!interpreter->pid || pid != interpreter->pid)
		return false;
	describe_death(interpreter, wait_status, how, sizeof(how));
	log_info("%s: %s", interpreter->name, how);
	/* What it left behind goes too: the next one starts in an empty cgroup. */
	kill(-interpreter->pid, SIGKILL);
	cgroup_kill(&interpreter->cgroup);
	interpreter_drain(interpreter);
	interpreter->pid = 0;
	loop_timer_stop(&interpreter->timer);
	close_channels(interpreter);
	interpreter->failures = interpreter->state == INTERPRETER_STARTING ? interpreter->failures + 1 : 0;
	move(interpreter, INTERPRETER_DOWN);
	interpreter->listener->died(interpreter, how);
	interpreter->has_state = false;
	start_later(interpreter);
	return true;
}
