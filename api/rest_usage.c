/* GET usage: what sessions have used, added up by pool, session or day. */
#include "api/rest.h"
#include "api/timestamp.h"
#include "api/usage.h"
#include "common/log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	DEFAULT_DAYS = 30,
};

static int parse_by(const char *text)
{
	static const char *const names[] = { "pool", "session", "day" };

	for (int i = 0; text && i < 3; i++)
		if (strcmp(names[i], text) == 0)
			return i;
	return text ? -1 : USAGE_BY_POOL;
}

/* Seconds since 1970; without one, the last 30 days. Negative if it is none. */
static int64_t parse_since(const char *text)
{
	long long seconds;
	char *end;

	if (!text)
		return timestamp_now_ms() - DEFAULT_DAYS * INT64_C(86400000);
	seconds = strtoll(text, &end, 10);
	return !*text || *end || seconds < 0 || seconds > INT64_MAX / 1000 ? -1 : seconds * 1000;
}

/* To the millisecond. */
static double rounded(double seconds)
{
	return round(seconds * 1000) / 1000;
}

static void add_row(void *data, const struct usage_row *row)
{
	char begin[TIMESTAMP_SIZE], end[TIMESTAMP_SIZE];
	json_t *json = json_pack("{s:f, s:f, s:I, s:f}", "vcpuSeconds", rounded(row->vcpu_s), "gibSeconds",
				 rounded(row->gib_s), "executions", (json_int_t)row->n_executions, "executionSeconds",
				 rounded(row->ran_s));

	timestamp_format(begin, row->begin_ms);
	timestamp_format(end, row->end_ms);
	if (*row->day)
		json_object_set_new(json, "day", json_string(row->day));
	if (*row->pool)
		json_object_set_new(json, "pool", json_string(row->pool));
	if (*row->guid) {
		json_object_set_new(json, "identifier", json_string(row->identifier));
		json_object_set_new(json, "sessionId", json_string(row->guid));
		json_object_set_new(json, "beginAt", json_string(begin));
		json_object_set_new(json, row->n_open ? "recordedAt" : "endAt", json_string(end));
		if (!row->n_open)
			json_object_set_new(json, "endReason", json_string(row->reason));
	} else {
		json_object_set_new(json, "sessions", json_integer(row->n_sessions));
		json_object_set_new(json, "openSessions", json_integer(row->n_open));
	}
	json_array_append_new(data, json);
}

static void respond(struct service *s, struct http_request *r, enum usage_by by, const char *pool, int64_t since_ms)
{
	json_t *rows = json_array();
	struct error err = { 0 };
	int rc;

	/* What cannot be written now is written later; the answer is then of what is. */
	if (usage_flush(s->usage, &err) < 0 && err.code != EBUSY)
		log_warn_limited("%s", err.text);
	rc = usage_store_query(s->usage_store, by, pool, since_ms, add_row, rows, &err);
	if (rc < 0) {
		json_decref(rows);
		rest_storage_error(r, &err);
		return;
	}
	rest_json(r, 200, json_pack("{s:o, s:b}", "value", rows, "isTruncated", rc));
}

void rest_usage_get(struct service *s, struct http_request *r)
{
	const char *pool = url_parameter(&r->url, "pool");
	int by = parse_by(url_parameter(&r->url, "by"));
	int64_t since_ms = parse_since(url_parameter(&r->url, "since"));

	if (!rest_check_version(r))
		return;
	if (by < 0)
		rest_error(r, 400, "SessionRequestValidationFailed", "The parameter 'by' is pool, session or day.");
	else if (since_ms < 0)
		rest_error(r, 400, "SessionRequestValidationFailed",
			   "The parameter 'since' is a number of seconds since 1970.");
	else if (pool && !*pool)
		rest_error(r, 400, "SessionRequestValidationFailed", "The parameter 'pool' is a session pool's name.");
	else
		respond(s, r, (enum usage_by)by, r->pool ? r->pool : pool, since_ms);
}
