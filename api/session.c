#include "api/container_farewell.h"
#include "api/metrics.h"
#include "api/session_private.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- states ------------------------------------------------------------------------------------------------------ */

#define TO(state) (1u << SESSION_##state)

static const uint16_t may_become[SESSION_N_STATES] = {
	/* One that was resumed or taken over has been used; one whose resumption failed is what it was. */
	[SESSION_BOOTING] = TO(READY) | TO(IDLE) | TO(SUSPENDED) | TO(COOLING),
	/* Its files may be used before it runs anything. */
	[SESSION_READY] = TO(BUSY) | TO(IDLE) | TO(SAVING) | TO(COOLING),
	[SESSION_BUSY] = TO(IDLE) | TO(COOLING),
	[SESSION_IDLE] = TO(BUSY) | TO(SAVING) | TO(COOLING),
	[SESSION_SAVING] = TO(READY) | TO(IDLE) | TO(SUSPENDED) | TO(COOLING),
	[SESSION_SUSPENDED] = TO(BOOTING) | TO(COOLING),
	[SESSION_COOLING] = TO(DESTROYED),
	[SESSION_DESTROYED] = 0,
};

static const char *const state_names[SESSION_N_STATES] = {
	"booting", "ready", "busy", "idle", "saving", "suspended", "cooling", "destroyed",
};

const char *session_source_name(enum session_source source)
{
	static const char *const names[] = { "reused", "warm", "restore", "boot", "fork", "resume" };

	return names[source];
}

void session_move(struct session *s, enum session_state state, const char *reason)
{
	char identifier[2 * SESSION_IDENTIFIER_MAX + 4];
	uint64_t now_ns = uv_hrtime();

	if (!(may_become[s->state] & 1u << state)) {
		log_error("session=%.8s cannot become %s from %s", s->guid, state_names[state], state_names[s->state]);
		abort();
	}
	log_message(state == SESSION_BUSY || s->state == SESSION_BUSY ? LOG_DEBUG : LOG_INFO,
		    "session=%.8s vm=%s pool=%s identifier=%s state=%s->%s took_ms=%.1f reason=%s", s->guid,
		    s->microvm ? microvm_id(s->microvm) : "-", s->pool,
		    log_quote(identifier, sizeof(identifier), s->identifier), state_names[s->state], state_names[state],
		    (double)(now_ns - s->state_since_ns) / 1e6, reason);
	s->state = state;
	s->state_since_ns = now_ns;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

struct session *session_find(const struct sessions *all, const char *identifier)
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

static void on_life_over(uv_timer_t *timer)
{
	session_end(timer->data, EXECUTION_ABORTED,
		    "the session has reached the end of its life (maxAlivePeriodInSeconds)", false);
}

void session_start_life(struct session *s)
{
	int64_t left_ms;

	uv_timer_stop(&s->life);
	if (!s->all->rules.max_alive_ms)
		return;
	left_ms = s->created_ms + (int64_t)s->all->rules.max_alive_ms - timestamp_now_ms();
	uv_timer_start(&s->life, on_life_over, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

struct session *session_create(struct sessions *all, const char *identifier, const char *guid, struct error *err)
{
	struct session *s = calloc(1, sizeof(*s) + strlen(identifier) + 1);

	if (!s) {
		error_set(err, SESSIONS_NO_MICROVM, "out of memory");
		return NULL;
	}
	memcpy(s->identifier, identifier, strlen(identifier) + 1);
	if (guid)
		snprintf(s->guid, sizeof(s->guid), "%s", guid);
	else
		guid_make(s->guid);
	s->all = all;
	snprintf(s->pool, sizeof(s->pool), "%s", all->rules.pool);
	s->state_since_ns = uv_hrtime();
	s->created_ms = timestamp_now_ms();
	s->writer = (struct snapshot_writer) { .state_fd = -1, .memory_fd = -1 };
	uv_timer_init(all->host->loop, &s->timer);
	uv_timer_init(all->host->loop, &s->life);
	uv_timer_init(all->host->loop, &s->foreground);
	s->timer.data = s->life.data = s->foreground.data = s;
	s->n_timers = 3;
	s->next = all->list;
	all->list = s;
	session_start_life(s);
	return s;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct session *s = handle->data;

	if (--s->n_timers)
		return;
	session_container_discard(s);
	free(s);
}

/* None of them strikes any more. */
static void close_timers(struct session *s)
{
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	uv_close((uv_handle_t *)&s->life, on_timer_closed);
	uv_close((uv_handle_t *)&s->foreground, on_timer_closed);
}

void session_discard(struct session *s)
{
	unlink_session(s);
	close_timers(s);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_microvm_gone(void *data)
{
	struct session *s = data;

	session_move(s, SESSION_DESTROYED, "nothing of it is left");
	metrics_count_ending(-1);
	close_timers(s);
}

/* What waited in a session that was lost never ran: it gets a fresh one. */
static void submit_again(struct sessions *all, const char *identifier, struct execution *e)
{
	struct error err = { 0 };
	uint64_t submitted_ns = e->submitted_ns;

	if (sessions_execute(all, identifier, e, &err) < 0)
		session_finish_early(e, EXECUTION_NOT_STARTED, err.text);
	else
		e->submitted_ns = submitted_ns;
}

static void finish_queue(struct session *s, struct execution *queue, enum execution_end end, const char *reason,
			 bool submit_queue)
{
	while (queue) {
		struct execution *e = queue;

		queue = e->next;
		e->session = NULL;
		if (submit_queue && !e->is_mute)
			submit_again(s->all, s->identifier, e);
		else
			session_finish_early(e, end, reason);
	}
}

static void keep(struct session *s, struct session_keepsake *keepsake)
{
	keepsake->next = s->keepsakes;
	s->keepsakes = keepsake;
}

void session_keep(const struct execution *e, struct session_keepsake *keepsake)
{
	keep(e->session, keepsake);
}

void session_use_keep(const struct session_use *u, struct session_keepsake *keepsake)
{
	keep(u->session, keepsake);
}

struct session_keepsake *session_use_kept(const struct session_use *u)
{
	return u->session->keepsakes;
}

struct session_keepsake **sessions_kept(const struct sessions *all, const char *identifier)
{
	struct session *s = session_find(all, identifier);

	return s ? &s->keepsakes : NULL;
}

static void end_keepsakes(struct session *s)
{
	while (s->keepsakes) {
		struct session_keepsake *keepsake = s->keepsakes;

		s->keepsakes = keepsake->next;
		keepsake->ended(keepsake);
	}
}

void session_end(struct session *s, enum execution_end end, const char *reason, bool submit_queue)
{
	struct execution *current = s->current, *queue = s->queue;
	struct microvm *vm = s->microvm;
	struct container_client *container = NULL;

	session_account(s);
	/* A service that stops waits for nobody. */
	if (end != EXECUTION_STOPPING)
		container = session_container_take(s);
	session_container_keep(s, reason);
	session_move(s, SESSION_COOLING, reason);
	metrics_count_ending(1);
	unlink_session(s);
	uv_timer_stop(&s->timer);
	uv_timer_stop(&s->life);
	uv_timer_stop(&s->foreground);
	snapshot_writer_abort(&s->writer, s->all->host->loop);
	snapshot_release(s->suspended);
	s->suspended = NULL;
	s->microvm = NULL;
	s->current = NULL;
	s->queue = NULL;
	/* First, so that nobody who is told below finds it half there. */
	if (vm && container)
		container_farewell(s->all->host->loop, vm, container, on_microvm_gone, s);
	else if (vm)
		microvm_destroy(vm, on_microvm_gone, s);
	session_fail_jobs(s, reason);
	session_fail_uses(s, end == EXECUTION_STOPPING ? SESSIONS_STOPPING : SESSIONS_NO_MICROVM, reason);
	if (current)
		session_finish_early(current, end, reason);
	session_tell_usage(s, true, reason);
	finish_queue(s, queue, end, reason, submit_queue);
	end_keepsakes(s);
	s->all->changed(s->all->data);
	if (!vm)
		on_microvm_gone(s);
}

bool sessions_end(struct sessions *all, const char *identifier)
{
	struct session *s = session_find(all, identifier);

	if (s)
		session_end(s, EXECUTION_ABORTED, "the session was deleted", false);
	return s != NULL;
}

void sessions_stop(struct sessions *all, enum execution_end end, const char *reason)
{
	all->is_stopping = true;
	while (all->list)
		session_end(all->list, end, reason, false);
}

/* Nothing of it is ended but what is only in this process. */
static void leave(struct session *s)
{
	struct execution *current = s->current, *queue = s->queue;

	log_info("session=%.8s vm=%s state=%s is left to the next hearthd", s->guid,
		 s->microvm ? microvm_id(s->microvm) : "-", state_names[s->state]);
	session_account(s);
	unlink_session(s);
	snapshot_writer_abort(&s->writer, s->all->host->loop);
	if (s->suspended)
		s->suspended->is_temporary = false;
	snapshot_release(s->suspended);
	/* What its memory is a difference over is needed when it is saved some day. */
	if (s->microvm && microvm_snapshot(s->microvm))
		microvm_snapshot(s->microvm)->is_temporary = false;
	s->current = NULL;
	s->queue = NULL;
	session_container_leave(s);
	if (s->microvm)
		microvm_leave(s->microvm);
	session_fail_jobs(s, "hearthd is stopping");
	session_fail_uses(s, SESSIONS_STOPPING, "The service is stopping.");
	if (current)
		session_finish_early(current, EXECUTION_STOPPING, "hearthd is stopping");
	session_tell_usage(s, false, "");
	finish_queue(s, queue, EXECUTION_STOPPING, "hearthd is stopping", false);
	end_keepsakes(s);
	close_timers(s);
}

void sessions_leave(struct sessions *all)
{
	all->is_stopping = true;
	while (all->list) {
		struct session *s = all->list;

		/* One that is being resumed is suspended to the next hearthd. */
		if (s->has_record || s->suspended)
			leave(s);
		else
			session_end(s, EXECUTION_STOPPING, "hearthd is stopping", false);
	}
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

struct sessions *sessions_create(struct microvm_host *host, struct templates *templates, struct stock *stock,
				 const struct sessions_settings *settings, void (*changed)(void *data), void *data)
{
	struct sessions *all = calloc(1, sizeof(*all));

	if (all) {
		all->host = host;
		all->templates = templates;
		all->stock = stock;
		all->settings = *settings;
		all->changed = changed;
		all->data = data;
	}
	return all;
}

void sessions_set_rules(struct sessions *all, const struct sessions_rules *rules)
{
	all->rules = *rules;
	for (struct session *s = all->list; s; s = s->next) {
		session_start_life(s);
		if (s->state == SESSION_IDLE || s->state == SESSION_READY)
			session_wait(s);
	}
}

void sessions_destroy(struct sessions *all)
{
	if (all)
		sessions_forget_containers(all);
	free(all);
}

struct sessions_counts sessions_count(const struct sessions *all)
{
	struct sessions_counts counts = { 0 };

	for (const struct session *s = all->list; s; s = s->next) {
		counts.n_sessions += s->state != SESSION_SUSPENDED;
		counts.n_suspended += s->state == SESSION_SUSPENDED;
		counts.n_starting += s->state == SESSION_BOOTING;
		counts.n_ready += s->state == SESSION_READY;
		counts.n_busy += s->state == SESSION_BUSY;
		counts.n_idle += s->state == SESSION_IDLE;
		counts.n_saving += s->state == SESSION_SAVING;
		counts.n_queued += s->n_queued;
		counts.memory_mib += s->microvm ? microvm_shape_of(s->microvm)->memory_mib : 0;
	}
	return counts;
}

unsigned int sessions_room(const struct sessions *all)
{
	unsigned int n = sessions_count(all).n_sessions;

	return n < all->rules.max_sessions ? all->rules.max_sessions - n : 0;
}

int session_check_room(const struct sessions *all, struct error *err)
{
	unsigned int n = sessions_count(all).n_sessions;

	if (all->is_stopping)
		return error_set(err, SESSIONS_STOPPING, "The service is stopping.");
	if (n >= all->rules.max_sessions)
		return error_set(err, SESSIONS_FULL,
				 "The request sessions count is '1'. There are already '%u' active sessions and the "
				 "maximum active sessions count is '%u'.",
				 n, all->rules.max_sessions);
	return 0;
}

unsigned int sessions_retry_after_s(const struct sessions *all)
{
	uint64_t soonest_ms = 60000;

	for (const struct session *s = all->list; s; s = s->next) {
		bool is_waiting = s->state == SESSION_READY || s->state == SESSION_IDLE;
		uint64_t due_ms = is_waiting && uv_is_active((const uv_handle_t *)&s->timer)
					  ? uv_timer_get_due_in(&s->timer)
					  : soonest_ms;

		soonest_ms = due_ms < soonest_ms ? due_ms : soonest_ms;
	}
	return (unsigned int)(soonest_ms / 1000) + 1;
}

/* ---- what it tells ----------------------------------------------------------------------------------------------- */

static int64_t due_ms(const uv_timer_t *timer)
{
	return uv_is_active((const uv_handle_t *)timer) ? timestamp_now_ms() + (int64_t)uv_timer_get_due_in(timer) : 0;
}

static int64_t expiry_ms(const struct session *s)
{
	int64_t life_ms = due_ms(&s->life);
	int64_t idle_ms = 0;

	if (s->state == SESSION_SUSPENDED)
		idle_ms = due_ms(&s->timer);
	else if (s->n_active_uses)
		idle_ms = 0;
	else if ((s->state == SESSION_IDLE || s->state == SESSION_READY) && s->all->rules.cooldown_ms)
		idle_ms = timestamp_now_ms() - (int64_t)((uv_hrtime() - s->idle_since_ns) / 1000000) +
			  (int64_t)s->all->rules.cooldown_ms;
	return !life_ms || (idle_ms && idle_ms < life_ms) ? idle_ms : life_ms;
}

void session_fill_info(const struct session *s, struct session_info *info)
{
	const struct microvm_shape *shape = s->microvm     ? microvm_shape_of(s->microvm)
					    : s->suspended ? &s->suspended->machine.shape
							   : &s->all->rules.shape;

	*info = (struct session_info) {
		.state = state_names[s->state],
		.source = session_source_name(s->source),
		.memory_mib = shape->memory_mib,
		.n_vcpus = shape->n_vcpus,
		.created_ms = s->created_ms,
		.last_end_ms = s->last_end_ms,
		.expires_ms = expiry_ms(s),
		.n_queued = s->n_queued,
		.n_executions = s->n_executions,
	};
	snprintf(info->identifier, sizeof(info->identifier), "%s", s->identifier);
	memcpy(info->guid, s->guid, sizeof(info->guid));
	snprintf(info->pool, sizeof(info->pool), "%s", s->all->rules.pool);
	if (!s->microvm)
		return;
	snprintf(info->vm_id, sizeof(info->vm_id), "%s", microvm_id(s->microvm));
	info->counts = *microvm_counts(s->microvm);
}

bool sessions_find(const struct sessions *all, const char *identifier, struct session_info *info)
{
	const struct session *s = session_find(all, identifier);

	if (s)
		session_fill_info(s, info);
	return s != NULL;
}

void sessions_each(const struct sessions *all, void (*visit)(void *data, const struct session_info *info), void *data)
{
	for (const struct session *s = all->list; s; s = s->next) {
		struct session_info info;

		session_fill_info(s, &info);
		visit(data, &info);
	}
}

void session_describe(const struct session *s, const struct microvm_shape *shape, struct session_record *r)
{
	const struct snapshot *snapshot = s->microvm ? microvm_snapshot(s->microvm) : NULL;

	*r = (struct session_record) { .created_ms = s->created_ms, .was_used = s->was_used, .shape = *shape };
	snprintf(r->identifier, sizeof(r->identifier), "%s", s->identifier);
	memcpy(r->guid, s->guid, sizeof(r->guid));
	snprintf(r->pool, sizeof(r->pool), "%s", s->all->rules.pool);
	if (!snapshot)
		return;
	snprintf(r->snapshot, sizeof(r->snapshot), "%s", snapshot->folder);
	r->snapshot_inode = snapshot->memory_inode;
	r->snapshot_changed_ns = snapshot->memory_changed_ns;
}

void session_record(struct session *s)
{
	const struct microvm_directory *d = microvm_directory_of(s->microvm);
	struct session_record r;
	int rc;

	session_describe(s, microvm_shape_of(s->microvm), &r);
	rc = session_record_write(&r, d->session);
	if (rc < 0)
		log_warn("session=%.8s cannot be taken over later: cannot write %s: %s", s->guid, d->session,
			 strerror(-rc));
	s->has_record = rc == 0;
	if (s->has_record)
		session_record_touch(d->session, s->state == SESSION_BUSY);
}
