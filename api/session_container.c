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
	SAID_MAX = 512,  /* bytes of what a container wrote last, in a reason */
	ENVIRONMENT_SIZE = SESSION_IDENTIFIER_MAX + POOL_NAME_SIZE + GUID_SIZE + 128,
};

/* The container of a session that is over. */
struct container_end {
	struct container_end *next;
	char identifier[SESSION_IDENTIFIER_MAX + 1];
	char guid[GUID_SIZE];
	char reason[256]; /* of the session's end */
	bool has_exited;
	struct agent_container_exit exit;
	int64_t ended_ms;
	struct container_log log;
};

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

static void free_end(struct container_end *e)
{
	container_log_fini(&e->log);
	free(e);
}

static void forget(struct container_end **from)
{
	while (*from) {
		struct container_end *e = *from;

		*from = e->next;
		free_end(e);
	}
}

static void forget_old(struct sessions *all)
{
	int64_t oldest_ms = timestamp_now_ms() - ENDED_KEPT_MS;
	struct container_end **link = &all->ended;

	for (unsigned int n = 0; *link && n < ENDED_MAX && (*link)->ended_ms > oldest_ms; n++)
		link = &(*link)->next;
	forget(link);
}

void sessions_forget_containers(struct sessions *all)
{
	forget(&all->ended);
}

void session_container_keep(struct session *s, const char *reason)
{
	struct container_end *e = s->container_end ? s->container_end : calloc(1, sizeof(*e));

	session_container_leave(s);
	s->container_end = NULL;
	if (!e)
		return;
	if (!s->log && !e->has_exited) {
		free(e);
		return;
	}
	snprintf(e->identifier, sizeof(e->identifier), "%s", s->identifier);
	memcpy(e->guid, s->guid, sizeof(e->guid));
	snprintf(e->reason, sizeof(e->reason), "%s", reason);
	e->ended_ms = timestamp_now_ms();
	if (s->log)
		e->log = *s->log;
	free(STEAL(&s->log));
	e->next = s->all->ended;
	s->all->ended = e;
	forget_old(s->all);
}

void session_container_discard(struct session *s)
{
	if (s->log)
		container_log_fini(s->log);
	free(STEAL(&s->log));
	free(STEAL(&s->container_end));
}

bool sessions_container(struct sessions *all, const char *identifier, const char *guid, struct session_container *c)
{
	static const struct container_log empty;
	const struct session *s = session_find(all, identifier);
	const struct container_end *e;

	*c = (struct session_container) { .reason = "", .log = &empty };
	if (s && (!guid || strcmp(s->guid, guid) == 0)) {
		memcpy(c->guid, s->guid, sizeof(c->guid));
		c->log = s->log ? s->log : &empty;
		return all->rules.container != NULL;
	}
	forget_old(all);
	for (e = all->ended; e; e = e->next)
		if (strcmp(e->identifier, identifier) == 0 && (!guid || strcmp(e->guid, guid) == 0))
			break;
	if (!e)
		return false;
	memcpy(c->guid, e->guid, sizeof(c->guid));
	c->is_over = true;
	c->ended_ms = e->ended_ms;
	c->reason = e->reason;
	c->exit = e->has_exited ? &e->exit : NULL;
	c->log = &e->log;
	return true;
}

size_t session_use_log(const struct session_use *u, char *text, size_t size)
{
	return u->session && u->session->log ? container_log_tail(u->session->log, text, size) : 0;
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

static struct container_log *log_of(struct session *s)
{
	if (!s->log)
		s->log = calloc(1, sizeof(*s->log));
	return s->log;
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

	if (n && log_of(s))
		container_log_append(s->log, is_stderr, data + size - n, n);
}

static void on_dropped(void *owner, uint64_t n_bytes)
{
	struct session *s = owner;
	uint64_t n = hear(s, n_bytes);

	if (n && log_of(s))
		container_log_note_dropped(s->log, n);
}

/* It came to nothing: for a reason, and what it wrote last tells more. */
static void lose(struct session *s, const char *why)
{
	char reason[1024 + SAID_MAX], said[SAID_MAX], quoted[2 * SAID_MAX];
	size_t n = s->log ? container_log_tail(s->log, said, sizeof(said) - 1) : 0;

	said[n] = '\0';
	snprintf(reason, sizeof(reason), "its container %s: %.512s%s%.900s",
		 s->state == SESSION_BOOTING ? "was not to be had" : "cannot be watched any more", why,
		 n ? "; it wrote last: " : "", n ? log_quote(quoted, sizeof(quoted), said) : "");
	microvm_lose(s->microvm, reason);
}

static void on_exited(void *owner, const struct agent_container_exit *exit)
{
	struct session *s = owner;
	char reason[sizeof(exit->sentence) + 64];

	if (!s->container_end)
		s->container_end = calloc(1, sizeof(*s->container_end));
	if (s->container_end) {
		s->container_end->has_exited = true;
		s->container_end->exit = *exit;
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
	free(STEAL(&s->container_end));
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
	bool is_running = s->microvm && s->has_container && !(s->container_end && s->container_end->has_exited);

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
