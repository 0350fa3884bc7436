#include "notebook.h"
#include "buffer.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "interrupt.h"
#include "own_session.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	NOTEBOOK_SIZE_MAX = 32 << 20, /* bytes; the service takes no more */
};

static const struct option_spec run_options[] = {
	OPTION(OPTION_TEXT, 'o', "output", file_path, "FILE",
	       "where the executed notebook goes, perhaps the same file; default: standard output"),
	OPTION(OPTION_TEXT, 's', "session", session, "NAME",
	       "run in the session NAME, which keeps its variables; default: one that ends with the run"),
	OPTION(OPTION_SWITCH, 0, "allow-errors", allow_errors, NULL, "go on after a cell that fails"),
	OPTION(OPTION_NUMBER, 't', "timeout", timeout_s, "SECONDS", "interrupt each cell after this time"),
	POOL_OPTION,
	SERVICE_OPTIONS,
};

struct run {
	const char *name;   /* of the file, for messages */
	json_t *notebook;   /* that came back; NULL: none yet */
	struct error error; /* set when an event could not be handled */
};

/* ---- what comes back --------------------------------------------------------------------------------------------- */

static void show_progress(const json_t *cell)
{
	const char *status = json_string_value(json_object_get(cell, "status"));
	const json_t *ms = json_object_get(cell, "executionTimeInMilliseconds");

	if (!status || !json_is_integer(ms))
		return;
	fprintf(stderr, "[%lld/%lld] cell %lld: %s (%.3f s)\n",
		(long long)json_integer_value(json_object_get(cell, "number")),
		(long long)json_integer_value(json_object_get(cell, "of")),
		(long long)json_integer_value(json_object_get(cell, "cell")), status,
		(double)json_integer_value(ms) / 1000);
}

static int give_up(struct run *run, const json_t *body)
{
	const char *message = json_string_value(json_object_get(json_object_get(body, "error"), "message"));

	return error_set(&run->error, STATUS_SERVICE, "the service gave up: %s",
			 message ? message : "it does not say why");
}

static int on_event(void *context, const char *type, const char *data, size_t size)
{
	struct run *run = context;
	json_t *body = json_loadb(data, size, JSON_ALLOW_NUL, NULL);
	int ret = 0;

	if (!json_is_object(body)) {
		ret = error_set(&run->error, STATUS_SERVICE, "the service sent an event that cannot be read");
	} else if (strcmp(type, "cell") == 0) {
		show_progress(body);
	} else if (strcmp(type, "error") == 0) {
		ret = give_up(run, body);
	} else if (strcmp(type, "done") == 0 && !run->notebook) {
		run->notebook = json_incref(body);
	}
	json_decref(body);
	return ret;
}

static int write_notebook(const json_t *notebook, const char *path, struct error *err)
{
	/* As other tools write it, so that differences between two of them are small. */
	AUTO_FREE char *text = json_dumps(notebook, JSON_INDENT(1));
	FILE *out = path ? fopen(path, "we") : stdout;
	bool is_written;

	if (!text)
		return error_set(err, STATUS_SERVICE, "not enough memory for the notebook");
	if (!out)
		return error_set(err, STATUS_USAGE, "cannot write %s: %s", path, strerror(errno));
	is_written = fputs(text, out) >= 0 && fputc('\n', out) != EOF && fflush(out) == 0;
	if (path)
		is_written = fclose(out) == 0 && is_written;
	return is_written ? 0
			  : error_set(err, STATUS_SERVICE, "cannot write %s: %s", path ? path : "the notebook",
				      strerror(errno));
}

/* The last error that a cell shows. */
static const json_t *last_error(const json_t *cell)
{
	const json_t *found = NULL, *output;
	size_t i;

	json_array_foreach(json_object_get(cell, "outputs"), i, output)
	{
		const char *type = json_string_value(json_object_get(output, "output_type"));

		if (type && strcmp(type, "error") == 0)
			found = output;
	}
	return found;
}

/* 0 if the run came to its end; else what stopped it. */
static int judge(const struct run *run, struct error *err)
{
	const json_t *status = json_object_get(json_object_get(run->notebook, "metadata"), "hearth");
	const char *word = json_string_value(json_object_get(status, "status"));
	json_int_t number = json_integer_value(json_object_get(status, "failedCell"));
	const json_t *error = last_error(json_array_get(json_object_get(run->notebook, "cells"), (size_t)number));
	const char *name = json_string_value(json_object_get(error, "ename"));
	const char *value = json_string_value(json_object_get(error, "evalue"));
	char text[300], safe[300];

	if (word && strcmp(word, "Succeeded") == 0)
		return 0;
	snprintf(text, sizeof(text), "%s: %s", name ? name : "error", value ? value : "");
	report_make_safe(text, safe, sizeof(safe));
	return error_set(err, STATUS_CODE_FAILED, "%.100s: cell %lld failed: %s", run->name, (long long)number, safe);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* `text` ends with NUL. */
static int read_notebook(const char *path, struct buffer *text, struct error *err)
{
	AUTO_FD int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return error_set(err, STATUS_USAGE, "cannot open %s: %s", path, strerror(errno));
	text->limit = NOTEBOOK_SIZE_MAX;
	ret = buffer_read_all(text, fd);
	if (ret == -EMSGSIZE)
		return error_set(err, STATUS_USAGE, "%s is larger than %d MiB: clear its outputs, which are made anew",
				 path, NOTEBOOK_SIZE_MAX >> 20);
	if (ret < 0)
		return error_set(err, STATUS_USAGE, "cannot read %s: %s", path, strerror(-ret));
	if (!text->size || strlen(text->data) != text->size)
		return error_set(err, STATUS_USAGE, "%s is no notebook", path);
	return 0;
}

static int run_in(struct service *s, const struct options *o, const char *session, const char *text, struct run *run,
		  struct error *err)
{
	int ret = service_run_notebook(s, session, text, o->allow_errors, o->timeout_s, on_event, run, err);

	if (interrupt_signal())
		return error_set(err, STATUS_SIGNAL + interrupt_signal(), "interrupted");
	if (run->error.code) {
		*err = run->error;
		return -err->code;
	}
	if (ret < 0)
		return ret;
	if (!run->notebook)
		return error_set(err, STATUS_SERVICE,
				 "%s ended the answer before the notebook had ended: its log may say why",
				 service_url(s));
	ret = write_notebook(run->notebook, o->file_path, err);
	return ret < 0 ? ret : judge(run, err);
}

static int run_command_notebook(struct service *s, const struct options *o, struct error *err)
{
	const char *name = command_name(o, NULL, "the notebook's file", err), *session = o->session;
	struct run run = { .name = name };
	struct buffer text = { 0 };
	char own_session[OWN_SESSION_SIZE];
	int ret;

	if (!name)
		return -err->code;
	if (!o->file_path && isatty(STDOUT_FILENO))
		return error_set(err, STATUS_USAGE, "the notebook does not belong on a terminal: name a file with -o");
	if (o->timeout_s == 0 || o->timeout_s > 86400)
		return error_set(err, STATUS_USAGE, "--timeout takes a number of seconds from 1 to 86400");
	ret = read_notebook(name, &text, err);
	if (ret == 0 && !session) {
		ret = own_session_name(own_session, err);
		session = own_session;
	}
	if (ret == 0)
		ret = run_in(s, o, session, text.data, &run, err);
	if (session == own_session)
		service_end_session(s, session);
	json_decref(run.notebook);
	buffer_fini(&text);
	return ret;
}

static const struct command commands[] = {
	{ "run", "FILE", "Runs the code cells of a notebook in order, and writes it with their outputs.", run_options,
	  1, run_command_notebook },
	{ NULL, NULL, NULL, NULL, 0, NULL },
};

const struct command_group notebook_commands = {
	.name = "notebook",
	.summary = "Jupyter notebooks (.ipynb), run in a session.",
	.commands = commands,
	.examples = "  hearth notebook run analysis.ipynb -o executed.ipynb\n"
		    "  hearth notebook run --session work --allow-errors analysis.ipynb -o analysis.ipynb\n",
};
