#include "explain.h"
#include "exit_status.h"
#include "interrupt.h"
#include "json.h"

#include <stdio.h>
#include <string.h>

/* What an error's body says. */
struct answer {
	char code[64]; /* "": the body is no error as hearthd makes them */
	char message[256];
};

/* The message (`{"error": {"message": …}}` or flat), or the text itself, or "". */
static void read_answer(const struct buffer *body, struct answer *answer)
{
	json_t *json = body->size ? json_parse(body->data, body->size) : NULL;
	const json_t *nested = json_object_get(json, "error");
	const json_t *text = json_object_get(json_is_object(nested) ? nested : json, "message");
	const json_t *title = json_object_get(json, "title");
	const char *code = json_string_value(json_object_get(nested, "code"));

	snprintf(answer->code, sizeof(answer->code), "%s", code && json_is_string(text) ? code : "");
	if (json_is_string(text))
		snprintf(answer->message, sizeof(answer->message), "%s", json_string_value(text));
	else if (json_is_string(title))
		snprintf(answer->message, sizeof(answer->message), "%s", json_string_value(title));
	else
		snprintf(answer->message, sizeof(answer->message), "%s", body->size && !json ? body->data : "");
	json_decref(json);
}

static int explain_too_many(const struct failure *f, const struct answer *answer, struct error *err)
{
	curl_off_t retry_after_s = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	if (retry_after_s <= 0)
		retry_after_s = 10;
	if (*answer->code && strcmp(answer->code, "SessionsCountExceedsLimit") != 0)
		return error_set(err, STATUS_SERVICE, "%s takes no more now: try again in %ld s. %s", f->url,
				 (long)retry_after_s, answer->message);
	return error_set(err, STATUS_SERVICE,
			 "all sessions of %s are in use: try again in %ld s, or give your own session a name "
			 "(--session) and keep to it. %s",
			 f->url, (long)retry_after_s, answer->message);
}

static int explain_status(const struct failure *f, struct error *err)
{
	struct answer answer;
	const char *message = answer.message;
	long status = 0;
	size_t length;

	read_answer(f->body, &answer);
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	switch (status) {
	case 400:
	case 409:
	case 413:
		return error_set(err, STATUS_USAGE, "the service refused the request: %s", message);
	case 401:
		return error_set(err, STATUS_SERVICE,
				 "%s does not accept the token (401): give one of the service's with --token, "
				 "HEARTH_TOKEN or HEARTH_TOKEN_FILE",
				 f->url);
	case 403:
		return error_set(err, STATUS_SERVICE, "the token is not enough for this (403): %s", message);
	case 429:
		return explain_too_many(f, &answer, err);
	default:
		if (status == 404 && *answer.code)
			return error_set(err, STATUS_NOT_FOUND, "%s", message);
		length = strlen(message);
		length -= length && message[length - 1] == '.';
		if (status >= 500)
			return error_set(err, STATUS_SERVICE, "%s failed (%ld): %.*s. Its log says more", f->url,
					 status, (int)length, message);
		return error_set(err, STATUS_SERVICE, "%s does not answer like hearthd (%ld %s): check the URL", f->url,
				 status, message);
	}
}

static int explain_transport(const struct failure *f, struct error *err)
{
	switch (f->result) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		return error_set(err, STATUS_SERVICE, "hearthd does not answer at %s: start it with `make run`%s",
				 f->url, f->is_loopback ? "" : " there, or check --url");
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return error_set(err, STATUS_SERVICE,
				 "%s is not to be trusted (%s): name its authority with --ca-certificate or "
				 "HEARTH_CA_CERTIFICATE",
				 f->url, curl_easy_strerror(f->result));
	case CURLE_OPERATION_TIMEDOUT:
		return error_set(err, STATUS_SERVICE, "hearthd at %s gives no sign of life: its log may say why",
				 f->url);
	case CURLE_OUT_OF_MEMORY:
		return error_set(err, STATUS_SERVICE, "not enough memory for the request");
	default:
		return error_set(err, STATUS_SERVICE, "the connection to %s broke (%s): its log may say why", f->url,
				 curl_easy_strerror(f->result));
	}
}

int explain(const struct failure *f, struct error *err)
{
	if (interrupt_signal())
		return error_set(err, STATUS_SIGNAL + interrupt_signal(), "interrupted");
	return f->result != CURLE_OK ? explain_transport(f, err) : explain_status(f, err);
}
