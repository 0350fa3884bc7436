/* Requests whose bodies are not held: files up and down, and lines that come as long as there are some. */
#include "common/cleanup.h"
#include "exit_status.h"
#include "interrupt.h"
#include "service_private.h"

#include <stdio.h>
#include <string.h>

enum {
	LINE_MAX_SIZE = 1 << 20,
	KEEPALIVE_S = 30,
};

/* ---- files ------------------------------------------------------------------------------------------------------- */

char *service_file_route(const struct service *s, const char *route, const char *file, const char *const *parameters)
{
	const char *mark = strstr(route, "%s");
	char *name = curl_easy_escape(NULL, file, 0), *path = NULL;
	AUTO_FREE char *whole = NULL;

	if (name && asprintf(&whole, "%.*s%s%s", (int)(mark - route), route, name, mark + 2) < 0)
		whole = NULL;
	if (whole)
		path = service_route(s, whole, parameters);
	curl_free(name);
	return path;
}

/* The token alone: a body that is no JSON has headers of its own. NULL if there is no memory. */
static struct curl_slist *file_headers(const struct service *s)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

	for (const struct curl_slist *h = s->headers; headers && h; h = h->next) {
		struct curl_slist *longer =
			strncmp(h->data, "Authorization:", 14) == 0 ? curl_slist_append(headers, h->data) : headers;

		if (!longer)
			curl_slist_free_all(headers);
		headers = longer;
	}
	return headers;
}

static curl_mime *file_body(CURL *easy, const char *file, const char *name)
{
	curl_mime *mime = curl_mime_init(easy);
	curl_mimepart *part = mime ? curl_mime_addpart(mime) : NULL;

	if (part && curl_mime_name(part, "file") == CURLE_OK && curl_mime_filedata(part, file) == CURLE_OK &&
	    curl_mime_filename(part, name) == CURLE_OK)
		return mime;
	curl_mime_free(mime);
	return NULL;
}

int service_upload(struct service *s, const char *path, const char *file, const char *name, json_t **answer_json,
		   struct error *err)
{
	struct answer answer = {
		.easy = service_request(s, "POST", path),
		.body = { .limit = ANSWER_MAX },
	};
	struct curl_slist *headers = file_headers(s);
	curl_mime *mime = answer.easy ? file_body(answer.easy, file, name) : NULL;
	CURLcode result = CURLE_OUT_OF_MEMORY;
	int ret;

	*answer_json = NULL;
	if (mime && headers) {
		curl_easy_setopt(answer.easy, CURLOPT_MIMEPOST, mime);
		curl_easy_setopt(answer.easy, CURLOPT_HTTPHEADER, headers);
		service_set_patience(answer.easy);
		result = service_perform(s, answer.easy, service_take_body, &answer);
	}
	ret = service_finish(s, &answer, result, answer_json, err);
	curl_mime_free(mime);
	curl_slist_free_all(headers);
	return ret;
}

struct download {
	struct answer answer;
	FILE *out;
	bool is_out_broken;
};

/* An error's body is kept, to be explained. */
static size_t on_download(char *data, size_t one, size_t size, void *context)
{
	struct download *d = context;

	if (!service_succeeded(d->answer.easy))
		return service_take_body(data, one, size, &d->answer);
	d->is_out_broken = fwrite(data, 1, size, d->out) != size;
	return d->is_out_broken ? 0 : size;
}

int service_download(struct service *s, const char *path, FILE *out, struct error *err)
{
	struct download d = {
		.answer = { .easy = service_request(s, "GET", path), .body = { .limit = ERROR_BODY_MAX } },
		.out = out,
	};
	struct curl_slist *headers = file_headers(s);
	CURLcode result = CURLE_OUT_OF_MEMORY;
	int ret = 0;

	if (d.answer.easy && headers) {
		curl_easy_setopt(d.answer.easy, CURLOPT_HTTPHEADER, headers);
		service_set_patience(d.answer.easy);
		result = service_perform(s, d.answer.easy, on_download, &d);
	}
	if (d.is_out_broken || (result == CURLE_OK && fflush(out) != 0))
		ret = error_set(err, STATUS_SERVICE, "the output cannot be written");
	else if (result != CURLE_OK || !service_succeeded(d.answer.easy))
		ret = service_explain(s, &d.answer, result, err);
	buffer_fini(&d.answer.body);
	curl_easy_cleanup(d.answer.easy);
	curl_slist_free_all(headers);
	return ret;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

struct lines {
	struct answer answer; /* its body is the line that is not over yet, or that of an error */
	service_line_fn *on_line;
	void *context;
	int result; /* of on_line */
	bool is_too_long;
};

static int end_line(struct lines *l)
{
	struct buffer *line = &l->answer.body;

	l->result = l->on_line(l->context, line->size ? line->data : "", line->size);
	buffer_clear(line);
	return l->result;
}

static size_t on_lines(char *data, size_t one, size_t size, void *context)
{
	struct lines *l = context;
	size_t rest = size;

	if (!service_succeeded(l->answer.easy))
		return service_take_body(data, one, size, &l->answer);
	while (rest > 0) {
		const char *end = memchr(data, '\n', rest);
		size_t n = end ? (size_t)(end - data) : rest;

		l->is_too_long = n && buffer_append(&l->answer.body, data, n) < 0;
		if (l->is_too_long || (end && end_line(l) < 0))
			return 0;
		data += n + (end ? 1 : 0);
		rest -= n + (end ? 1 : 0);
	}
	return size;
}

int service_read_lines(struct service *s, const char *path, bool may_be_silent, service_line_fn *on_line, void *context,
		       struct error *err)
{
	struct lines l = {
		.answer = { .easy = service_request(s, "GET", path), .body = { .limit = LINE_MAX_SIZE } },
		.on_line = on_line,
		.context = context,
	};
	struct curl_slist *headers = file_headers(s);
	struct curl_slist *longer = headers ? curl_slist_append(headers, "Accept: application/x-ndjson") : NULL;
	CURLcode result = CURLE_OUT_OF_MEMORY;
	int ret = 0;

	if (l.answer.easy && longer) {
		curl_easy_setopt(l.answer.easy, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(l.answer.easy, CURLOPT_TCP_KEEPALIVE, 1L);
		curl_easy_setopt(l.answer.easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
		if (!may_be_silent)
			service_set_patience(l.answer.easy);
		result = service_perform(s, l.answer.easy, on_lines, &l);
	}
	if (l.result < 0)
		ret = l.result;
	else if (l.is_too_long)
		ret = error_set(err, STATUS_SERVICE, "the service sent a line of more than %d KiB",
				LINE_MAX_SIZE >> 10);
	else if (result != CURLE_OK || !service_succeeded(l.answer.easy))
		ret = service_explain(s, &l.answer, result, err);
	buffer_fini(&l.answer.body);
	curl_easy_cleanup(l.answer.easy);
	curl_slist_free_all(headers);
	return ret;
}
