/*
 * What uses a session's machine beside its executions: operations on its files, and requests to its container. They run
 * at the same time as code.
 */
#include "api/session_private.h"

enum {
	ACTIVE_MAX = 8,    /* uses of a session at a time: its agent serves 16 connections */
	PROXIED_MAX = 240, /* likewise: and 256 to the container, of which some may be idle */
};

static void unlink_use(struct session *s, struct session_use *u)
{
	struct session_use **link = &s->uses;

	while (*link != u)
		link = &(*link)->next;
	*link = u->next;
	u->next = NULL;
	u->session = NULL;
	if (u->is_active) {
		s->n_active_uses--;
		s->n_proxied_uses -= u->is_proxied;
	} else {
		s->n_waiting_uses--;
	}
	u->is_active = false;
}

/* The machine runs and the session is a used one from now on. */
static void begin_to_use(struct session *s)
{
	session_enter_foreground(s);
	microvm_run(s->microvm);
	s->was_used = true;
	s->next_source = SESSION_REUSED;
	if (s->state == SESSION_READY)
		session_move(s, SESSION_IDLE, "its files or its container are used");
	if (s->state == SESSION_IDLE)
		uv_timer_stop(&s->timer);
	if (!s->has_record)
		session_record(s);
	if (s->has_record)
		session_record_touch(microvm_directory_of(s->microvm)->session, true);
}

static bool has_place(const struct session *s, const struct session_use *u)
{
	return u->is_proxied ? s->n_proxied_uses < PROXIED_MAX : s->n_active_uses - s->n_proxied_uses < ACTIVE_MAX;
}

static struct session_use *next_waiting(const struct session *s)
{
	struct session_use *u = s->uses;

	while (u && (u->is_active || !has_place(s, u)))
		u = u->next;
	return u;
}

void session_begin_uses(struct session *s)
{
	struct session_use *u;

	/* What is called may end uses, and even the session, which then has none that waits. */
	while ((u = next_waiting(s))) {
		s->n_waiting_uses--;
		s->n_active_uses++;
		s->n_proxied_uses += u->is_proxied;
		u->is_active = true;
		begin_to_use(s);
		u->ready(u, s->microvm, s->guid);
	}
}

static bool can_be_used(const struct session *s)
{
	return (s->state == SESSION_READY || s->state == SESSION_IDLE || s->state == SESSION_BUSY) && !s->jobs;
}

int sessions_use(struct sessions *all, const char *identifier, struct session_use *u, struct error *err)
{
	struct session_use **link;
	struct session *s;

	if (session_admit(all, session_find(all, identifier), err) < 0)
		return -err->code;
	s = session_get(all, identifier, err);
	if (!s)
		return -err->code;
	for (link = &s->uses; *link;)
		link = &(*link)->next;
	*link = u;
	u->next = NULL;
	u->session = s;
	u->is_active = false;
	s->n_waiting_uses++;
	if (can_be_used(s))
		session_begin_uses(s);
	return 0;
}

/* The last one is over: the session's idle time begins. */
static void become_unused(struct session *s)
{
	struct sessions *all = s->all;

	if (s->state != SESSION_IDLE)
		return;
	s->idle_since_ns = uv_hrtime();
	s->last_end_ms = timestamp_now_ms();
	if (s->has_record)
		session_record_touch(microvm_directory_of(s->microvm)->session, false);
	session_go_on(s);
	all->changed(all->data);
}

void session_use_end(struct session_use *u)
{
	struct session *s = u->session;
	bool was_active = u->is_active;

	if (!s)
		return;
	unlink_use(s, u);
	if (was_active && can_be_used(s))
		session_begin_uses(s);
	if (was_active && s->n_active_uses == 0)
		become_unused(s);
}

void session_fail_uses(struct session *s, int code, const char *reason)
{
	struct error err = { 0 };

	error_set(&err, code, "%s", reason);
	while (s->uses) {
		struct session_use *u = s->uses;

		unlink_use(s, u);
		u->failed(u, &err);
	}
}
