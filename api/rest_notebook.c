/* POST notebook and POST sessions/{identifier}/notebook: runs an .ipynb and answers with it. */
#include "api/event_stream.h"
#include "api/notebook_call.h"
#include "api/rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* False, after an answer was given, if it is neither true nor false. */
static bool read_switch(struct http_request *r, const char *name, bool *value)
{
	const char *text = url_parameter(&r->url, name);

	if (!text)
		return true;
	*value = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
	if (*value || strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0)
		return true;
	rest_error(r, 400, "SessionRequestValidationFailed", "The query parameter '%s' must be true or false.", name);
	return false;
}

static bool read_timeout(struct http_request *r, int64_t *timeout_s)
{
	const char *text = url_parameter(&r->url, "timeoutInSeconds");
	char *end;

	if (!text)
		return true;
	/* What is beyond any number is cut to the largest, as all above the service's maximum is cut to that. */
	*timeout_s = strtoll(text, &end, 10);
	if (*text && *end == '\0' && *timeout_s > 0)
		return true;
	rest_error(r, 400, "SessionRequestValidationFailed",
		   "The query parameter 'timeoutInSeconds' must be a number of seconds above 0: it is of each cell.");
	return false;
}

/* False after an answer was given. */
static bool parse(struct http_request *r, struct notebook *notebook, enum agent_language *language)
{
	struct error err = { 0 };

	if (notebook_parse(notebook, r->body.data, r->body.size, &err) == 0 &&
	    notebook_language(notebook, language, &err) == 0)
		return true;
	if (err.code == E2BIG)
		rest_error(r, 413, "RequestBodyTooLarge", "%s", err.text);
	else
		rest_error(r, 400, "NotebookInvalid", "%s", err.text);
	return false;
}

void rest_notebook_run(struct service *s, struct http_request *r)
{
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *identifier = pool ? rest_identifier(r, r->path_name) : NULL;
	struct notebook_form form = { .as_events = event_stream_is_wanted(r) };
	struct notebook notebook = { 0 };

	if (identifier && pool_definition_of(pool)->container_type == POOL_SHELL) {
		rest_error(r, 400, "NotebookInvalid",
			   "The sessions of this pool run commands: notebooks are for pools of the container types "
			   "PythonLTS and NodeLTS.");
		return;
	}
	if (!identifier || !read_switch(r, "allow-errors", &form.allow_errors) || !read_timeout(r, &form.timeout_s))
		return;
	snprintf(form.identifier, sizeof(form.identifier), "%s", identifier);
	if (parse(r, &notebook, &form.language))
		notebook_call_start(s, pool, r, &form, &notebook);
	notebook_fini(&notebook);
}
