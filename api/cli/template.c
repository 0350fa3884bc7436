#include "template.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "view.h"

#include <curl/curl.h>
#include <stdio.h>

static const struct view_column columns[] = {
	{ "NAME", "name", VIEW_PLAIN },
	{ "CPU", "cpu", VIEW_PLAIN },
	{ "MEMORY MIB", "memoryInMib", VIEW_PLAIN },
	{ "BYTES", "sizeInBytes", VIEW_PLAIN },
	{ "LAYERS", "layers", VIEW_PLAIN },
	{ "CREATED", "createdAt", VIEW_TIME },
	{ NULL, NULL, VIEW_PLAIN },
};

static const struct option_spec create_options[] = {
	OPTION(OPTION_TEXT, 0, "from-session", session, "NAME", "the session to make it of; it goes on"),
	POOL_OPTION,
	COMMON_OPTIONS,
};

static const struct option_spec list_options[] = { COMMON_OPTIONS };

static const struct option_spec delete_options[] = {
	OPTION(OPTION_SWITCH, 'y', "yes", yes, NULL, "do not ask"),
	COMMON_OPTIONS,
};

/* The template's path; NULL with *err set. The caller frees it. */
static char *template_path(const struct service *s, const struct options *o, const char **name, struct error *err)
{
	AUTO_FREE char *route = NULL;
	char *escaped, *path = NULL;

	*name = command_name(o, NULL, "the template's name", err);
	if (!*name)
		return NULL;
	escaped = curl_easy_escape(NULL, *name, 0);
	if (escaped && asprintf(&route, "templates/%s", escaped) >= 0)
		path = service_route(s, route, NULL);
	else
		route = NULL;
	curl_free(escaped);
	if (!path)
		error_set(err, STATUS_SERVICE, "not enough memory for the request");
	return path;
}

static int create(struct service *s, const struct options *o, struct error *err)
{
	const char *name;
	AUTO_FREE char *path = template_path(s, o, &name, err);
	json_t *body, *answer = NULL;
	int ret;

	if (!path)
		return -err->code;
	if (!o->session)
		return error_set(err, STATUS_USAGE, "--from-session is missing: it names the session to make it of");
	body = json_pack("{s:s}", "fromSession", o->session);
	if (!body)
		return error_set(err, STATUS_USAGE, "the session's name is not UTF-8");
	ret = service_call(s, "PUT", path, body, &answer, err);
	if (ret == 0)
		ret = view_print(answer, columns, o->output, err);
	json_decref(body);
	json_decref(answer);
	return ret;
}

static int list(struct service *s, const struct options *o, struct error *err)
{
	json_t *answer = NULL;
	int ret = service_call(s, "GET", "templates", NULL, &answer, err);

	if (ret == 0)
		ret = view_print(json_object_get(answer, "value"), columns, o->output, err);
	json_decref(answer);
	return ret;
}

static int delete (struct service *s, const struct options *o, struct error *err)
{
	const char *name;
	AUTO_FREE char *path = template_path(s, o, &name, err);
	json_t *answer = NULL;
	int ret = path ? command_confirm(o, err, "Delete the template %s?", name) : -err->code;

	if (ret == 0)
		ret = service_call(s, "DELETE", path, NULL, &answer, err);
	json_decref(answer);
	return ret;
}

static const struct command commands[] = {
	{ "create", "NAME --from-session SESSION", "Keeps a session as it is now, for new sessions to begin as.",
	  create_options, 1, create },
	{ "list", "", "Shows all templates.", list_options, 0, list },
	{ "delete", "NAME", "Deletes a template; sessions that began as it go on.", delete_options, 1, delete },
	{ NULL, NULL, NULL, NULL, 0, NULL },
};

const struct command_group template_commands = {
	.name = "template",
	.summary = "Templates: sessions kept, with imports done and data loaded, as the beginning of others.",
	.commands = commands,
	.examples = "  hearth run --session prepared -c 'import numpy, pandas; data = range(1000)'\n"
		    "  hearth template create warm-data --from-session prepared\n"
		    "  hearth sessionpool create analysis --template warm-data\n"
		    "  hearth run --pool analysis -c 'len(data)'\n",
};
