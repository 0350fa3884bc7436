#include "session_files.h"
#include "session_execute.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const struct view_column columns[] = {
	{ "NAME", "name", VIEW_PLAIN },
	{ "DIRECTORY", "directory", VIEW_PLAIN },
	{ "TYPE", "type", VIEW_PLAIN },
	{ "SIZE", "sizeInBytes", VIEW_PLAIN },
	{ "CHANGED", "lastModifiedAt", VIEW_TIME },
	{ NULL, NULL, VIEW_PLAIN },
};

#define FILES_OPTIONS                                                                                                  \
	OPTION(OPTION_TEXT, 'i', "identifier", session, "NAME", "the session; it is made when there is none"),         \
		OPTION(OPTION_TEXT, 0, "path", folder, "FOLDER", "a folder in /mnt/data; default: /mnt/data itself"),  \
		SESSION_POOL_OPTIONS, COMMON_OPTIONS

static const struct option_spec upload_options[] = {
	OPTION(OPTION_TEXT, 0, "filepath", file_path, "FILE", "the file to upload; or give it as an argument"),
	FILES_OPTIONS,
};

static const struct option_spec file_options[] = {
	OPTION(OPTION_TEXT, 0, "filename", file_name, "FILE", "the session's file; or give it as an argument"),
	FILES_OPTIONS,
};

static const struct option_spec delete_options[] = {
	OPTION(OPTION_TEXT, 0, "filename", file_name, "FILE", "the session's file; or give it as an argument"),
	OPTION(OPTION_SWITCH, 'y', "yes", yes, NULL, "do not ask"),
	FILES_OPTIONS,
};

static const struct option_spec list_options[] = { FILES_OPTIONS };

static const struct option_spec execute_options[] = {
	OPTION(OPTION_TEXT, 0, "code", code, "CODE", "the code, or @FILE; or give it as an argument"),
	OPTION(OPTION_NUMBER, 0, "timeout-in-seconds", timeout_s, "SECONDS",
	       "interrupt it after this time; default: 60"),
	FILES_OPTIONS,
};

/* A call about the files of a session. */
struct target {
	const char *parameters[5];
};

static int find_target(struct target *t, const struct options *o, struct error *err)
{
	if (!o->session)
		return error_set(err, STATUS_USAGE, "--identifier is missing: it names the session");
	*t = (struct target) { { "identifier", o->session, o->folder ? "path" : NULL, o->folder, NULL } };
	return 0;
}

static int print(json_t *answer, int ret, const struct options *o, struct error *err)
{
	const json_t *list = json_object_get(answer, "value");

	if (ret == 0 && answer)
		ret = view_print(list ? list : answer, columns, o->output, err);
	json_decref(answer);
	return ret;
}

/* ---- the commands ------------------------------------------------------------------------------------------------ */

static int check_file(const char *file, struct error *err)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return error_set(err, STATUS_USAGE, "%s: %s", file, strerror(errno));
	if (!S_ISREG(stat.st_mode))
		return error_set(err, STATUS_USAGE, "%s is no regular file", file);
	return 0;
}

static int upload(struct service *s, const struct options *o, struct error *err)
{
	const char *file = command_name(o, o->file_path, "the file's path (--filepath)", err);
	const char *slash = file ? strrchr(file, '/') : NULL;
	AUTO_FREE char *path = NULL;
	json_t *answer = NULL;
	struct target t;
	int ret;

	if (!file || find_target(&t, o, err) < 0 || check_file(file, err) < 0)
		return -err->code;
	path = service_route(s, "files", t.parameters);
	ret = service_upload(s, path, file, slash ? slash + 1 : file, &answer, err);
	return print(answer, ret, o, err);
}

static int list(struct service *s, const struct options *o, struct error *err)
{
	AUTO_FREE char *path = NULL;
	json_t *answer = NULL;
	struct target t;
	int ret;

	if (find_target(&t, o, err) < 0)
		return -err->code;
	path = service_route(s, "files", t.parameters);
	ret = service_call(s, "GET", path, NULL, &answer, err);
	return print(answer, ret, o, err);
}

/* The address of the file that the command is about; NULL with *err set. */
static char *file_address(const struct service *s, const struct options *o, const char *route, struct error *err)
{
	const char *name = command_name(o, o->file_name, "the file's name (--filename)", err);
	struct target t;
	char *path;

	if (!name || find_target(&t, o, err) < 0)
		return NULL;
	path = service_file_route(s, route, name, t.parameters);
	if (!path)
		error_set(err, STATUS_SERVICE, "not enough memory for the request");
	return path;
}

static int show_content(struct service *s, const struct options *o, struct error *err)
{
	AUTO_FREE char *path = file_address(s, o, "files/%s/content", err);

	return path ? service_download(s, path, stdout, err) : -err->code;
}

static int show_metadata(struct service *s, const struct options *o, struct error *err)
{
	AUTO_FREE char *path = file_address(s, o, "files/%s", err);
	json_t *answer = NULL;
	int ret;

	if (!path)
		return -err->code;
	ret = service_call(s, "GET", path, NULL, &answer, err);
	return print(answer, ret, o, err);
}

static int delete_file(struct service *s, const struct options *o, struct error *err)
{
	AUTO_FREE char *path = file_address(s, o, "files/%s", err);
	json_t *answer = NULL;
	int ret;

	if (!path)
		return -err->code;
	ret = command_confirm(o, err, "Delete this file?");
	if (ret == 0)
		ret = service_call(s, "DELETE", path, NULL, &answer, err);
	json_decref(answer);
	return ret;
}

static const struct command commands[] = {
	{ "execute", "[CODE]",
	  "Runs code in a session and shows the service's answer; hearth run shows output as it comes.",
	  execute_options, 1, session_execute },
	{ "upload-file", "[FILE]", "Copies a file into a session.", upload_options, 1, upload },
	{ "list-files", "", "Shows the files of a folder of a session.", list_options, 0, list },
	{ "show-file-content", "[NAME]", "Writes a file of a session to standard output.", file_options, 1,
	  show_content },
	{ "show-file-metadata", "[NAME]", "Shows what is known of a file of a session.", file_options, 1,
	  show_metadata },
	{ "delete-file", "[NAME]", "Deletes a file of a session.", delete_options, 1, delete_file },
	{ NULL, NULL, NULL, NULL, 0, NULL },
};

const struct command_group session_files_commands = {
	.name = "session code-interpreter",
	.summary = "Code in a session, and its files: what is in /mnt/data, where code finds them as its working "
		   "directory.",
	.commands = commands,
	.examples = "  hearth session code-interpreter execute -i work --code 'print(6 * 7)'\n"
		    "  hearth session code-interpreter upload-file -i work --filepath data.csv\n"
		    "  hearth session code-interpreter list-files -i work\n"
		    "  hearth session code-interpreter show-file-content -i work --filename out.png > out.png\n",
};
