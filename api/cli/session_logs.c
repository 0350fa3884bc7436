#include "session_logs.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "interrupt.h"
#include "json.h"
#include "output.h"
#include "report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_text(const json_t *entry, struct error *err)
{
	const char *stream = json_string_value(json_object_get(entry, "stream"));
	const json_t *text = json_object_get(entry, "text");
	bool is_stderr = stream && strcmp(stream, "stderr") == 0;

	return output_write(is_stderr ? STDERR_FILENO : STDOUT_FILENO, json_string_value(text),
			    json_string_length(text), err);
}

static void tell_end(const json_t *ended)
{
	const json_t *code = json_object_get(ended, "exitCode"), *ran_us = json_object_get(ended, "ranInMicroseconds");
	const char *reason = json_string_value(json_object_get(ended, "reason"));
	char safe[512];

	report_make_safe(reason ? reason : "", safe, sizeof(safe));
	fprintf(stderr, "hearth: the session has ended: %s", *safe ? safe : "the service does not say why");
	if (json_is_integer(code))
		fprintf(stderr, " (exit code %" JSON_INTEGER_FORMAT " after %.1f s)", json_integer_value(code),
			json_number_value(ran_us) / 1e6);
	fputc('\n', stderr);
}

static int on_line(void *context, const char *line, size_t size)
{
	struct error *err = context;
	json_t *entry = json_parse(line, size);
	const json_t *dropped = json_object_get(entry, "droppedBytes"), *ended = json_object_get(entry, "ended");
	int ret = 0;

	if (!json_is_object(entry))
		ret = error_set(err, STATUS_SERVICE, "the service sent a line that cannot be read: is it hearthd?");
	else if (json_is_string(json_object_get(entry, "text")))
		ret = write_text(entry, err);
	else if (json_is_integer(dropped))
		fprintf(stderr, "hearth: %" JSON_INTEGER_FORMAT " bytes of output before this are no longer there\n",
			json_integer_value(dropped));
	else if (json_is_object(ended))
		tell_end(ended);
	json_decref(entry);
	return ret;
}

int session_logs(struct service *s, const char *route, const char *session, bool is_following, struct error *err)
{
	const char *const parameters[] = { "identifier", session, is_following ? "follow" : NULL, "true", NULL };
	AUTO_FREE char *path = service_route(s, route, parameters);
	int ret = service_read_lines(s, path, is_following, on_line, err, err);

	if (ret < 0 && interrupt_signal())
		return is_following ? 0 : error_set(err, STATUS_SIGNAL + interrupt_signal(), "interrupted");
	return ret;
}
