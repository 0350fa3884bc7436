#include "api/session.h"

#include "api/guid.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOSS_TIMEOUT_MS = 3000, /* for a microVM that took no order to say that it is lost */
};

enum session_state {
	SESSION_STARTING, /* its microVM boots */
	SESSION_READY,    /* nothing runs; the cooldown timer does */
	SESSION_BUSY,     /* `current` runs */
	SESSION_ENDING,   /* out of the list, freed as soon as libuv lets go of the timer */
	SESSION_N_STATES,
};

#define TO(state) (1u << (state))

static const uint8_t may_become[SESSION_N_STATES] = {
	[SESSION_STARTING] = TO(SESSION_READY) | TO(SESSION_ENDING),
	[SESSION_READY] = TO(SESSION_BUSY) | TO(SESSION_ENDING),
	[SESSION_BUSY] = TO(SESSION_READY) | TO(SESSION_ENDING),
	[SESSION_ENDING] = 0,
};

static const char *const state_names[] = { "starting", "ready", "busy", "ending" };

struct session {
	struct sessions *all;
	struct session *next;
	enum session_state state;
	uint64_t state_since_ns;
	uint64_t ready_ns;
	bool was_used;
	bool has_untold_loss; /* the interpreter was replaced, and whose execution that was has gone */
	struct microvm *microvm;
	uv_timer_t timer;          /* cooldown while ready, the guard over `current` while busy */
	struct execution *current; /* the one that runs, while busy */
	struct execution *queue;   /* those that wait, oldest first */
	unsigned int n_queued;
	char guid[GUID_SIZE];
	char identifier[];
};

struct sessions {
	struct microvm_host *host;
	struct sessions_settings settings;
	struct session *list;
	bool is_stopping;
};

static void move(struct session *s, enum session_state state, const char *reason)
{
	uint64_t now_ns = uv_hrtime();

	if (!(may_become[s->state] & TO(state))) {
		log_error("session=%.8s cannot become %s from %s", s->guid, state_names[state], state_names[s->state]);
		abort();
	}
	log_message(state == SESSION_ENDING || s->state == SESSION_STARTING ? LOG_INFO : LOG_DEBUG,
		    "session=%.8s vm=%s state=%s->%s took_ms=%llu reason=%s", s->guid,
		    s->microvm ? microvm_id(s->microvm) : "-", state_names[s->state], state_names[state],
		    (unsigned long long)((now_ns - s->state_since_ns) / 1000000), reason);
	s->state = state;
	s->state_since_ns = now_ns;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static struct session *find(const struct sessions *all, const char *identifier)
{
	for (struct session *s = all->list; s; s = s->next)
		if (strcmp(s->identifier, identifier) == 0)
			return s;
	return NULL;
}

static void unlink_session(struct session *s)
{
	struct session **link = &s->all->list;

	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
}

static void finish(struct execution *e, struct execution_report *report)
{
	uint64_t now_ns = uv_hrtime();

	if (e->ordered_ns)
		report->wall_us = (now_ns - e->ordered_ns) / 1000;
	if (e->started_ns && (now_ns - e->started_ns) / 1000 > report->ran_us)
		report->read_us = (now_ns - e->started_ns) / 1000 - report->ran_us;
	e->session = NULL;
	e->events->finished(e, report);
}

static void finish_early(struct execution *e, enum execution_end end, const char *sentence)
{
	struct execution_report report = { .end = end, .sentence = sentence };

	if (e->started_ns)
		report.ran_us = (uv_hrtime() - e->started_ns) / 1000;
	finish(e, &report);
}

/* What waited in a session that was lost never ran: it gets a fresh one. */
static void submit_again(struct sessions *all, const char *identifier, struct execution *e)
{
	struct error err = { 0 };
	uint64_t submitted_ns = e->submitted_ns;

	if (sessions_execute(all, identifier, e, &err) < 0)
		finish_early(e, EXECUTION_NOT_STARTED, err.text);
	else
		e->submitted_ns = submitted_ns;
}

/* Ends the session. The running execution finishes with `end`; what waits is submitted anew if `submit_queue`. */
static void end_session(struct session *s, enum execution_end end, const char *reason, bool submit_queue)
{
	struct execution *current = s->current, *queue = s->queue;

	move(s, SESSION_ENDING, reason);
	unlink_session(s);
	microvm_destroy(s->microvm);
	s->microvm = NULL;
	s->current = NULL;
	s->queue = NULL;
	if (current)
		finish_early(current, end, reason);
	while (queue) {
		struct execution *e = queue;

		queue = e->next;
		e->session = NULL;
		if (submit_queue)
			submit_again(s->all, s->identifier, e);
		else
			finish_early(e, end, reason);
	}
	/* Last, since its callback frees the session. */
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void on_cooldown(uv_timer_t *timer)
{
	end_session(timer->data, EXECUTION_ABORTED, "idle for the cooldown time", false);
}

/* The agent did not answer in time. */
static void on_guard(uv_timer_t *timer)
{
	struct session *s = timer->data;
	struct execution *e = s->current;

	if (e->is_paused) {
		/* It could not: the client does not read. What the code still writes is lost to it. */
		e->is_mute = true;
		e->is_paused = false;
		microvm_pause_output(s->microvm, false);
		microvm_interrupt(s->microvm);
		uv_timer_start(&s->timer, on_guard, s->all->settings.answer_grace_ms, 0);
		return;
	}
	end_session(s, e->started_ns ? EXECUTION_TIMED_OUT : EXECUTION_ABORTED,
		    e->started_ns ? "the session did not stop the code when its time was over"
				  : "the session's interpreter did not start in time",
		    true);
}

/* Orders the oldest that waits. The session is ready. */
static void start_next(struct session *s)
{
	struct execution *e = s->queue;
	const struct microvm_timing *timing = microvm_timing(s->microvm);
	struct agent_order order = {
		.language = e->language,
		.timeout_ms = e->timeout_ms,
		.output_limit = e->output_limit,
		.code = e->code,
		.code_size = e->code_size,
	};
	uint64_t usable_ns = e->submitted_ns > s->ready_ns ? e->submitted_ns : s->ready_ns;
	uint64_t guard_ms = s->all->settings.start_grace_ms;

	s->queue = e->next;
	s->n_queued--;
	s->current = e;
	e->next = NULL;
	e->ordered_ns = uv_hrtime();
	memcpy(e->start.session_guid, s->guid, sizeof(s->guid));
	e->start.allocation_us = (usable_ns - e->submitted_ns) / 1000;
	e->start.queued_us = (e->ordered_ns - usable_ns) / 1000;
	e->start.is_new_session = !s->was_used;
	if (!s->was_used) {
		e->start.vmm_us = timing->vmm_us;
		e->start.kernel_us = timing->kernel_us;
		e->start.agent_us = timing->agent_us;
	}
	s->was_used = true;
	move(s, SESSION_BUSY, "an execution is ordered");
	/* If that fails the microVM is being lost, and says so within moments; the guard sees to it that it does. */
	if (microvm_execute(s->microvm, &order) < 0)
		guard_ms = LOSS_TIMEOUT_MS;
	uv_timer_start(&s->timer, on_guard, guard_ms, 0);
}

static void vm_ready(void *owner)
{
	struct session *s = owner;

	move(s, SESSION_READY, "its microVM is ready");
	s->ready_ns = uv_hrtime();
	if (s->queue)
		start_next(s);
	else
		uv_timer_start(&s->timer, on_cooldown, s->all->settings.cooldown_ms, 0);
}

static void vm_lost(void *owner, const char *reason)
{
	struct session *s = owner;
	bool was_starting = s->state == SESSION_STARTING;

	s->microvm = NULL;
	end_session(s, was_starting ? EXECUTION_NOT_STARTED : EXECUTION_ABORTED, reason, !was_starting);
}

static void vm_started(void *owner, uint64_t waited_us)
{
	struct session *s = owner;
	struct execution *e = s->current;

	e->started_ns = uv_hrtime();
	e->start.interpreter_us = waited_us;
	uv_timer_start(&s->timer, on_guard, e->timeout_ms + s->all->settings.answer_grace_ms, 0);
	if (!e->is_mute)
		e->events->started(e);
}

static void vm_output(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	struct execution *e = ((struct session *)owner)->current;

	if (!e->is_mute)
		e->events->output(e, stream, data, size);
}

static void vm_display(void *owner, const struct mime_bundle *bundle, bool is_result)
{
	struct execution *e = ((struct session *)owner)->current;

	if (!e->is_mute)
		e->events->display(e, bundle, is_result);
}

static void vm_done(void *owner, const struct agent_done *done)
{
	struct session *s = owner;
	struct execution *e = s->current;
	struct execution_report report = {
		.end = EXECUTION_RAN,
		.outcome = done->outcome,
		.state_lost = done->state_lost,
		.sentence = done->sentence,
		.stdout_cut_bytes = done->stdout_cut_bytes,
		.stderr_cut_bytes = done->stderr_cut_bytes,
		.ran_us = done->ran_us,
	};

	report.loss_before = s->has_untold_loss;
	s->has_untold_loss = e->is_mute && (done->state_lost || s->has_untold_loss);
	s->current = NULL;
	microvm_pause_output(s->microvm, false);
	move(s, SESSION_READY, "the execution is over");
	uv_timer_start(&s->timer, on_cooldown, s->all->settings.cooldown_ms, 0);
	finish(e, &report);
	if (s->state == SESSION_READY && s->queue)
		start_next(s);
}

static const struct microvm_owner microvm_callbacks = {
	.ready = vm_ready,
	.lost = vm_lost,
	.started = vm_started,
	.output = vm_output,
	.display = vm_display,
	.done = vm_done,
};

static struct session *session_create(struct sessions *all, const char *identifier, struct error *err)
{
	struct session *s = calloc(1, sizeof(*s) + strlen(identifier) + 1);

	if (!s) {
		error_set(err, SESSIONS_NO_MICROVM, "out of memory");
		return NULL;
	}
	s->microvm = microvm_create(all->host, &microvm_callbacks, s, err);
	if (!s->microvm) {
		err->code = SESSIONS_NO_MICROVM;
		free(s);
		return NULL;
	}
	memcpy(s->identifier, identifier, strlen(identifier) + 1);
	guid_make(s->guid);
	s->all = all;
	s->state_since_ns = uv_hrtime();
	uv_timer_init(all->host->loop, &s->timer);
	s->timer.data = s;
	s->next = all->list;
	all->list = s;
	log_info("session=%.8s vm=%s state=starting identifier=%.64s", s->guid, microvm_id(s->microvm), identifier);
	return s;
}

static int check_room(const struct sessions *all, const struct session *s, struct error *err)
{
	unsigned int n = sessions_count(all).n_sessions;

	if (all->is_stopping)
		return error_set(err, SESSIONS_STOPPING, "The service is stopping.");
	if (!s && n >= all->settings.max_sessions)
		return error_set(err, SESSIONS_FULL,
				 "The request sessions count is '1'. There are already '%u' active sessions and the "
				 "maximum active sessions count is '%u'.",
				 n, all->settings.max_sessions);
	if (s && s->n_queued >= all->settings.max_queued)
		return error_set(err, SESSIONS_QUEUE_FULL,
				 "There are already '%u' executions that wait in this session.", s->n_queued);
	return 0;
}

int sessions_execute(struct sessions *all, const char *identifier, struct execution *e, struct error *err)
{
	struct session *s = find(all, identifier);
	struct execution **link;
	int rc = check_room(all, s, err);

	if (rc < 0)
		return rc;
	e->submitted_ns = uv_hrtime();
	if (!s)
		s = session_create(all, identifier, err);
	if (!s)
		return -err->code;
	for (link = &s->queue; *link;)
		link = &(*link)->next;
	*link = e;
	e->next = NULL;
	e->session = s;
	s->n_queued++;
	if (s->state == SESSION_READY)
		start_next(s);
	return 0;
}

bool execution_cancel(struct execution *e)
{
	struct session *s = e->session;
	struct execution **link;

	if (!s)
		return true;
	for (link = &s->queue; *link && *link != e;)
		link = &(*link)->next;
	if (*link) {
		*link = e->next;
		s->n_queued--;
		e->session = NULL;
		return true;
	}
	e->is_mute = true;
	execution_pause(e, false);
	microvm_interrupt(s->microvm);
	/* Before its start the guard over that goes on: the agent answers the interrupt once it has started. */
	if (e->started_ns)
		uv_timer_start(&s->timer, on_guard, s->all->settings.answer_grace_ms, 0);
	return false;
}

void execution_pause(struct execution *e, bool paused)
{
	if (!e->session || e->session->current != e || e->is_paused == paused)
		return;
	e->is_paused = paused;
	microvm_pause_output(e->session->microvm, paused);
}

bool sessions_end(struct sessions *all, const char *identifier)
{
	struct session *s = find(all, identifier);

	if (s)
		end_session(s, EXECUTION_ABORTED, "the session was deleted", false);
	return s != NULL;
}

void sessions_stop(struct sessions *all)
{
	all->is_stopping = true;
	while (all->list)
		end_session(all->list, EXECUTION_STOPPING, "hearthd is stopping", false);
}

struct sessions_counts sessions_count(const struct sessions *all)
{
	struct sessions_counts counts = { 0 };

	for (const struct session *s = all->list; s; s = s->next) {
		counts.n_sessions++;
		counts.n_starting += s->state == SESSION_STARTING;
		counts.n_busy += s->state == SESSION_BUSY;
		counts.n_queued += s->n_queued;
	}
	return counts;
}

unsigned int sessions_retry_after_s(const struct sessions *all)
{
	uint64_t soonest_ms = 60000;

	for (const struct session *s = all->list; s; s = s->next) {
		uint64_t due_ms = s->state == SESSION_READY ? uv_timer_get_due_in(&s->timer) : soonest_ms;

		soonest_ms = due_ms < soonest_ms ? due_ms : soonest_ms;
	}
	return (unsigned int)(soonest_ms / 1000) + 1;
}

struct sessions *sessions_create(struct microvm_host *host, const struct sessions_settings *settings)
{
	struct sessions *all = calloc(1, sizeof(*all));

	if (all) {
		all->host = host;
		all->settings = *settings;
	}
	return all;
}

void sessions_destroy(struct sessions *all)
{
	free(all);
}
