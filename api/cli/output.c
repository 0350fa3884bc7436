#include "output.h"
#include "exit_status.h"
#include "interrupt.h"
#include "json.h"
#include "picture.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int output_write(int fd, const char *data, size_t size, struct error *err)
{
	int ret = write_unless_interrupted(fd, data, size);

	if (ret == 0)
		return 0;
	/* Who reads our output has enough of it (`| head`): end as SIGPIPE would have ended us, silently. */
	if (ret == -EPIPE)
		return error_set(err, STATUS_SIGNAL + 13, "%s", "");
	return error_set(err, STATUS_SERVICE, "cannot write the output: %s", strerror(-ret));
}

static int emit(struct output *out, int fd, const char *data, size_t size)
{
	return output_write(fd, data, size, &out->error);
}

static int on_stream(struct output *out, int fd, const json_t *body)
{
	const json_t *text = json_object_get(body, "text");

	return json_is_string(text) ? emit(out, fd, json_string_value(text), json_string_length(text)) : 0;
}

/* A picture is saved, and its text ("<Figure size …>") then says nothing new; other values are printed. */
static int on_value(struct output *out, const json_t *bundle)
{
	const json_t *text = json_object_get(bundle, "text/plain");
	char path[4096];
	int ret = picture_save(bundle, out->directory, path, sizeof(path), &out->error);

	if (ret < 0)
		return ret;
	if (ret > 0) {
		fprintf(stderr, "hearth: saved %s\n", path);
		return 0;
	}
	if (json_is_string(text)) {
		ret = emit(out, STDOUT_FILENO, json_string_value(text), json_string_length(text));
		return ret < 0 ? ret : emit(out, STDOUT_FILENO, "\n", 1);
	}
	fprintf(stderr, "hearth: a value without a text form is not shown: --json has it\n");
	return 0;
}

bool output_is_success(const char *status)
{
	return status && (strcmp(status, "Succeeded") == 0 || strcmp(status, "0") == 0);
}

static int on_done(struct output *out, const char *data, size_t size, const json_t *body)
{
	const json_t *status = json_object_get(body, "status");

	if (!json_is_string(status))
		return error_set(&out->error, STATUS_SERVICE, "the service's answer has no status: is it hearthd?");
	out->done = true;
	out->succeeded = output_is_success(json_string_value(status));
	if (!out->json)
		return 0;
	/* As it came: integers may have more digits than a C type holds. */
	return emit(out, STDOUT_FILENO, data, size) < 0 ? -1 : emit(out, STDOUT_FILENO, "\n", 1);
}

/* The service gives up on the execution after it has begun to answer. */
static int on_error(struct output *out, const json_t *body)
{
	const json_t *message = json_object_get(json_object_get(body, "error"), "message");

	return error_set(&out->error, STATUS_SERVICE, "the service gave up: %s",
			 json_is_string(message) ? json_string_value(message) : "it does not say why");
}

int output_event(void *context, const char *type, const char *data, size_t size)
{
	struct output *out = context;
	bool is_done = strcmp(type, "done") == 0;
	bool is_error = strcmp(type, "error") == 0;
	json_t *body;
	int ret = 0;

	if (out->done || (out->json && !is_done && !is_error))
		return 0;
	body = json_parse(data, size);
	if (!json_is_object(body)) {
		json_decref(body);
		return error_set(&out->error, STATUS_SERVICE, "the service sent an event that cannot be read");
	}
	if (is_done)
		ret = on_done(out, data, size, body);
	else if (is_error)
		ret = on_error(out, body);
	else if (strcmp(type, "stdout") == 0)
		ret = on_stream(out, STDOUT_FILENO, body);
	else if (strcmp(type, "stderr") == 0)
		ret = on_stream(out, STDERR_FILENO, body);
	else if (strcmp(type, "display") == 0 || strcmp(type, "result") == 0)
		ret = on_value(out, body);
	json_decref(body);
	return ret;
}
