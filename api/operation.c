#include "api/operation.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct operation {
	struct execution execution;
	struct session_keepsake keepsake;
	struct execute_answer answer; /* its texts only until it is over */
	struct buffer json;           /* from then on */
	bool is_over;
};

static void on_session_ended(struct session_keepsake *keepsake);

static struct operation *operation_of(struct session_keepsake *keepsake)
{
	return keepsake->ended == on_session_ended
		       ? (struct operation *)((char *)keepsake - offsetof(struct operation, keepsake))
		       : NULL;
}

static void destroy(struct operation *o)
{
	execute_answer_fini(&o->answer);
	buffer_fini(&o->json);
	free(o->execution.code);
	free(o);
}

/* One that waited goes on in the session that follows. */
static void on_session_ended(struct session_keepsake *keepsake)
{
	struct operation *o = operation_of(keepsake);

	if (o->is_over || !o->execution.session)
		destroy(o);
	else
		session_keep(&o->execution, keepsake);
}

/* Of those that are over, the oldest go, so that one more can come. The list has the newest first. */
static void make_room(struct session_keepsake **link)
{
	size_t n = 0, n_bytes = 0;
	bool is_newest = true;

	while (*link) {
		struct operation *o = operation_of(*link);

		if (o && o->is_over) {
			n++;
			n_bytes += o->json.size;
			if (!is_newest && (n >= OPERATIONS_MAX || n_bytes > OPERATIONS_BYTES_MAX)) {
				*link = (*link)->next;
				destroy(o);
				continue;
			}
			is_newest = false;
		}
		link = &(*link)->next;
	}
}

/* ---- the execution's events -------------------------------------------------------------------------------------- */

static void on_started(struct execution *e)
{
	(void)e;
}

static void on_output(struct execution *e, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	execute_answer_output(&((struct operation *)e)->answer, stream, data, size);
}

static void on_display(struct execution *e, const struct mime_bundle *bundle, bool is_result)
{
	execute_answer_display(&((struct operation *)e)->answer, bundle, is_result, NULL);
}

static void finish(struct operation *o, const struct execution_report *report)
{
	execute_answer_finish(&o->answer, report);
	execute_answer_put(&o->answer, report, &o->json);
	o->is_over = true;
	execute_answer_fini(&o->answer);
	free(o->execution.code);
	o->execution.code = NULL;
}

static void on_finished(struct execution *e, const struct execution_report *report)
{
	finish((struct operation *)e, report);
}

static const struct execution_events execution_events = {
	.started = on_started,
	.output = on_output,
	.display = on_display,
	.finished = on_finished,
};

/* ---- for the REST API -------------------------------------------------------------------------------------------- */

struct operation *operation_start(const struct service *service, const struct pool *pool,
				  const struct execute_call_form *form, const char *identifier,
				  struct execute_request *request, struct error *err)
{
	struct operation *o = calloc(1, sizeof(*o));

	if (!o) {
		error_set(err, SESSIONS_NO_MICROVM, "out of memory");
		return NULL;
	}
	execute_setup(service, pool, form, identifier, request, &o->execution, &o->answer);
	o->execution.events = &execution_events;
	o->keepsake.ended = on_session_ended;
	if (sessions_execute(pool_sessions(pool), identifier, &o->execution, err) < 0) {
		destroy(o);
		return NULL;
	}
	make_room(sessions_kept(pool_sessions(pool), identifier));
	session_keep(&o->execution, &o->keepsake);
	return o;
}

struct operation *operation_find(const struct pool *pool, const char *identifier, const char *id)
{
	struct session_keepsake **kept = sessions_kept(pool_sessions(pool), identifier);

	for (struct session_keepsake *k = kept ? *kept : NULL; k; k = k->next) {
		struct operation *o = operation_of(k);

		if (o && strcmp(o->answer.id, id) == 0)
			return o;
	}
	return NULL;
}

const char *operation_id(const struct operation *operation)
{
	return operation->answer.id;
}

bool operation_is_over(const struct operation *operation)
{
	return operation->is_over;
}

void operation_cancel(struct operation *o)
{
	const struct execution_report canceled = { .end = EXECUTION_RAN,
						   .outcome = AGENT_INTERRUPTED,
						   .sentence = "it was cancelled before it began" };

	if (!o->is_over && execution_cancel(&o->execution))
		finish(o, &canceled);
}

void operation_put(const struct operation *o, struct buffer *json)
{
	if (o->is_over)
		buffer_put(json, o->json.data, o->json.size);
	else
		execute_answer_put_pending(&o->answer, o->execution.started_ns != 0, json);
}
