/* What the requests of service.h are made of. */
#ifndef HEARTH_API_CLI_SERVICE_PRIVATE_H
#define HEARTH_API_CLI_SERVICE_PRIVATE_H

#include "buffer.h"
#include "service.h"

#include <curl/curl.h>
#include <stdbool.h>

enum {
	ERROR_BODY_MAX = 16 << 10,
	ANSWER_MAX = 64 << 20, /* of a call: a list of a thousand sessions takes half a MiB */
};

struct service {
	char *url;  /* without a slash at its end */
	char *pool; /* NULL: the default one */
	struct curl_slist *headers;
	const char *ca_certificate; /* NULL: the machine's own authorities */
	bool is_loopback;
	bool answered; /* to any request: so there is somebody to talk to */
	CURLM *multi;
};

/* One request's answer while it comes in. */
struct answer {
	CURL *easy;
	struct sse_parser events;
	struct buffer body; /* of an answer that is no event stream; cut at its limit */
	int parser_result;  /* why the parser stopped, or 0 */
};

/* A request for a path, which may have a query; or NULL. */
CURL *service_request(const struct service *s, const char *method, const char *path);

/* Lets it take any time, but not without a sign of life. */
void service_set_patience(CURL *easy);

/*
 * Runs the request to its end, or to the user's interrupt (then CURLE_ABORTED_BY_CALLBACK); `take_body` gets the body of its
 * answer, with `context`.
 */
CURLcode service_perform(struct service *s, CURL *easy, curl_write_callback take_body, void *context);

/* One that keeps it; `context` is a struct answer. */
size_t service_take_body(char *data, size_t one, size_t size, void *context);

/* Whether its status is one of 200 to 299. */
bool service_succeeded(CURL *easy);

/* What went wrong, as *err has it; negative. */
int service_explain(const struct service *s, const struct answer *answer, CURLcode result, struct error *err);

/* What came of a request whose answer is JSON; frees the answer. */
int service_finish(struct service *s, struct answer *answer, CURLcode result, json_t **answer_json, struct error *err);

#endif
