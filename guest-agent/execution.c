#include "execution.h"

#include "bundle.h"
#include "output.h"
#include "shell.h"
#include "common/agent_protocol.h"
#include "common/bytes.h"

#include <stdio.h>
#include <string.h>

enum {
	WAITING_HIGH_BYTES = 256 << 10, /* above this, nothing more is read from the interpreter */
	WAITING_LOW_BYTES = 64 << 10,
	GRACE_MIN_US = 2 * 1000000, /* from SIGINT to SIGKILL */
	GRACE_MAX_US = 7 * 1000000, /* so that the host, whose own grace is 10 s, does not lose its patience first */
	GRACE_ABANDONED_US = 30 * 1000000,
	DONE_FIXED_SIZE = 28,
	EXECUTE_FIXED_SIZE = 16,
	SENTENCE_MAX = 512,
};

#define TIMEOUT_SENTENCE "Request timed out waiting for code execution to complete"

enum execution_state {
	EXECUTION_NONE,
	EXECUTION_WAITING, /* for a warm interpreter */
	EXECUTION_RUNNING,
	EXECUTION_STOPPING, /* was interrupted; `stopped_by` says why */
};

static void on_time_limit(struct loop_timer *timer);
static void on_grace_over(struct loop_timer *timer);

static struct {
	enum execution_state state;
	struct execution_host *host;     /* NULL when it is gone */
	struct interpreter *interpreter; /* NULL: it is a command of the shell */
	struct frame *frame;             /* AGENT_EXECUTE while it waits */
	uint64_t request;                /* the host's number */
	uint64_t timeout_us;             /* 0: none */
	uint64_t arrived_us, began_us;
	enum agent_outcome stopped_by; /* AGENT_TIMEOUT or AGENT_INTERRUPTED */
	struct output_limit output[OUTPUT_N_STREAMS];
	uint64_t display_bytes;
	bool display_was_dropped;
	bool has_result;
	char lost_before[SENTENCE_MAX]; /* how the state was lost that the code may have counted on; or empty */
} now;

static struct loop_timer time_limit = { .on_expiry = on_time_limit };
static struct loop_timer grace = { .on_expiry = on_grace_over };

static struct loop_timer *idle_timer;

struct done {
	enum agent_outcome outcome;
	bool state_lost;
	uint8_t exit_status;
	uint64_t ran_us, stdout_cut, stderr_cut;
	const char *sentence;
};

static void send_done(struct execution_host *host, uint64_t request, const struct done *done)
{
	size_t length = strlen(done->sentence);
	struct frame *frame = frame_create(AGENT_DONE, request, DONE_FIXED_SIZE + (uint32_t)length);
	struct bytes body;

	if (!frame)
		return;
	body = bytes_over(frame_body(frame), frame->length);
	bytes_put_u8(&body, (uint8_t)done->outcome);
	bytes_put_u8(&body, done->state_lost);
	bytes_put_u16(&body, done->exit_status);
	bytes_put_u64(&body, done->ran_us);
	bytes_put_u64(&body, done->stdout_cut);
	bytes_put_u64(&body, done->stderr_cut);
	bytes_put(&body, done->sentence, length);
	host->send(host, frame);
}

void execution_refuse(struct execution_host *host, uint64_t request, const char *why)
{
	send_done(host, request, &(struct done) { .outcome = AGENT_REFUSED, .sentence = why });
}

void execution_set_idle_timer(struct loop_timer *timer)
{
	idle_timer = timer;
}

/* ---- what runs the code ------------------------------------------------------------------------------------------ */

static void pause_output(bool is_paused)
{
	if (now.interpreter)
		interpreter_pause(now.interpreter, is_paused);
	else
		shell_pause(is_paused);
}

static void interrupt_code(void)
{
	if (now.interpreter)
		interpreter_interrupt(now.interpreter);
	else
		shell_interrupt();
}

static void kill_code(void)
{
	if (now.interpreter)
		interpreter_kill(now.interpreter);
	else
		shell_kill();
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void end_with_status(enum agent_outcome outcome, bool state_lost, uint8_t exit_status, const char *sentence)
{
	struct done done = {
		.outcome = outcome,
		.state_lost = state_lost,
		.exit_status = exit_status,
		.ran_us = now.began_us ? loop_now_us() - now.began_us : 0,
		.stdout_cut = now.output[OUTPUT_STDOUT].cut,
		.stderr_cut = now.output[OUTPUT_STDERR].cut,
		.sentence = sentence,
	};

	loop_timer_stop(&time_limit);
	loop_timer_stop(&grace);
	pause_output(false);
	frame_destroy(now.frame);
	if (now.host)
		send_done(now.host, now.request, &done);
	now.frame = NULL;
	now.host = NULL;
	now.state = EXECUTION_NONE;
	loop_timer_start(idle_timer, 0);
}

static void end(enum agent_outcome outcome, bool state_lost, const char *sentence)
{
	end_with_status(outcome, state_lost, 0, sentence);
}

/* The end of an execution that ran or was stopped, once its interpreter is idle again or dead, or its command over. */
static void end_stopped(bool state_lost)
{
	end(now.stopped_by, state_lost,
	    now.stopped_by == AGENT_TIMEOUT ? TIMEOUT_SENTENCE : "the execution was interrupted");
}

/*
 * Writing a traceback takes long where everything does: as long as it took to get warm, twice. When the host is gone nobody
 * waits for the end, and all of its guests stop something at once: what the interpreter knows is worth more than the time.
 */
static uint64_t grace_us(void)
{
	uint64_t wanted_us = now.interpreter ? 2 * now.interpreter->warm_up_us : 0;

	if (!now.host)
		return GRACE_ABANDONED_US;
	if (wanted_us < GRACE_MIN_US)
		return GRACE_MIN_US;
	return wanted_us < GRACE_MAX_US ? wanted_us : GRACE_MAX_US;
}

static void stop(enum agent_outcome why)
{
	now.stopped_by = why;
	if (now.state == EXECUTION_WAITING) {
		end_stopped(false);
		return;
	}
	if (now.state != EXECUTION_RUNNING)
		return;
	now.state = EXECUTION_STOPPING;
	loop_timer_stop(&time_limit);
	loop_timer_start(&grace, grace_us());
	/* The code may be blocked on a full pipe because the host does not read: from here on, it need not. */
	pause_output(false);
	interrupt_code();
}

static void on_time_limit(struct loop_timer *timer)
{
	(void)timer;
	stop(AGENT_TIMEOUT);
}

static void on_grace_over(struct loop_timer *timer)
{
	(void)timer;
	kill_code();
}

static void send_started(void)
{
	struct frame *frame = frame_create(AGENT_STARTED, now.request, 8);
	struct bytes body;

	if (!frame || !now.host) {
		frame_destroy(frame);
		return;
	}
	body = bytes_over(frame_body(frame), 8);
	bytes_put_u64(&body, now.began_us - now.arrived_us);
	now.host->send(now.host, frame);
}

static bool host_is_full(void)
{
	return now.host->waiting(now.host) > WAITING_HIGH_BYTES;
}

/*
 * Nothing more is read from the code while the host does not take what there is. One frame may follow another before the
 * loop turns: what the host takes with the last of them is told by nobody, so it is looked at here, too.
 */
static void hold_back(void)
{
	if (now.state != EXECUTION_RUNNING)
		return;
	if (host_is_full())
		pause_output(true);
	else if (now.host->waiting(now.host) < WAITING_LOW_BYTES)
		pause_output(false);
}

static void send_stream(enum output_stream stream, const void *data, size_t size)
{
	uint16_t type = stream == OUTPUT_STDOUT ? AGENT_STDOUT : AGENT_STDERR;
	struct frame *frame = frame_create(type, now.request, (uint32_t)size);

	if (!frame)
		return;
	memcpy(frame_body(frame), data, size);
	now.host->send(now.host, frame);
	hold_back();
}

/* A word of the agent's own, on stderr and beyond its limit. */
static void send_note(const char *text)
{
	if (now.host)
		send_stream(OUTPUT_STDERR, text, strlen(text));
}

/* What is left of a fork bomb would starve this execution or the next. */
static void end_flood(void)
{
	if (now.interpreter ? interpreter_end_flood(now.interpreter) : shell_end_flood())
		send_note("\n[the limit of processes was reached: what code left running was ended]\n");
}

static void begin(void)
{
	now.state = EXECUTION_RUNNING;
	now.began_us = loop_now_us();
	if (now.timeout_us)
		loop_timer_start(&time_limit, now.timeout_us);
}

static void run(void)
{
	struct frame *frame = now.frame;

	now.frame = NULL;
	/* What was written before this one began is nobody's. */
	interpreter_drain(now.interpreter);
	begin();
	snprintf(now.lost_before, sizeof(now.lost_before), "%s", now.interpreter->unreported_death);
	now.interpreter->unreported_death[0] = '\0';
	send_started();
	end_flood();
	interpreter_execute(now.interpreter, frame);
}

static void run_command(void)
{
	struct frame *frame = now.frame;
	char sentence[SENTENCE_MAX];
	int result;

	now.frame = NULL;
	begin();
	send_started();
	end_flood();
	result = shell_run(frame_body(frame) + EXECUTE_FIXED_SIZE, frame->length - EXECUTE_FIXED_SIZE);
	frame_destroy(frame);
	if (result == 0)
		return;
	snprintf(sentence, sizeof(sentence), "the command could not be started: %s", strerror(-result));
	end(AGENT_REFUSED, false, sentence);
}

/* Reads what stands before the code. NULL, or why it makes no sense. */
static const char *decode(struct frame *frame)
{
	struct bytes body = bytes_from(frame_body(frame), frame->length);
	uint8_t language = bytes_get_u8(&body);
	uint8_t flags = bytes_get_u8(&body);
	const char *fault = NULL;
	uint32_t timeout_ms;
	uint64_t limit;

	bytes_take(&body, 2);
	timeout_ms = bytes_get_u32(&body);
	limit = bytes_get_u64(&body);
	if (body.failed)
		return "the request is too short";
	if (language != AGENT_PYTHON && language != AGENT_NODE && language != AGENT_SHELL)
		return "the language is unknown";
	if (flags & ~AGENT_EXECUTE_FLAGS)
		return "it has flags that are unknown";
	if (bytes_left(&body) > AGENT_CODE_MAX)
		return "the code is larger than 8 MiB";
	if (language == AGENT_SHELL)
		fault = shell_check(body.data + body.position, bytes_left(&body));
	else if (utf8_valid_length(body.data + body.position, bytes_left(&body)) < bytes_left(&body))
		fault = "the code is not valid UTF-8";
	now.timeout_us = (uint64_t)timeout_ms * 1000;
	for (int i = 0; i < OUTPUT_N_STREAMS; i++)
		now.output[i] = (struct output_limit) { .limit = limit };
	return fault;
}

void execution_start(struct execution_host *host, struct interpreter *interpreter, struct frame *frame)
{
	const char *fault;

	if (now.state != EXECUTION_NONE) {
		execution_refuse(host, frame->request, "another execution is running");
		frame_destroy(frame);
		return;
	}
	fault = decode(frame);
	if (fault) {
		execution_refuse(host, frame->request, fault);
		frame_destroy(frame);
		return;
	}
	now.state = EXECUTION_WAITING;
	now.host = host;
	now.interpreter = interpreter;
	now.frame = frame;
	now.request = frame->request;
	now.arrived_us = loop_now_us();
	now.began_us = 0;
	now.display_bytes = 0;
	now.display_was_dropped = false;
	now.has_result = false;
	if (!interpreter)
		run_command();
	else if (interpreter->state == INTERPRETER_IDLE)
		run();
	else
		interpreter_start(interpreter);
}

void execution_interrupt(struct execution_host *host, uint64_t request)
{
	if (now.state != EXECUTION_NONE && now.host == host && now.request == request)
		stop(AGENT_INTERRUPTED);
}

void execution_abandon(struct execution_host *host)
{
	if (now.state == EXECUTION_NONE || now.host != host)
		return;
	now.host = NULL;
	stop(AGENT_INTERRUPTED);
}

bool execution_is_abandoned(void)
{
	return now.state != EXECUTION_NONE && !now.host;
}

bool execution_is_running(void)
{
	return now.state != EXECUTION_NONE;
}

void execution_resume(struct execution_host *host)
{
	if (now.state == EXECUTION_RUNNING && now.host == host && host->waiting(host) < WAITING_LOW_BYTES)
		pause_output(false);
}

static void take_output(enum output_stream stream, const uint8_t *data, size_t size)
{
	struct output_limit *output = &now.output[stream];
	size_t admitted;

	if (now.state != EXECUTION_RUNNING && now.state != EXECUTION_STOPPING)
		return;
	if (!now.host || (now.state == EXECUTION_STOPPING && host_is_full())) {
		output_discard(output, size);
		return;
	}
	admitted = output_admit(output, size);
	if (admitted)
		send_stream(stream, data, admitted);
}

static void on_output(struct interpreter *interpreter, enum output_stream stream, const uint8_t *data, size_t size)
{
	if (interpreter == now.interpreter)
		take_output(stream, data, size);
}

static void send_bundle(struct frame *frame)
{
	now.display_bytes += frame->length;
	if (now.host && now.display_bytes <= AGENT_DISPLAY_MAX && (now.state == EXECUTION_RUNNING || !host_is_full())) {
		frame_set_request(frame, now.request);
		now.host->send(now.host, frame);
		hold_back();
		return;
	}
	frame_destroy(frame);
	if (!now.display_was_dropped)
		send_note("\n[more than 32 MiB of display data: the rest was dropped]\n");
	now.display_was_dropped = true;
}

/* The driver's own AGENT_DONE. False if it makes no sense. */
static bool take_done(struct frame *frame)
{
	char sentence[SENTENCE_MAX] = "";
	struct bytes body = bytes_from(frame_body(frame), frame->length);
	uint8_t outcome = bytes_get_u8(&body);
	const uint8_t *text;
	size_t length;

	bytes_take(&body, DONE_FIXED_SIZE - 1);
	length = bytes_left(&body);
	text = bytes_take(&body, length);
	if (!text || (outcome != AGENT_OK && outcome != AGENT_ERROR))
		return false;
	end_flood();
	if (now.state == EXECUTION_STOPPING) {
		end_stopped(false);
		return true;
	}
	if (length >= sizeof(sentence))
		length = sizeof(sentence) - 1;
	length = utf8_valid_length(text, length);
	memcpy(sentence, text, length);
	if (now.lost_before[0])
		end(outcome, true, now.lost_before);
	else
		end(outcome, false, sentence);
	return true;
}

static void on_frame(struct interpreter *interpreter, struct frame *frame)
{
	bool sound;

	if (frame->type == AGENT_DONE) {
		sound = take_done(frame);
		frame_destroy(frame);
	} else {
		sound = bundle_is_valid(frame_body(frame), frame->length) &&
			!(frame->type == AGENT_RESULT && now.has_result);
		now.has_result |= frame->type == AGENT_RESULT;
		if (sound)
			send_bundle(frame);
		else
			frame_destroy(frame);
	}
	if (!sound)
		interpreter_kill_damaged(interpreter);
}

static void on_ready(struct interpreter *interpreter)
{
	if (now.state == EXECUTION_WAITING && now.interpreter == interpreter)
		run();
}

static void on_death(struct interpreter *interpreter, const char *how)
{
	bool concerned = now.state != EXECUTION_NONE && now.interpreter == interpreter;

	if (!concerned && interpreter->has_state)
		snprintf(interpreter->unreported_death, sizeof(interpreter->unreported_death),
			 "state of earlier executions is gone: %s", how);
	if (!concerned)
		return;
	if (now.state == EXECUTION_STOPPING)
		end_stopped(true);
	else
		end(AGENT_LOST, interpreter->has_state, how);
}

static void on_command_ended(uint8_t status, bool memory_ran_out)
{
	end_flood();
	if (now.state == EXECUTION_STOPPING) {
		end_stopped(false);
		return;
	}
	if (memory_ran_out)
		send_note("\n[the command, or a part of it, was killed because memory ran out]\n");
	end_with_status(status ? AGENT_ERROR : AGENT_OK, false, status, "");
}

const struct shell_listener execution_shell_listener = {
	.output = take_output,
	.ended = on_command_ended,
};

const struct interpreter_listener execution_listener = {
	.ready = on_ready,
	.output = on_output,
	.frame = on_frame,
	.died = on_death,
};
