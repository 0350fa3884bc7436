/*
 * What a template of a container needs beside what those of interpreters do: its container is started before the snapshot,
 * and asked for something in the clone whose pages are written down.
 */
#include "api/container_client.h"
#include "api/container_log.h"
#include "api/container_spec.h"
#include "api/ingress.h"
#include "api/microvm_directory.h"
#include "api/template_private.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ASK_TIMEOUT_MS = 5000,
};

#define QUESTION "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

void template_container_abort(struct template *t)
{
	/* Of another the timer may be that of a retry: a user's template is in use while it is recorded. */
	if (!t->container)
		return;
	uv_timer_stop(&t->retry);
	container_client_close(STEAL(&t->client));
	ingress_close(STEAL(&t->ingress));
	if (t->log)
		container_log_fini(t->log);
	free(STEAL(&t->log));
}

/* With what the container wrote last, which tells more. */
static void report_failure(struct template *t, const char *reason)
{
	char problem[CONTAINER_REASON_SIZE];

	container_log_explain(t->log, reason, problem);
	template_container_abort(t);
	template_container_started(t, problem);
}

static void client_usable(void *owner)
{
	struct template *t = owner;

	template_container_abort(t);
	template_container_started(t, NULL);
}

static void client_output(void *owner, bool is_stderr, const uint8_t *data, size_t size)
{
	struct template *t = owner;

	if (t->log)
		container_log_append(t->log, is_stderr, data, size);
}

static void client_exited(void *owner, const struct agent_container_exit *exit)
{
	struct template *t = owner;
	char reason[AGENT_SENTENCE_MAX + 64];

	snprintf(reason, sizeof(reason), "its container ended before it was ready: %s", exit->sentence);
	report_failure(t, reason);
}

static void client_failed(void *owner, const char *reason, bool broke_protocol)
{
	struct template *t = owner;
	char text[AGENT_SENTENCE_MAX + 64];

	(void)broke_protocol;
	snprintf(text, sizeof(text), "its container could not be started: %s", reason);
	report_failure(t, text);
}

static const struct container_events start_events = {
	.usable = client_usable,
	.output = client_output,
	.exited = client_exited,
	.failed = client_failed,
};

static void on_late_start(uv_timer_t *timer)
{
	struct template *t = timer->data;
	char reason[160];

	snprintf(reason, sizeof(reason), "its container was not ready within %u s (boot-timeout-seconds)",
		 t->all->host->boot_timeout_ms / 1000);
	report_failure(t, reason);
}

void template_container_start(struct template *t)
{
	size_t size;
	const void *body = container_spec_start(t->container, &size);
	const struct container_order order = {
		.start = body,
		.start_size = size,
		.is_held = container_spec_is_held(t->container),
	};
	int rc;

	t->log = calloc(1, sizeof(*t->log));
	uv_timer_start(&t->retry, on_late_start, t->all->host->boot_timeout_ms, 0);
	t->client = container_client_open(t->all->host->loop, microvm_directory_of(t->microvm)->vsock, &order,
					  &start_events, t, &rc);
	if (!t->client)
		report_failure(t, strerror(-rc));
}

/* ---- the clone --------------------------------------------------------------------------------------------------- */

static void finish_asking(struct template *t, const char *problem)
{
	template_container_abort(t);
	template_container_asked(t, problem);
}

static void on_late_answer(uv_timer_t *timer)
{
	finish_asking(timer->data, NULL);
}

static void ingress_connected(void *owner)
{
	struct template *t = owner;

	ingress_write(t->ingress, QUESTION, strlen(QUESTION));
}

static void ingress_refused(void *owner, int code, const char *reason)
{
	(void)code;
	finish_asking(owner, reason);
}

/* What it says is its own matter. */
static void ingress_data(void *owner, const char *data, size_t size)
{
	(void)data;
	(void)size;
	finish_asking(owner, NULL);
}

static void ingress_ended(void *owner, bool is_broken)
{
	(void)is_broken;
	finish_asking(owner, NULL);
}

static const struct ingress_events question_events = {
	.connected = ingress_connected,
	.refused = ingress_refused,
	.data = ingress_data,
	.ended = ingress_ended,
};

static void clone_usable(void *owner)
{
	struct template *t = owner;

	t->ingress = ingress_open(t->all->host->loop, microvm_directory_of(t->microvm)->vsock, &question_events, t);
	if (!t->ingress)
		finish_asking(t, "out of memory");
}

static void clone_exited(void *owner, const struct agent_container_exit *exit)
{
	finish_asking(owner, exit->sentence);
}

static void clone_failed(void *owner, const char *reason, bool broke_protocol)
{
	(void)broke_protocol;
	finish_asking(owner, reason);
}

static const struct container_events clone_events = {
	.usable = clone_usable,
	.output = client_output,
	.exited = clone_exited,
	.failed = clone_failed,
};

/* As a session does: something is handed over first. */
void template_container_ask(struct template *t)
{
	static const char variable[] = "HEARTH_SESSION_POOL=-";
	const struct container_order order = { .environment = variable, .environment_size = sizeof(variable) };
	int rc;

	uv_timer_start(&t->retry, on_late_answer, ASK_TIMEOUT_MS, 0);
	t->client = container_client_open(t->all->host->loop, microvm_directory_of(t->microvm)->vsock, &order,
					  &clone_events, t, &rc);
	if (!t->client)
		finish_asking(t, strerror(-rc));
}
