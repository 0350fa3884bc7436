#include "api/token_command.h"

#include "api/buffer_read.h"
#include "api/token_source.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
	TIMEOUT_MS = 10 * 1000,
};

#define PLACE "{resource}"

struct token_command {
	uv_process_t process;
	uv_pipe_t output;
	uv_timer_t timer;
	int n_open; /* handles that libuv still uses */
	const char *name;
	token_command_done done;
	void *data;
	struct buffer text;
	const char *problem; /* why there is no token; NULL: none so far */
	bool has_exited, has_ended;
};

/* ---- what it prints ---------------------------------------------------------------------------------------------- */

/* A number, or a text of one, as the protocol of managed identities has it. */
static int64_t seconds_of(const json_t *value)
{
	const char *text = json_string_value(value);
	int64_t seconds = json_is_integer(value) ? json_integer_value(value) : text ? strtoll(text, NULL, 10) : 0;

	return seconds > 0 ? seconds : 0;
}

/* What may stand in an HTTP header: anything else is no token, but a command's complaint. */
static bool is_token(const char *text)
{
	size_t size = strlen(text);

	for (size_t i = 0; i < size; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return size > 0 && size <= TOKEN_MAX;
}

bool token_text_parse(struct token_text *parsed, const char *text, size_t size)
{
	json_t *json = size ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const json_t *token = json_object_get(json, "access_token");

	*parsed = (struct token_text) { 0 };
	if (!token)
		token = json_object_get(json, "accessToken");
	while (size && strchr(" \t\r\n", text[size - 1]) && text[size - 1])
		size--;
	if (json_is_object(json)) {
		parsed->token = json_is_string(token) ? strdup(json_string_value(token)) : NULL;
		parsed->expires_on = seconds_of(json_object_get(json, "expires_on"));
	} else if (size && !memchr(text, '\0', size)) {
		parsed->token = strndup(text, size);
	}
	json_decref(json);
	return parsed->token && is_token(parsed->token);
}

void token_text_fini(struct token_text *parsed)
{
	if (parsed->token)
		explicit_bzero(parsed->token, strlen(parsed->token));
	free(parsed->token);
	parsed->token = NULL;
}

/* ---- running it -------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct token_command *c = handle->data;

	if (--c->n_open)
		return;
	buffer_wipe(&c->text);
	free(c);
}

static void close_all(struct token_command *c)
{
	uv_close((uv_handle_t *)&c->timer, on_closed);
	uv_close((uv_handle_t *)&c->output, on_closed);
	uv_close((uv_handle_t *)&c->process, on_closed);
}

static void finish(struct token_command *c)
{
	struct token_text parsed = { 0 };

	if (!c->problem && !token_text_parse(&parsed, c->text.data, c->text.size))
		c->problem = "what it printed is no token";
	if (c->problem)
		log_warn_limited("identity=%s: no token can be had from its command: %s", c->name, c->problem);
	c->done(c->data, c->problem ? NULL : parsed.token, parsed.expires_on);
	token_text_fini(&parsed);
	close_all(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct token_command *c = handle->data;

	(void)suggested;
	*buf = buffer_read_room(&c->text, 4096);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct token_command *c = stream->data;

	(void)buf;
	c->text.size += n > 0 ? (size_t)n : 0;
	if (n >= 0 && c->text.size <= TOKEN_MAX + 4096)
		return;
	if (n >= 0) {
		c->problem = "it prints too much";
		uv_process_kill(&c->process, SIGKILL);
	}
	uv_read_stop(stream);
	c->has_ended = true;
	if (c->has_exited)
		finish(c);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal_number)
{
	struct token_command *c = process->data;

	if (!c->problem && signal_number)
		c->problem = "it was ended by a signal";
	else if (!c->problem && status)
		c->problem = "it failed (exit status other than 0)";
	c->has_exited = true;
	if (c->has_ended)
		finish(c);
}

static void on_timeout(uv_timer_t *timer)
{
	struct token_command *c = timer->data;

	c->problem = "it did not end in time";
	/* What it has started may hold its output open. */
	uv_read_stop((uv_stream_t *)&c->output);
	c->has_ended = true;
	if (c->has_exited)
		finish(c);
	else
		uv_process_kill(&c->process, SIGKILL);
}

/* A copy of an argument with the resource in its place. */
static char *fill_in(const char *argument, const char *resource)
{
	const char *place = strstr(argument, PLACE);
	struct buffer text = { 0 };

	for (; place; place = strstr(argument, PLACE)) {
		buffer_put(&text, argument, (size_t)(place - argument));
		buffer_put_text(&text, resource);
		argument = place + strlen(PLACE);
	}
	buffer_put(&text, argument, strlen(argument) + 1);
	if (text.failed)
		buffer_fini(&text);
	return text.data;
}

static void free_arguments(char **arguments)
{
	for (char **argument = arguments; argument && *argument; argument++)
		free(*argument);
	free(arguments);
}

static char **fill_in_all(char *const *arguments, const char *resource)
{
	size_t n = 0;
	char **filled;

	while (arguments[n])
		n++;
	filled = calloc(n + 1, sizeof(*filled));
	for (size_t i = 0; filled && i < n; i++) {
		filled[i] = fill_in(arguments[i], resource);
		if (!filled[i]) {
			free_arguments(filled);
			filled = NULL;
		}
	}
	return filled;
}

static int start(struct token_command *c, char **arguments)
{
	uv_stdio_container_t streams[3] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->output },
		{ .flags = UV_IGNORE },
	};
	const uv_process_options_t options = {
		.exit_cb = on_process_exit,
		.file = arguments[0],
		.args = arguments,
		.stdio = streams,
		.stdio_count = 3,
	};

	return uv_spawn(c->timer.loop, &c->process, &options);
}

struct token_command *token_command_run(uv_loop_t *loop, const char *name, char *const *arguments, const char *resource,
					token_command_done done, void *data)
{
	char **filled = fill_in_all(arguments, resource);
	struct token_command *c = filled ? calloc(1, sizeof(*c)) : NULL;
	int rc;

	if (!c) {
		free_arguments(filled);
		return NULL;
	}
	*c = (struct token_command) { .n_open = 3, .name = name, .done = done, .data = data };
	uv_timer_init(loop, &c->timer);
	uv_pipe_init(loop, &c->output, 0);
	c->timer.data = c->output.data = c->process.data = c;
	rc = start(c, filled);
	free_arguments(filled);
	if (rc < 0) {
		log_warn_limited("identity=%s: its command cannot be started: %s", name, uv_strerror(rc));
		close_all(c);
		return NULL;
	}
	uv_read_start((uv_stream_t *)&c->output, on_alloc, on_read);
	uv_timer_start(&c->timer, on_timeout, TIMEOUT_MS, 0);
	return c;
}
