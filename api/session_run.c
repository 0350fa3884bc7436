/* A session's executions, one after the other, and the time between them. */
#include "api/metrics.h"
#include "api/session_private.h"
#include "common/log.h"

#include <errno.h>
#include <string.h>

enum {
	LOSS_TIMEOUT_MS = 3000, /* for a microVM that took no order to say that it is lost */
};

/* ---- the end of an execution ------------------------------------------------------------------------------------- */

/* Neither its code nor its output: only how it went. */
static void log_execution(const struct session *s, const struct execution *e, const struct execution_report *report)
{
	char identifier[2 * SESSION_IDENTIFIER_MAX + 4];

	log_info("session=%.8s vm=%s pool=%s identifier=%s execution=%s language=%s ran_ms=%.3f wall_ms=%.3f%s%.200s",
		 s->guid, s->microvm ? microvm_id(s->microvm) : "-", s->pool,
		 log_quote(identifier, sizeof(identifier), s->identifier), metrics_execution_status(report),
		 metrics_language_name(e->language), (double)report->ran_us / 1000, (double)report->wall_us / 1000,
		 *report->sentence ? " reason=" : "", report->sentence);
}

static void finish(struct execution *e, struct execution_report *report)
{
	uint64_t now_ns = uv_hrtime();

	if (e->ordered_ns)
		report->wall_us = (now_ns - e->ordered_ns) / 1000;
	/* It is charged and counted, and nobody's guest may say that it ran for longer than we waited. */
	if (report->ran_us > report->wall_us)
		report->ran_us = report->wall_us;
	if (e->started_ns && (now_ns - e->started_ns) / 1000 > report->ran_us)
		report->read_us = (now_ns - e->started_ns) / 1000 - report->ran_us;
	if (e->session) {
		log_execution(e->session, e, report);
		e->session->usage.ran_us += report->ran_us;
		e->session->usage.n_executions += report->end != EXECUTION_NOT_STARTED;
	}
	e->session = NULL;
	metrics_count_execution(e->language, report);
	e->events->finished(e, report);
}

void session_finish_early(struct execution *e, enum execution_end end, const char *sentence)
{
	struct execution_report report = { .end = end, .sentence = sentence };

	if (e->started_ns)
		report.ran_us = (uv_hrtime() - e->started_ns) / 1000;
	finish(e, &report);
}

static void on_guard(uv_timer_t *timer);

/* The code is to end now. Whatever else computes, its machine gets the CPU for that. */
static void give_grace(struct session *s)
{
	session_stay_in_foreground(s);
	uv_timer_start(&s->timer, on_guard, s->all->settings.answer_grace_ms, 0);
}

/* The agent stops the code. */
static void on_time_limit(uv_timer_t *timer)
{
	give_grace(timer->data);
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
		give_grace(s);
		return;
	}
	session_end(s, e->started_ns ? EXECUTION_TIMED_OUT : EXECUTION_ABORTED,
		    e->started_ns ? "the session did not stop the code when its time was over"
				  : "the session's interpreter did not start in time",
		    true);
}

/* ---- the time between -------------------------------------------------------------------------------------------- */

static void on_idle_over(uv_timer_t *timer)
{
	struct session *s = timer->data;
	uint64_t idle_ms = (uv_hrtime() - s->idle_since_ns) / 1000000;

	/* The loop's clock may be a little ahead of this one. */
	if (s->all->rules.cooldown_ms && idle_ms + 10 >= s->all->rules.cooldown_ms)
		session_end(s, EXECUTION_ABORTED, "idle for the cooldown time", false);
	else if (s->all->settings.suspend_after_ms && !s->is_suspend_off &&
		 idle_ms + 10 >= s->all->settings.suspend_after_ms)
		session_suspend_idle(s);
	else
		session_wait(s); /* the loop stood still when the timer was started */
}

void session_wait(struct session *s)
{
	uint64_t idle_ms = (uv_hrtime() - s->idle_since_ns) / 1000000;
	uint64_t limit_ms = s->all->rules.cooldown_ms;
	uint64_t suspend_ms = s->is_suspend_off ? 0 : s->all->settings.suspend_after_ms;

	if (s->n_active_uses)
		limit_ms = suspend_ms = 0;
	if (suspend_ms && (!limit_ms || suspend_ms < limit_ms))
		limit_ms = suspend_ms;
	if (limit_ms)
		uv_timer_start(&s->timer, on_idle_over, limit_ms > idle_ms ? limit_ms - idle_ms : 0, 0);
	else
		uv_timer_stop(&s->timer);
}

/* ---- one execution ----------------------------------------------------------------------------------------------- */

static void fill_start(struct session *s, struct execution *e)
{
	const struct microvm_timing *timing = microvm_timing(s->microvm);
	uint64_t usable_ns = e->submitted_ns > s->ready_ns ? e->submitted_ns : s->ready_ns;

	memcpy(e->start.session_guid, s->guid, sizeof(s->guid));
	e->start.allocation_us = (usable_ns - e->submitted_ns) / 1000;
	e->start.queued_us = (e->ordered_ns - usable_ns) / 1000;
	e->start.is_new_session = !s->was_used;
	e->start.source = s->next_source;
	if (e->start.source == SESSION_REUSED)
		return;
	metrics_observe_allocation(e->start.source, e->start.allocation_us);
	e->start.vmm_us = timing->vmm_us;
	e->start.kernel_us = timing->kernel_us;
	e->start.agent_us = timing->agent_us;
	e->start.adopt_us = timing->adopt_us;
}

/* How long an execution may take to begin. An interpreter that was warm begins at once, whatever became of its machine. */
static uint64_t start_limit_ms(const struct session *s, const struct execution *e)
{
	const struct sessions_settings *settings = &s->all->settings;
	uint64_t limit_ms = e->timeout_ms + settings->answer_grace_ms;

	if (!e->timeout_ms || !(s->warm_languages & 1u << e->language) || limit_ms > settings->start_grace_ms)
		return settings->start_grace_ms;
	return limit_ms;
}

/* Orders the oldest that waits. The session is ready or idle. */
static void start_next(struct session *s)
{
	struct execution *e = s->queue;
	struct agent_order order = {
		.language = e->language,
		.flags = e->flags,
		.timeout_ms = e->timeout_ms,
		.output_limit = e->output_limit,
		.code = e->code,
		.code_size = e->code_size,
	};
	uint64_t guard_ms = start_limit_ms(s, e);

	s->queue = e->next;
	s->n_queued--;
	s->current = e;
	e->next = NULL;
	e->ordered_ns = uv_hrtime();
	session_enter_foreground(s);
	/* If that fails the microVM is being lost, and says so within moments; the guard sees to it that it does. */
	if (microvm_execute(s->microvm, &order) < 0)
		guard_ms = LOSS_TIMEOUT_MS;
	/* The guest has its work: all else is done while it begins. */
	fill_start(s, e);
	s->was_used = true;
	session_move(s, SESSION_BUSY, "an execution is ordered");
	if (s->has_record)
		session_record_touch(microvm_directory_of(s->microvm)->session, true);
	else
		session_record(s);
	uv_timer_start(&s->timer, on_guard, guard_ms, 0);
}

void session_go_on(struct session *s)
{
	/* A job that saves the machine waits for its uses to end, and what comes later waits for the job. */
	if (s->jobs && (s->n_active_uses == 0 || s->jobs->kind == JOB_RESUME)) {
		session_begin_job(s);
		return;
	}
	if (s->jobs) {
		session_wait(s);
		return;
	}
	session_begin_uses(s);
	if (s->state != SESSION_READY && s->state != SESSION_IDLE)
		return;
	if (s->queue)
		start_next(s);
	else
		session_wait(s);
}

/* ---- what the microVM says --------------------------------------------------------------------------------------- */

void session_vm_started(void *owner, uint64_t waited_us)
{
	struct session *s = owner;
	struct execution *e = s->current;

	e->started_ns = uv_hrtime();
	s->warm_languages |= 1u << e->language;
	e->start.interpreter_us = waited_us;
	e->start.first_byte_us = (e->started_ns - e->ordered_ns) / 1000;
	if (e->start.source == SESSION_WARM)
		e->start.resume_us = microvm_timing(s->microvm)->resume_us;
	s->next_source = SESSION_REUSED;
	if (e->timeout_ms)
		uv_timer_start(&s->timer, on_time_limit, e->timeout_ms, 0);
	else
		uv_timer_stop(&s->timer);
	if (!e->is_mute)
		e->events->started(e);
}

void session_vm_output(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	struct execution *e = ((struct session *)owner)->current;

	if (!e->is_mute)
		e->events->output(e, stream, data, size);
}

void session_vm_display(void *owner, const struct mime_bundle *bundle, bool is_result)
{
	struct execution *e = ((struct session *)owner)->current;

	if (!e->is_mute)
		e->events->display(e, bundle, is_result);
}

void session_vm_done(void *owner, const struct agent_done *done)
{
	struct session *s = owner;
	struct sessions *all = s->all;
	struct execution *e = s->current;
	struct execution_report report = {
		.end = EXECUTION_RAN,
		.outcome = done->outcome,
		.exit_status = done->exit_status,
		.state_lost = done->state_lost,
		.sentence = done->sentence,
		.stdout_cut_bytes = done->stdout_cut_bytes,
		.stderr_cut_bytes = done->stderr_cut_bytes,
		.ran_us = done->ran_us,
	};

	if (done->state_lost)
		s->warm_languages &= ~(1u << e->language);
	report.loss_before = s->has_untold_loss;
	s->has_untold_loss = e->is_mute && (done->state_lost || s->has_untold_loss);
	s->current = NULL;
	s->n_executions++;
	s->idle_since_ns = uv_hrtime();
	s->last_end_ms = timestamp_now_ms();
	microvm_pause_output(s->microvm, false);
	session_move(s, SESSION_IDLE, "the execution is over");
	session_wait(s);
	/* The one whose answer this is first; it may end the session. */
	finish(e, &report);
	if (s->state == SESSION_IDLE) {
		if (s->has_record)
			session_record_touch(microvm_directory_of(s->microvm)->session, false);
		session_go_on(s);
	}
	all->changed(all->data);
}

/* ---- what clients ask for ---------------------------------------------------------------------------------------- */

struct session *session_get(struct sessions *all, const char *identifier, struct error *err)
{
	struct session *s = session_find(all, identifier);

	if (all->is_stopping) {
		error_set(err, SESSIONS_STOPPING, "The service is stopping.");
		return NULL;
	}
	if (s && s->n_queued + s->n_waiting_uses >= all->settings.max_queued) {
		error_set(err, SESSIONS_QUEUE_FULL, "There are already '%u' requests that wait in this session.",
			  s->n_queued + s->n_waiting_uses);
		return NULL;
	}
	if (s && s->state != SESSION_SUSPENDED)
		return s;
	if (s)
		return session_wake(s, err) < 0 ? NULL : s;
	if (session_check_room(all, err) < 0)
		return NULL;
	s = session_create(all, identifier, NULL, err);
	if (s && session_start(s, err) < 0) {
		session_discard(s);
		return NULL;
	}
	return s;
}

static void count_refusal(int code)
{
	metrics_count_error(code == SESSIONS_FULL         ? METRICS_POOL_FULL
			    : code == SESSIONS_QUEUE_FULL ? METRICS_QUEUE_FULL
			    : code == SESSIONS_TOO_FAST   ? METRICS_TOO_FAST
			    : code == SESSIONS_STOPPING   ? METRICS_STOPPING
							  : METRICS_ALLOCATION_FAILED);
}

int sessions_execute(struct sessions *all, const char *identifier, struct execution *e, struct error *err)
{
	struct execution **link;
	struct session *s;

	e->submitted_ns = uv_hrtime();
	if (!e->is_admitted && session_admit(all, session_find(all, identifier), err) < 0) {
		count_refusal(err->code);
		return -err->code;
	}
	e->is_admitted = true;
	s = session_get(all, identifier, err);
	if (!s) {
		count_refusal(err->code);
		return -err->code;
	}
	for (link = &s->queue; *link;)
		link = &(*link)->next;
	*link = e;
	e->next = NULL;
	e->session = s;
	s->n_queued++;
	if (s->state == SESSION_READY || s->state == SESSION_IDLE)
		session_go_on(s);
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
	/* Its session is ending, and about to tell it so. */
	if (s->current != e)
		return false;
	execution_pause(e, false);
	microvm_interrupt(s->microvm);
	/* Before its start the guard over that goes on: the agent answers the interrupt once it has started. */
	if (e->started_ns)
		give_grace(s);
	else
		session_stay_in_foreground(s);
	return false;
}

void execution_pause(struct execution *e, bool paused)
{
	if (!e->session || e->session->current != e || e->is_paused == paused)
		return;
	e->is_paused = paused;
	microvm_pause_output(e->session->microvm, paused);
}
