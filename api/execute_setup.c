#include "api/execute_setup.h"

#include "common/cleanup.h"

#include <stdio.h>

/* An asynchronous execution has no limit but its own: nobody waits for it with an open connection. */
static uint32_t choose_timeout_ms(const struct service *s, const struct pool_session_limits *limits,
				  const struct execute_request *request)
{
	int64_t limit_s = request->is_asynchronous ? UINT32_MAX / 1000 : s->max_timeout_s;
	int64_t timeout_s = request->timeout_s;

	if (limits->execution_s && limits->execution_s < limit_s)
		limit_s = limits->execution_s;

	if (timeout_s <= 0)
		timeout_s = request->is_asynchronous ? limits->execution_s : s->default_timeout_s;
	return (uint32_t)(timeout_s < limit_s ? timeout_s : limit_s) * 1000;
}

static uint64_t choose_output_limit(const struct service *s, const struct pool_session_limits *limits, int64_t wanted)
{
	uint64_t limit = s->output_limit;

	if (limits->output_bytes && limits->output_bytes < limit)
		limit = limits->output_bytes;
	return wanted > 0 && (uint64_t)wanted < limit ? (uint64_t)wanted : limit;
}

/* The request's language, else that of the pool's container type. */
static enum agent_language choose_language(const struct pool *pool, const struct execute_request *request)
{
	return request->language ? request->language : pool_language(pool_definition_of(pool)->container_type);
}

static uint8_t choose_flags(const struct execute_request *request)
{
	unsigned int flags = 0;

	if (request->use_empty_kernel)
		flags |= AGENT_EXECUTE_FRESH;
	if (request->leave_no_trace)
		flags |= AGENT_EXECUTE_NO_TRACE;
	if (request->return_error_data)
		flags |= AGENT_EXECUTE_ERROR_DATA;
	return (uint8_t)flags;
}

void execute_setup(const struct service *service, const struct pool *pool, const struct execute_call_form *form,
		   const char *identifier, struct execute_request *request, struct execution *execution,
		   struct execute_answer *answer)
{
	const struct pool_session_limits *limits = &pool_definition_of(pool)->limits;

	execution->language = choose_language(pool, request);
	execution->flags = choose_flags(request);
	execution->code = STEAL(&request->code);
	execution->code_size = request->code_size;
	execution->timeout_ms = choose_timeout_ms(service, limits, request);
	execution->output_limit = choose_output_limit(service, limits, request->output_limit);
	answer->family = execution->language == AGENT_SHELL ? EXECUTE_COMMAND : form->family;
	answer->result_as_text = form->result_as_text;
	answer->with_display_data = request->return_display_data;
	answer->with_error_data = request->return_error_data;
	answer->jupyter_format = request->return_jupyter_format;
	answer->is_asynchronous = request->is_asynchronous;
	answer->output_limit = execution->output_limit;
	answer->timeout_ms = execution->timeout_ms;
	snprintf(answer->identifier, sizeof(answer->identifier), "%s", identifier);
	if (form->operation_id)
		snprintf(answer->id, sizeof(answer->id), "%s", form->operation_id);
	else
		guid_make(answer->id);
}

void execute_refuse(struct http_request *r, const struct pool *pool, struct error *err)
{
	if (err->code == SESSIONS_NO_MICROVM)
		error_wrap(err, "The session could not be started");
	rest_session_error(r, pool_sessions(pool), err);
}
