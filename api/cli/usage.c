#include "usage.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "since.h"
#include "view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SUMS                                                                                                           \
	{ "EXECUTIONS", "executions", VIEW_PLAIN }, { "RAN S", "executionSeconds", VIEW_PLAIN },                       \
		{ "VCPU S", "vcpuSeconds", VIEW_PLAIN },                                                               \
	{                                                                                                              \
		"GIB S", "gibSeconds", VIEW_PLAIN                                                                      \
	}

static const struct view_column pool_columns[] = {
	{ "POOL", "pool", VIEW_PLAIN },
	{ "SESSIONS", "sessions", VIEW_PLAIN },
	{ "OPEN", "openSessions", VIEW_PLAIN },
	SUMS,
	{ NULL, NULL, VIEW_PLAIN },
};

static const struct view_column day_columns[] = {
	{ "DAY", "day", VIEW_PLAIN },
	{ "SESSIONS", "sessions", VIEW_PLAIN },
	{ "OPEN", "openSessions", VIEW_PLAIN },
	SUMS,
	{ NULL, NULL, VIEW_PLAIN },
};

static const struct view_column session_columns[] = {
	{ "IDENTIFIER", "identifier", VIEW_PLAIN },
	{ "POOL", "pool", VIEW_PLAIN },
	{ "BEGIN", "beginAt", VIEW_TIME },
	{ "END", "endAt", VIEW_TIME },
	SUMS,
	{ "REASON", "endReason", VIEW_PLAIN },
	{ NULL, NULL, VIEW_PLAIN },
};

static const struct option_spec options[] = {
	OPTION(OPTION_TEXT, 0, "by", by, "WHAT", "add up by pool (default), session, or day of the session's begin"),
	OPTION(OPTION_TEXT, 0, "since", since, "TIME",
	       "sessions that existed since 15m, 1h, 2d, 1w ago, or 2026-01-31[T09:30:00Z]; default: 30d"),
	OPTION(OPTION_TEXT, 'p', "pool", pool, "NAME", "of this session pool only"),
	COMMON_OPTIONS,
};

static const struct view_column *columns_of(const char *by)
{
	if (strcmp(by, "pool") == 0)
		return pool_columns;
	if (strcmp(by, "day") == 0)
		return day_columns;
	return strcmp(by, "session") == 0 ? session_columns : NULL;
}

static int run(struct service *s, const struct options *o, struct error *err)
{
	const char *by = o->by ? o->by : "pool", *since = o->since ? o->since : "30d";
	const struct view_column *columns = columns_of(by);
	char seconds[32];
	const char *const parameters[] = { "by", by, "since", seconds, NULL };
	AUTO_FREE char *path = NULL;
	json_t *answer = NULL;
	int64_t since_ms;
	int ret;

	if (!columns)
		return error_set(err, STATUS_USAGE, "--by takes pool, session or day, not '%s'", by);
	if (since_parse(since, (int64_t)time(NULL) * 1000, &since_ms, err) < 0)
		return -err->code;
	snprintf(seconds, sizeof(seconds), "%lld", (long long)(since_ms / 1000));
	path = service_route(s, "usage", parameters);
	ret = service_call(s, "GET", path, NULL, &answer, err);
	if (ret == 0)
		ret = view_print(json_object_get(answer, "value"), columns, o->output, err);
	if (ret == 0 && json_is_true(json_object_get(answer, "isTruncated")))
		fprintf(stderr,
			"hearth: there is more than the service shows at a time: narrow it with --since or --pool\n");
	json_decref(answer);
	return ret;
}

const struct command usage_command = {
	.name = "usage",
	.arguments = "",
	.summary = "Shows what sessions have used: vCPU-seconds, GiB-seconds, executions.",
	.options = options,
	.run = run,
};
