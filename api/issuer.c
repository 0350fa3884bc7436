#include "api/issuer.h"

#include "api/key_source.h"
#include "common/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	REFRESH_MS = 15 * 60 * 1000,
	RETRY_MS = 10 * 1000, /* after a failure; also between two looks for an unknown key */
	KEYS_LIVE_MS =
		24 * 3600 * 1000, /* without a successful look: a key that was withdrawn must not live for ever */
};

struct issuer {
	uv_loop_t *loop;
	struct issuer_settings settings;
	struct jwks *keys;                /* NULL: there are none yet */
	uint64_t looked_ms, succeeded_ms; /* of uv_now() */
	uv_timer_t timer;
	bool is_timer_closed;

	/* One look at a time. While is_looking, the thread has what follows. */
	bool is_looking;
	uv_work_t work;
	struct jwks *found;
	struct error error;
	atomic_bool is_closing; /* read by the thread, too */
};

static void look(struct issuer *issuer);

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void free_if_unused(struct issuer *issuer)
{
	if (issuer->is_looking || !issuer->is_timer_closed)
		return;
	jwks_free(issuer->keys);
	free(issuer);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct issuer *issuer = handle->data;

	issuer->is_timer_closed = true;
	free_if_unused(issuer);
}

void issuer_close(struct issuer *issuer)
{
	if (!issuer)
		return;
	atomic_store(&issuer->is_closing, true);
	uv_close((uv_handle_t *)&issuer->timer, on_timer_closed);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
	look(timer->data);
}

/* In a thread. */
static void read_keys(uv_work_t *work)
{
	struct issuer *issuer = work->data;

	issuer->found = key_source_read(issuer->settings.keys, &issuer->is_closing, &issuer->error);
}

static void take(struct issuer *issuer)
{
	if (!issuer->keys || jwks_count(issuer->keys) != jwks_count(issuer->found))
		log_info("issuer=%s keys=%zu", issuer->settings.rules.issuer, jwks_count(issuer->found));
	jwks_free(issuer->keys);
	issuer->keys = issuer->found;
	issuer->found = NULL;
	issuer->succeeded_ms = uv_now(issuer->loop);
}

static void on_read(uv_work_t *work, int status)
{
	struct issuer *issuer = work->data;

	(void)status;
	issuer->is_looking = false;
	if (atomic_load(&issuer->is_closing)) {
		jwks_free(issuer->found);
		free_if_unused(issuer);
		return;
	}
	if (issuer->found)
		take(issuer);
	else
		log_warn("issuer=%s %s", issuer->settings.rules.issuer, issuer->error.text);
	uv_timer_start(&issuer->timer, on_timer, issuer->error.code ? RETRY_MS : REFRESH_MS, 0);
}

static void look(struct issuer *issuer)
{
	if (issuer->is_looking)
		return;
	issuer->is_looking = true;
	issuer->found = NULL;
	issuer->error = (struct error) { 0 };
	issuer->looked_ms = uv_now(issuer->loop);
	uv_queue_work(issuer->loop, &issuer->work, read_keys, on_read);
}

/* ---- the start --------------------------------------------------------------------------------------------------- */

struct issuer *issuer_create(uv_loop_t *loop, const struct issuer_settings *settings, struct error *err)
{
	struct issuer *issuer;

	if (key_source_check(settings->keys, err) < 0)
		return NULL;
	issuer = calloc(1, sizeof(*issuer));
	if (!issuer) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	issuer->loop = loop;
	issuer->settings = *settings;
	issuer->work.data = issuer;
	if (!key_source_is_url(settings->keys)) {
		issuer->found = key_source_read(settings->keys, &issuer->is_closing, err);
		if (!issuer->found) {
			free(issuer);
			return NULL;
		}
		take(issuer);
	}
	uv_timer_init(loop, &issuer->timer);
	issuer->timer.data = issuer;
	uv_timer_start(&issuer->timer, on_timer, issuer->keys ? REFRESH_MS : 0, 0);
	return issuer;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

bool issuer_identify(struct issuer *issuer, const char *token, int64_t now_ms, struct principal *principal,
		     const char **why)
{
	uint64_t now = uv_now(issuer->loop);
	int rc;

	if (!issuer->keys || now - issuer->succeeded_ms > KEYS_LIVE_MS) {
		*why = "The service does not have the issuer's keys at the moment: its log says why.";
		return false;
	}
	rc = jwt_verify(token, issuer->keys, &issuer->settings.rules, now_ms / 1000, principal, why);
	if (rc == -ENOKEY && now - issuer->looked_ms >= RETRY_MS)
		look(issuer);
	return rc == 0;
}
