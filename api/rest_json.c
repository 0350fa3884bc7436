/* JSON bodies: taking one in, giving one out. */
#include "api/json.h"
#include "api/rest.h"

#include <stdlib.h>
#include <string.h>

void rest_json(struct http_request *r, unsigned int status, json_t *json)
{
	/* Fifteen digits are what every decimal number keeps: 0.1 is not 0.10000000000000001. */
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	struct buffer body = { 0 };

	json_decref(json);
	if (!text) {
		rest_error(r, 500, "OutOfMemory", "There is no memory for the answer.");
		return;
	}
	buffer_put_text(&body, text);
	buffer_put_text(&body, "\n");
	free(text);
	http_respond(r, status, REST_JSON, &body);
}

json_t *rest_body(struct http_request *r)
{
	struct error err = { 0 };
	json_t *json;

	if (r->body.size == 0) {
		rest_problem(r, "$", "The body is empty; it must be a JSON object.");
		return NULL;
	}
	json = json_parse(r->body.data, r->body.size, &err);
	if (!json) {
		rest_problem(r, "$", err.text);
	} else if (!json_is_object(json)) {
		rest_error(r, 400, "SessionRequestValidationFailed", "The body must be a JSON object.");
		json_decref(json);
		json = NULL;
	}
	return json;
}
