#include "service.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "explain.h"
#include "interrupt.h"
#include "json.h"
#include "service_private.h"
#include "token.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define API_VERSION "2025-02-02-preview"
#define DEFAULT_URL "http://127.0.0.1:8080"

enum {
	EVENT_SIZE_MAX = 256 << 20, /* bytes; an answer repeats all the output of its execution */
	CONNECT_TIMEOUT_S = 10,
	SILENCE_MAX_S = 120, /* hearthd sends a comment line every few seconds while code runs */
	END_TIMEOUT_S = 10,
	CALL_TIMEOUT_S = 1800, /* a fork waits for the code that runs */
};

/* ---- set-up ------------------------------------------------------------------------------------------------------ */

static int check_url(struct service *s, struct error *err)
{
	CURLU *parts = curl_url();
	char *host = NULL;
	char *scheme = NULL;
	int ret = 0;

	if (!parts || curl_url_set(parts, CURLUPART_URL, s->url, 0) || curl_url_get(parts, CURLUPART_HOST, &host, 0) ||
	    curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		ret = error_set(err, STATUS_USAGE, "%s is not a URL of a service: it looks like " DEFAULT_URL, s->url);
	else
		s->is_loopback = strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
				 strcmp(host, "[::1]") == 0;
	curl_free(host);
	curl_free(scheme);
	curl_url_cleanup(parts);
	return ret;
}

static int add_header(struct service *s, const char *line, struct error *err)
{
	struct curl_slist *longer = curl_slist_append(s->headers, line);

	if (!longer)
		return error_set(err, STATUS_SERVICE, "not enough memory for the request");
	s->headers = longer;
	return 0;
}

static int add_headers(struct service *s, const char *token, struct error *err)
{
	char authorization[TOKEN_SIZE_MAX + 32];
	char own_token[TOKEN_SIZE_MAX];
	int ret = token_find(token, own_token, err);

	if (ret < 0)
		return ret;
	snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s", own_token);
	if (own_token[0] && add_header(s, authorization, err) < 0)
		return -STATUS_SERVICE;
	/* An empty Expect: curl would otherwise wait for a "100 Continue" before it sends a large body. */
	if (add_header(s, "Content-Type: application/json", err) < 0 ||
	    add_header(s, "Accept: text/event-stream", err) < 0 || add_header(s, "Expect:", err) < 0)
		return -STATUS_SERVICE;
	return 0;
}

struct service *service_create(const char *url, const char *token, const char *ca_certificate, const char *pool,
			       struct error *err)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!url)
		url = getenv("HEARTH_URL");
	if (!url || !url[0])
		url = DEFAULT_URL;
	if (!s || curl_global_init(CURL_GLOBAL_DEFAULT) || !(s->multi = curl_multi_init()) || !(s->url = strdup(url)) ||
	    (pool && !(s->pool = strdup(pool)))) {
		error_set(err, STATUS_SERVICE, "not enough memory to start");
		service_destroy(s);
		return NULL;
	}
	if (!ca_certificate)
		ca_certificate = getenv("HEARTH_CA_CERTIFICATE");
	s->ca_certificate = ca_certificate && ca_certificate[0] ? ca_certificate : NULL;
	while (s->url[0] && s->url[strlen(s->url) - 1] == '/')
		s->url[strlen(s->url) - 1] = '\0';
	if (check_url(s, err) < 0 || add_headers(s, token, err) < 0) {
		service_destroy(s);
		return NULL;
	}
	return s;
}

void service_destroy(struct service *s)
{
	if (!s)
		return;
	curl_multi_cleanup(s->multi);
	curl_slist_free_all(s->headers);
	free(s->url);
	free(s->pool);
	free(s);
}

const char *service_url(const struct service *s)
{
	return s->url;
}

/* ---- a request --------------------------------------------------------------------------------------------------- */

char *service_route(const struct service *s, const char *route, const char *const *parameters)
{
	char *path = NULL;
	char *pool = s->pool ? curl_easy_escape(NULL, s->pool, 0) : NULL;

	if (s->pool && (!pool || asprintf(&path, "sessionPools/%s/%s", pool, route) < 0))
		path = NULL;
	else if (!s->pool)
		path = strdup(route);
	curl_free(pool);
	for (size_t i = 0; path && parameters && parameters[i]; i += 2) {
		AUTO_FREE char *before = path;
		char *value = curl_easy_escape(NULL, parameters[i + 1], 0);

		if (!value || asprintf(&path, "%s%c%s=%s", before, i ? '&' : '?', parameters[i], value) < 0)
			path = NULL;
		curl_free(value);
	}
	return path;
}

CURL *service_request(const struct service *s, const char *method, const char *path)
{
	CURL *easy = curl_easy_init();
	AUTO_FREE char *url = NULL;

	if (!easy)
		return NULL;
	if (!path ||
	    asprintf(&url, "%s/%s%capi-version=" API_VERSION, s->url, path, strchr(path, '?') ? '&' : '?') < 0) {
		url = NULL;
		curl_easy_cleanup(easy);
		return NULL;
	}
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, s->headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	if (s->ca_certificate) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, s->ca_certificate);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* this one alone */
	}
	if (s->is_loopback)
		curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* a proxy's 127.0.0.1 is another machine */
	return easy;
}

static void set_body(CURL *easy, const char *body)
{
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
}

CURLcode service_perform(struct service *s, CURL *easy, curl_write_callback take_body, void *context)
{
	CURLcode result = CURLE_ABORTED_BY_CALLBACK;
	int running = 1;

	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, context);
	curl_multi_add_handle(s->multi, easy);
	while (running && !interrupt_signal()) {
		struct curl_waitfd interrupt = { .fd = interrupt_fd(), .events = CURL_WAIT_POLLIN };
		CURLMsg *message;
		int n_left;

		if (curl_multi_perform(s->multi, &running))
			break;
		message = running ? NULL : curl_multi_info_read(s->multi, &n_left);
		if (message)
			result = message->data.result;
		else if (running)
			curl_multi_poll(s->multi, &interrupt, 1, 1000, NULL);
	}
	curl_multi_remove_handle(s->multi, easy);
	return result;
}

static bool is_answered(CURL *easy)
{
	long status = 0;

	return easy && curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status != 0;
}

static bool is_event_stream(CURL *easy)
{
	char *type = NULL;
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	return status / 100 == 2 && type && strncasecmp(type, "text/event-stream", 17) == 0;
}

size_t service_take_body(char *data, size_t one, size_t size, void *context)
{
	struct answer *answer = context;

	if (is_event_stream(answer->easy)) {
		answer->parser_result = sse_parser_feed(&answer->events, data, size);
		return answer->parser_result == 0 ? size * one : 0;
	}
	if (size > answer->body.limit - answer->body.size)
		size = answer->body.limit - answer->body.size;
	if (buffer_append(&answer->body, data, size) < 0)
		return 0;
	return size * one;
}

/*
 * The request's JSON text, or NULL; the caller frees it. What may be code or a command is told as both: a pool takes what it
 * runs and passes over the other.
 */
static char *execution_body(const struct source *source, long timeout_s)
{
	const bool is_command = source->language && strcmp(source->language, "shell") == 0;
	const char *code = source->code.size ? source->code.data : "";
	json_t *body = json_pack("{s:s, s:s}", "codeInputType", "Inline", "executionType", "Synchronous");
	char *text;

	if (body && !is_command)
		json_object_set_new(body, "code", json_stringn(code, source->code.size));
	if (body && (is_command || !source->language))
		json_object_set_new(body, "shellCommand", json_stringn(code, source->code.size));
	if (body && source->language && !is_command)
		json_object_set_new(body, "language", json_string(source->language));
	if (body && timeout_s)
		json_object_set_new(body, "timeoutInSeconds", json_integer(timeout_s));
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	return text;
}

/* ---- the requests ------------------------------------------------------------------------------------------------ */

int service_explain(const struct service *s, const struct answer *answer, CURLcode result, struct error *err)
{
	const struct failure failure = {
		.url = s->url,
		.is_loopback = s->is_loopback,
		.easy = answer->easy,
		.result = result,
		.body = &answer->body,
	};

	if (!interrupt_signal() && answer->parser_result == -EMSGSIZE)
		return error_set(err, STATUS_SERVICE, "the service sent an event of more than %d MiB",
				 EVENT_SIZE_MAX >> 20);
	if (!interrupt_signal() && answer->parser_result == -ENOMEM)
		return error_set(err, STATUS_SERVICE, "not enough memory for the answer");
	return explain(&failure, err);
}

void service_set_patience(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_MAX_S);
}

/* What on_event returned goes to the caller as it is; it is not one of the parser's own errors. */
struct relay {
	sse_event_fn *on_event;
	void *context;
	int result;
};

static int relay_event(void *context, const char *type, const char *data, size_t size)
{
	struct relay *relay = context;

	relay->result = relay->on_event(relay->context, type, data, size);
	return relay->result;
}

/* POSTs the body (or NULL, if there was no memory for it) to a path (likewise), and hands over the events. */
static int post_for_events(struct service *s, const char *path, const char *body, sse_event_fn *on_event, void *context,
			   struct error *err)
{
	struct relay relay = { .on_event = on_event, .context = context };
	struct answer answer = {
		.easy = service_request(s, "POST", path),
		.body = { .limit = ERROR_BODY_MAX },
	};
	CURLcode result = CURLE_OUT_OF_MEMORY;
	int ret = 0;

	sse_parser_init(&answer.events, EVENT_SIZE_MAX, relay_event, &relay);
	if (body && answer.easy) {
		set_body(answer.easy, body);
		service_set_patience(answer.easy);
		result = service_perform(s, answer.easy, service_take_body, &answer);
	}
	s->answered = s->answered || is_answered(answer.easy);
	if (relay.result)
		ret = relay.result;
	else if (result != CURLE_OK || !is_event_stream(answer.easy))
		ret = service_explain(s, &answer, result, err);
	sse_parser_fini(&answer.events);
	buffer_fini(&answer.body);
	curl_easy_cleanup(answer.easy);
	return ret;
}

int service_execute(struct service *s, const char *session, const struct source *source, long timeout_s,
		    sse_event_fn *on_event, void *context, struct error *err)
{
	const char *const parameters[] = { "identifier", session, NULL };
	AUTO_FREE char *path = service_route(s, "executions", parameters);
	AUTO_FREE char *body = execution_body(source, timeout_s);

	return post_for_events(s, path, body, on_event, context, err);
}

int service_run_notebook(struct service *s, const char *session, const char *notebook, bool allow_errors,
			 long timeout_s, sse_event_fn *on_event, void *context, struct error *err)
{
	char seconds[24];
	const char *parameters[] = { "identifier", session, "allow-errors", allow_errors ? "true" : "false", NULL,
				     NULL,         NULL };
	AUTO_FREE char *path = NULL;

	if (timeout_s > 0) {
		snprintf(seconds, sizeof(seconds), "%ld", timeout_s);
		parameters[4] = "timeoutInSeconds";
		parameters[5] = seconds;
	}
	path = service_route(s, "notebook", parameters);
	return post_for_events(s, path, notebook, on_event, context, err);
}

bool service_succeeded(CURL *easy)
{
	long status = 0;

	return curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status / 100 == 2;
}

static int read_answer(const struct service *s, const struct buffer *body, json_t **answer, struct error *err)
{
	*answer = body->size ? json_parse(body->data, body->size) : NULL;
	if (body->size && !*answer)
		return error_set(err, STATUS_SERVICE, "%s does not answer like hearthd (no JSON): check the URL",
				 s->url);
	return 0;
}

int service_finish(struct service *s, struct answer *answer, CURLcode result, json_t **answer_json, struct error *err)
{
	int ret = result == CURLE_OK && service_succeeded(answer->easy)
			  ? read_answer(s, &answer->body, answer_json, err)
			  : service_explain(s, answer, result, err);

	buffer_fini(&answer->body);
	curl_easy_cleanup(answer->easy);
	return ret;
}

int service_call(struct service *s, const char *method, const char *path, const json_t *body, json_t **answer_json,
		 struct error *err)
{
	AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct answer answer = {
		.easy = service_request(s, method, path),
		.body = { .limit = ANSWER_MAX },
	};
	CURLcode result = CURLE_OUT_OF_MEMORY;

	*answer_json = NULL;
	if (answer.easy && (text || !body)) {
		set_body(answer.easy, text ? text : "");
		if (strcmp(method, "GET") == 0)
			curl_easy_setopt(answer.easy, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(answer.easy, CURLOPT_TIMEOUT, (long)CALL_TIMEOUT_S);
		result = service_perform(s, answer.easy, service_take_body, &answer);
	}
	return service_finish(s, &answer, result, answer_json, err);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static size_t ignore_body(char *data, size_t one, size_t size, void *context)
{
	(void)data;
	(void)context;
	return one * size;
}

void service_end_session(struct service *s, const char *session)
{
	const char *const parameters[] = { "identifier", session, NULL };
	AUTO_FREE char *path = service_route(s, "session", parameters);
	CURL *easy = s->answered ? service_request(s, "DELETE", path) : NULL;

	if (!easy)
		return;
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore_body);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)END_TIMEOUT_S);
	/* Not service_perform(): the session of an execution that the user interrupted must end, too. */
	curl_easy_perform(easy);
	curl_easy_cleanup(easy);
}
