#include "key.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "view.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct view_column columns[] = {
	{ "ID", "id", VIEW_PLAIN },
	{ "NAME", "name", VIEW_PLAIN },
	{ "ROLE", "role", VIEW_PLAIN },
	{ "POOLS", "poolNames", VIEW_PLAIN },
	{ "CREATED", "createdAt", VIEW_TIME },
	{ "EXPIRES", "expiresAt", VIEW_TIME },
	{ "LAST USED", "lastUsedAt", VIEW_TIME },
	{ NULL, NULL, VIEW_PLAIN },
};

static const struct option_spec create_options[] = {
	OPTION(OPTION_TEXT, 'n', "name", name, "TEXT", "your word for it; or give it as an argument"),
	OPTION(OPTION_TEXT, 0, "role", role, "ROLE", "reader, executor or manager; default: executor"),
	OPTION(OPTION_TEXT, 'p', "pools", pool, "NAME,…", "the session pools that it is for; default: all"),
	OPTION(OPTION_TEXT, 0, "expires-in", expires_in, "TIME", "90s, 15m, 12h or 30d; default: never"),
	COMMON_OPTIONS,
};

static const struct option_spec list_options[] = { COMMON_OPTIONS };

static const struct option_spec revoke_options[] = {
	OPTION(OPTION_SWITCH, 'y', "yes", yes, NULL, "do not ask"),
	COMMON_OPTIONS,
};

/* For the table: the names in one text. */
static void add_pool_names(json_t *key)
{
	const json_t *item, *pools = json_object_get(key, "pools");
	char text[256] = "";
	size_t i;

	json_array_foreach(pools, i, item) snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
						    i ? "," : "", json_string_value(item));
	json_object_set_new(key, "poolNames", json_string(strcmp(text, "*") == 0 ? "all" : text));
}

static int print_keys(json_t *keys, const struct options *o, struct error *err)
{
	bool as_table = o->output ? strcmp(o->output, "table") == 0 : isatty(STDOUT_FILENO);
	json_t *key;
	size_t i;

	if (as_table)
		json_array_foreach(keys, i, key) add_pool_names(key);
	return view_print(keys, columns, o->output, err);
}

/* ---- create ------------------------------------------------------------------------------------------------------ */

static int read_time(const char *text, int64_t *seconds, struct error *err)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { '\0', 1 } };
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (*end != units[i].letter || (*end && end[1]) || end == text || errno || number < 1 ||
		    number > 1000000000)
			continue;
		*seconds = number * units[i].seconds;
		return 0;
	}
	return error_set(err, STATUS_USAGE, "'%s' is not a time: it looks like 90s, 15m, 12h or 30d", text);
}

/* "a,b" as an array; NULL if there is no memory or no UTF-8. */
static json_t *read_pools(const char *text)
{
	json_t *array = json_array();

	while (array && *text) {
		size_t length = strcspn(text, ",");

		if (length && json_array_append_new(array, json_stringn(text, length)) < 0) {
			json_decref(array);
			return NULL;
		}
		text += length + (text[length] == ',');
	}
	return array;
}

static json_t *create_body(const struct options *o, struct error *err)
{
	const char *name = o->n_arguments ? o->arguments[0] : o->name;
	json_t *body = json_pack("{s:s, s:s}", "name", name ? name : "", "role", o->role ? o->role : "executor");
	int64_t seconds = 0;
	int ret = 0;

	if (!body || (o->pool && json_object_set_new(body, "pools", read_pools(o->pool)) < 0))
		ret = error_set(err, STATUS_USAGE, "the key's name, role or pools are not UTF-8");
	else if (o->expires_in)
		ret = read_time(o->expires_in, &seconds, err);
	if (ret == 0 && seconds)
		json_object_set_new(body, "expiresInSeconds", json_integer(seconds));
	if (ret == 0)
		return body;
	json_decref(body);
	return NULL;
}

/* The token alone goes to stdout: `TOKEN=$(hearth key create)`. With -o json it is the whole answer. */
static int print_created(const json_t *key, const struct options *o, struct error *err)
{
	const char *token = json_string_value(json_object_get(key, "token"));
	const char *id = json_string_value(json_object_get(key, "id"));

	if (!token || !id)
		return error_set(err, STATUS_SERVICE, "the service's answer has no token: is it hearthd?");
	if (o->output && strcmp(o->output, "json") == 0)
		return view_print(key, columns, o->output, err);
	fprintf(stderr, "The key %s was made. Its token is shown this once:\n", id);
	if (puts(token) < 0 || fflush(stdout) != 0)
		return error_set(err, STATUS_SERVICE, "cannot write the token: revoke the key %s and make another", id);
	return 0;
}

static int create(struct service *s, const struct options *o, struct error *err)
{
	json_t *body = create_body(o, err), *answer = NULL;
	int ret;

	if (!body)
		return -err->code;
	ret = service_call(s, "POST", "keys", body, &answer, err);
	if (ret == 0)
		ret = print_created(answer, o, err);
	json_decref(body);
	json_decref(answer);
	return ret;
}

/* ---- list and revoke --------------------------------------------------------------------------------------------- */

static int list(struct service *s, const struct options *o, struct error *err)
{
	json_t *answer = NULL;
	int ret = service_call(s, "GET", "keys", NULL, &answer, err);

	if (ret == 0)
		ret = print_keys(json_object_get(answer, "value"), o, err);
	json_decref(answer);
	return ret;
}

static int revoke_key(struct service *s, const struct options *o, struct error *err)
{
	const char *id = command_name(o, NULL, "the key's id (hearth key list shows it)", err);
	char *escaped = id ? curl_easy_escape(NULL, id, 0) : NULL;
	AUTO_FREE char *path = NULL;
	json_t *answer = NULL;
	int ret;

	if (!id)
		return -err->code;
	ret = command_confirm(o, err, "Revoke the key %s?", id);
	if (escaped && asprintf(&path, "keys/%s", escaped) < 0)
		path = NULL;
	if (ret == 0)
		ret = service_call(s, "DELETE", path, NULL, &answer, err);
	curl_free(escaped);
	json_decref(answer);
	return ret;
}

static const struct command commands[] = {
	{ "create", "[NAME]", "Makes an API key and prints its token, which nothing can show again.", create_options, 1,
	  create },
	{ "list", "", "Shows all API keys, without their tokens.", list_options, 0, list },
	{ "revoke", "ID", "Revokes an API key at once.", revoke_options, 1, revoke_key },
	{ NULL, NULL, NULL, NULL, 0, NULL },
};

const struct command_group key_commands = {
	.name = "key",
	.summary = "API keys: tokens for clients, each with a role on some or all session pools.",
	.commands = commands,
	.examples = "  hearth key create ci --role executor --pools analysis,reports --expires-in 30d\n"
		    "  HEARTH_TOKEN=$(hearth key create notebook) hearth run -c '6 * 7'\n"
		    "  hearth key list\n"
		    "  hearth key revoke 0ba7b540b509eaaf --yes\n",
};
