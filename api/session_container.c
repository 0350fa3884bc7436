/*
 * The container that a session runs: started in a machine that was booted for it, taken up in any other, told whose it is;
 * and what is kept of it when it has ended.
 */
#include "api/container_client.h"
#include "api/container_log.h"
#include "api/container_spec.h"
#include "api/session_private.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENDED_KEPT_MS = 3600 * 1000,
	ENDED_MAX = 256, /* of a pool */
	ENVIRONMENT_SIZE = SESSION_IDENTIFIER_MAX + POOL_NAME_SIZE + GUID_SIZE + 128,
};

/* What is known of a container: what it wrote, how it has ended; and whose it was, once its session is over. */
struct container_record {
	struct container_record *next;
	struct container_log log;
	bool has_exited;
	struct agent_container_exit exit;
	char identifier[SESSION_IDENTIFIER_MAX + 1];
	char guid[GUID_SIZE];
	char reason[256]; /* of the session's end */
	int64_t ended_ms;
};

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

/* The session's, made if there is none yet. NULL if there is no memory. */
static struct container_record *record_of(struct session *s)
{
	if (!s->record)
		s->record = calloc(1, sizeof(*s->record));
	return s->record;
}

static void free_record(struct container_record *r)
{
	if (r)
		container_log_fini(&r->log);
	free(r);
}

static void forget(struct container_record **from)
{
	while (*from) {
		struct container_record *r = *from;

		*from = r->next;
		free_record(r);
	}
}

static void forget_old(struct sessions *all)
{
	int64_t oldest_ms = timestamp_now_ms() - ENDED_KEPT_MS;
	struct container_record **link = &all->ended;

	for (unsigned int n = 0; *link && n < ENDED_MAX && (*link)->ended_ms > oldest_ms; n++)
		link = &(*link)->next;
	forget(link);
}

void sessions_forget_containers(struct sessions *all)
{
	forget(&all->ended);
}

static bool is_blank(const struct container_record *r)
{
	return !r->has_exited && !r->log.size && !r->log.n_dropped;
}

void session_container_keep(struct session *s, const char *reason)
{
	struct container_record *r = STEAL(&s->record);

	session_container_leave(s);
	if (!r || is_blank(r)) {
		free_record(r);
		return;
	}
	snprintf(r->identifier, sizeof(r->identifier), "%s", s->identifier);
	memcpy(r->guid, s->guid, sizeof(r->guid));
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
	r->ended_ms = timestamp_now_ms();
	r->next = s->all->ended;
	s->all->ended = r;
	forget_old(s->all);
}

void session_container_discard(struct session *s)
{
	free_record(STEAL(&s->record));
}

bool sessions_container(struct sessions *all, const char *identifier, const char *guid, struct session_container *c)
{
	static const struct container_log empty;
	const struct session *s = session_find(all, identifier);
	const struct container_record *r;

	*c = (struct session_container) { .reason = "", .log = &empty };
	if (s && (!guid || strcmp(s->guid, guid) == 0)) {
		memcpy(c->guid, s->guid, sizeof(c->guid));
		c->log = s->record ? &s->record->log : &empty;
		return all->rules.container != NULL;
	}
	forget_old(all);
	for (r = all->ended; r; r = r->next)
		if (strcmp(r->identifier, identifier) == 0 && (!guid || strcmp(r->guid, guid) == 0))
			break;
	if (!r)
		return false;
	memcpy(c->guid, r->guid, sizeof(c->guid));
	c->is_over = true;
	c->reason = r->reason;
	c->exit = r->has_exited ? &r->exit : NULL;
	c->log = &r->log;
	return true;
}

size_t session_use_log(const struct session_use *u, char *text, size_t size)
{
	return u->session && u->session->record ? container_log_tail(&u->session->record->log, text, size) : 0;
}

/* ---- what it says ------------------------------------------------------------------------------------------------ */

static void on_usable(void *owner)
{
	struct session *s = owner;

	s->has_container = true;
	if (s->state != SESSION_BOOTING)
		return;
	uv_timer_stop(&s->timer);
	session_become_usable(s);
}

/*
 * Each connection hears the container's output from its beginning, or is told how much of that was dropped: of the next
 * `size` bytes, those that an earlier connection did not hear.
 */
static uint64_t hear(struct session *s, uint64_t size)
{
	uint64_t at = s->log_position, n_new;

	s->log_position = size < UINT64_MAX - at ? at + size : UINT64_MAX;
	n_new = s->log_position > s->log_heard ? s->log_position - s->log_heard : 0;
	s->log_heard += n_new;
	return n_new < size ? n_new : size;
}

static void on_output(void *owner, bool is_stderr, const uint8_t *data, size_t size)
{
	struct session *s = owner;
	size_t n = (size_t)hear(s, size);

	if (n && record_of(s))
		container_log_append(&s->record->log, is_stderr, data + size - n, n);
}

static void on_dropped(void *owner, uint64_t n_bytes)
{
	struct session *s = owner;
	uint64_t n = hear(s, n_bytes);

	if (n && record_of(s))
		container_log_note_dropped(&s->record->log, n);
}

/* It came to nothing: for a reason, and what it wrote last tells more. */
static void lose(struct session *s, const char *why)
{
	char text[CONTAINER_REASON_SIZE], reason[CONTAINER_REASON_SIZE + 64];

	container_log_explain(s->record ? &s->record->log : NULL, why, text);
	snprintf(reason, sizeof(reason), "its container %s: %s",
		 s->state == SESSION_BOOTING ? "was not to be had" : "cannot be watched any more", text);
	microvm_lose(s->microvm, reason);
}

static void on_exited(void *owner, const struct agent_container_exit *exit)
{
	struct session *s = owner;
	char reason[sizeof(exit->sentence) + 64];

	if (record_of(s)) {
		s->record->has_exited = true;
		s->record->exit = *exit;
	}
	if (s->state == SESSION_BOOTING) {
		lose(s, exit->sentence);
		return;
	}
	snprintf(reason, sizeof(reason), "its container has ended: %s", exit->sentence);
	session_end(s, EXECUTION_ABORTED, reason, false);
}

static void on_failed(void *owner, const char *reason, bool broke_protocol)
{
	struct session *s = owner;

	(void)broke_protocol;
	lose(s, reason);
}

static const struct container_events events = {
	.usable = on_usable,
	.output = on_output,
	.dropped = on_dropped,
	.exited = on_exited,
	.failed = on_failed,
};

/* ---- beginning and leaving --------------------------------------------------------------------------------------- */

static void on_late(uv_timer_t *timer)
{
	struct session *s = timer->data;
	char reason[80];

	snprintf(reason, sizeof(reason), "it was not ready within %u s (boot-timeout-seconds)",
		 s->all->host->boot_timeout_ms / 1000);
	lose(s, reason);
}

/* NAME=VALUE, each with its NUL. Returns the size. */
static size_t name_session(const struct session *s, char environment[ENVIRONMENT_SIZE])
{
	int n = snprintf(environment, ENVIRONMENT_SIZE,
			 "HEARTH_SESSION_IDENTIFIER=%s%cHEARTH_SESSION_ID=%s%c"
			 "HEARTH_SESSION_POOL=%s",
			 s->identifier, '\0', s->guid, '\0', s->pool);

	return (size_t)n + 1;
}

static void on_no_memory(uv_timer_t *timer)
{
	lose(timer->data, "out of memory");
}

/* Another one than the session may have had before. */
static void forget_earlier(struct session *s)
{
	if (s->record)
		s->record->has_exited = false;
	s->log_heard = 0;
}

void session_container_begin(struct session *s)
{
	char environment[ENVIRONMENT_SIZE];
	struct container_order order = { .environment = environment, .environment_size = name_session(s, environment) };
	int rc;

	s->log_position = 0;
	if (!s->has_container) {
		forget_earlier(s);
		order.start = container_spec_start(microvm_container(s->microvm), &order.start_size);
	}
	if (s->state == SESSION_BOOTING)
		uv_timer_start(&s->timer, on_late, s->all->host->boot_timeout_ms, 0);
	s->container = container_client_open(s->all->host->loop, microvm_directory_of(s->microvm)->vsock, &order,
					     &events, s, &rc);
	/* Not from within this call, whose caller goes on with the session. */
	if (!s->container && s->state == SESSION_BOOTING)
		uv_timer_start(&s->timer, on_no_memory, 0, 0);
	else if (!s->container)
		log_warn("session=%.8s nothing is heard of its container: %s", s->guid, strerror(-rc));
}

struct container_client *session_container_take(struct session *s)
{
	bool is_running = s->microvm && s->has_container && !(s->record && s->record->has_exited);

	/* One that is not in use yet has nothing to bring in order. */
	return is_running && s->state != SESSION_BOOTING ? STEAL(&s->container) : NULL;
}

void session_container_leave(struct session *s)
{
	/* What waited for it. */
	if (s->state == SESSION_BOOTING)
		uv_timer_stop(&s->timer);
	container_client_close(STEAL(&s->container));
}
