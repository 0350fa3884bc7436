#include "logs.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "interrupt.h"
#include "log_filter.h"
#include "report.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_FILE "/var/log/hearth/hearthd.log"

enum {
	FOLLOW_MS = 200,
	ROW_SIZE = 4096,
};

struct reader {
	const char *path;
	FILE *file;
	struct log_filter filter;
	bool as_table;
	bool has_skipped; /* lines that are no JSON */
};

static const struct option_spec options[] = {
	OPTION(OPTION_TEXT, 'p', "pool", pool, "NAME", "lines about this session pool, and about its sessions"),
	OPTION(OPTION_TEXT, 's', "session", session, "NAME", "lines about this session: its identifier, or its id"),
	OPTION(OPTION_TEXT, 0, "since", since, "TIME", "30s, 15m, 1h, 2d, 1w ago, or since 2026-01-31[T09:30:00Z]"),
	OPTION(OPTION_SWITCH, 'f', "follow", follow, NULL, "go on with what is written from now on"),
	OPTION(OPTION_SWITCH, 0, "network", network, NULL, "the connections of sessions alone"),
	OPTION(OPTION_TEXT, 0, "file", file, "FILE", "the log; default: $HEARTH_LOG_FILE, or " DEFAULT_FILE),
	COMMON_OPTIONS,
};

/* ---- showing ----------------------------------------------------------------------------------------------------- */

/* The message stands without its name. */
static void put(char *row, const char *key, const char *value)
{
	bool is_message = strcmp(key, "message") == 0;
	size_t n = strlen(row);

	snprintf(row + n, ROW_SIZE - n, " %s%s%s", is_message ? "" : key, is_message ? "" : "=", value);
}

static void put_field(char *row, const char *key, json_t *value)
{
	char number[32];

	if (strcmp(key, "time") == 0 || strcmp(key, "level") == 0 || strcmp(key, "component") == 0)
		return;
	if (json_is_string(value)) {
		put(row, key, json_string_value(value));
	} else if (json_is_number(value)) {
		snprintf(number, sizeof(number), "%.10g", json_number_value(value));
		put(row, key, number);
	}
}

static void print_row(json_t *line)
{
	const char *time = json_string_value(json_object_get(line, "time"));
	const char *level = json_string_value(json_object_get(line, "level"));
	char row[ROW_SIZE] = "", safe[ROW_SIZE];
	const char *key;
	json_t *value;

	snprintf(row, sizeof(row), "%.19sZ %-5s", time ? time : "-", level ? level : "-");
	json_object_foreach(line, key, value) put_field(row, key, value);
	report_make_safe(row, safe, sizeof(safe));
	puts(safe);
}

static void show(struct reader *r, const char *text, size_t size)
{
	json_t *line = json_loadb(text, size, 0, NULL);

	if (!json_is_object(line)) {
		r->has_skipped = true;
	} else if (log_filter_wants(&r->filter, line)) {
		if (r->as_table)
			print_row(line);
		else
			fwrite(text, 1, size, stdout);
	}
	json_decref(line);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int open_log(struct reader *r, struct error *err)
{
	r->file = fopen(r->path, "re");
	if (r->file)
		return 0;
	return error_set(err, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_SERVICE,
			 "cannot read %s: %s (hearthd writes it with --log-file FILE --log-format json)", r->path,
			 strerror(errno));
}

/* All complete lines that there are; half a line is left for the next time. */
static void read_lines(struct reader *r)
{
	AUTO_FREE char *line = NULL;
	size_t capacity = 0;
	ssize_t n;

	while (!interrupt_signal() && (n = getline(&line, &capacity, r->file)) > 0) {
		if (line[n - 1] != '\n') {
			fseek(r->file, -(long)n, SEEK_CUR);
			break;
		}
		show(r, line, (size_t)n);
	}
	clearerr(r->file);
}

/* The file was moved away and begun anew, or was emptied. */
static bool is_another(const struct reader *r)
{
	struct stat now, ours;

	if (stat(r->path, &now) < 0 || fstat(fileno(r->file), &ours) < 0)
		return false;
	return now.st_ino != ours.st_ino || now.st_dev != ours.st_dev || now.st_size < ftell(r->file);
}

static int follow(struct reader *r, struct error *err)
{
	struct pollfd signal = { .fd = interrupt_fd(), .events = POLLIN };

	while (!interrupt_signal() && fflush(stdout) == 0) {
		bool has_moved = is_another(r);

		/* What was written to the old one before it moved comes first. */
		read_lines(r);
		if (has_moved) {
			fclose(r->file);
			if (open_log(r, err) < 0)
				return -err->code;
			continue;
		}
		poll(&signal, 1, FOLLOW_MS);
	}
	return 0;
}

static int read_log(struct reader *r, bool is_following, struct error *err)
{
	int ret = open_log(r, err);

	if (ret < 0)
		return ret;
	read_lines(r);
	if (is_following)
		ret = follow(r, err);
	if (r->file)
		fclose(r->file);
	if (ret < 0)
		return ret;
	ret = report_flush_output(err);
	if (ret < 0)
		return ret;
	if (r->has_skipped)
		fprintf(stderr, "hearth: lines that are no JSON were left out (log-format = \"json\" writes it)\n");
	return 0;
}

static int run(struct service *s, const struct options *o, struct error *err)
{
	const char *variable = getenv("HEARTH_LOG_FILE");
	struct reader r = {
		.path = o->file                 ? o->file
			: variable && *variable ? variable
						: DEFAULT_FILE,
		.filter = { .pool = o->pool, .session = o->session, .is_network_only = o->network },
		.as_table = o->output ? strcmp(o->output, "table") == 0 : isatty(STDOUT_FILENO),
	};
	struct timespec now;
	int64_t since_ms;

	(void)s;
	clock_gettime(CLOCK_REALTIME, &now);
	if (o->since) {
		if (since_parse(o->since, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, &since_ms, err) < 0)
			return -err->code;
		since_format(r.filter.since, since_ms);
	}
	return read_log(&r, o->follow, err);
}

const struct command logs_command = {
	.name = "logs",
	.arguments = "",
	.summary = "Shows what hearthd has logged: a table on a terminal, else the lines of JSON as they are.",
	.options = options,
	.run = run,
};
