#include "pool_container.h"
#include "exit_status.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECRET_MARK "secretref:"

/* The probes that have an option, in the words of the resource. */
static const struct {
	const char *type, *option;
	size_t offset; /* in struct options */
} probes[] = {
	{ "Startup", "startup-probe", offsetof(struct options, startup_probe) },
	{ "Readiness", "readiness-probe", offsetof(struct options, readiness_probe) },
	{ "Liveness", "liveness-probe", offsetof(struct options, liveness_probe) },
};

enum { N_PROBES = sizeof(probes) / sizeof(probes[0]) };

static const char *probe_of(const struct options *o, size_t i)
{
	return *(const char *const *)((uintptr_t)o + probes[i].offset);
}

/* Those that go into the list of containers, which the service replaces as a whole. */
static bool is_container_meant(const struct options *o)
{
	bool is_meant = o->image || o->container_name || o->env_vars.n || o->command.n || o->args.n;

	for (size_t i = 0; i < N_PROBES; i++)
		is_meant = is_meant || probe_of(o, i);
	return is_meant;
}

bool pool_container_is_meant(const struct options *o)
{
	return is_container_meant(o) || o->target_port != OPTIONS_UNSET || o->snapshot;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* NULL with *err set if the bytes are no text: JSON has no others. */
static json_t *text_json(const char *text, size_t size, const char *option, struct error *err)
{
	json_t *json = json_stringn(text, size);

	if (!json)
		error_set(err, STATUS_USAGE, "--%s takes text in UTF-8", option);
	return json;
}

static int set_text(json_t *object, const char *key, const char *text, size_t size, const char *option,
		    struct error *err)
{
	json_t *json = text_json(text, size, option, err);

	return json ? json_object_set_new(object, key, json) : -err->code;
}

/* Reads one word of a list into `entry`, a new object. */
typedef int read_fn(json_t *entry, const char *word, const char *option, struct error *err);

/* NAME=value, or NAME=secretref:SECRET. */
static int read_variable(json_t *entry, const char *word, const char *option, struct error *err)
{
	size_t length = strcspn(word, "=");
	const char *value = word + length + 1;
	bool is_secret;

	if (length == 0 || !word[length])
		return error_set(err, STATUS_USAGE, "--%s takes NAME=value, or NAME=" SECRET_MARK "SECRET, not '%s'",
				 option, word);
	is_secret = strncasecmp(value, SECRET_MARK, strlen(SECRET_MARK)) == 0;
	value += is_secret ? strlen(SECRET_MARK) : 0;
	if (set_text(entry, "name", word, length, option, err) < 0)
		return -err->code;
	return set_text(entry, is_secret ? "secretRef" : "value", value, strlen(value), option, err);
}

/* NAME=value, or the NAME of one whose value stays. The word is in no error: it may be the value. */
static int read_secret(json_t *entry, const char *word, const char *option, struct error *err)
{
	size_t length = strcspn(word, "=");

	if (length == 0)
		return error_set(err, STATUS_USAGE, "--%s takes NAME=value, or the NAME of a secret that stays",
				 option);
	if (set_text(entry, "name", word, length, option, err) < 0)
		return -err->code;
	return word[length] ? set_text(entry, "value", word + length + 1, strlen(word + length + 1), option, err) : 0;
}

static bool has_name(const json_t *list, const json_t *name)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_equal(json_object_get(json_array_get(list, i), "name"), name))
			return true;
	return false;
}

static int append_named(json_t *list, const char *word, read_fn *read, const char *option, struct error *err)
{
	json_t *entry = json_object();
	int ret = read(entry, word, option, err);

	if (ret == 0 && has_name(list, json_object_get(entry, "name")))
		ret = error_set(err, STATUS_USAGE, "--%s names %s twice", option,
				json_string_value(json_object_get(entry, "name")));
	if (ret == 0)
		json_array_append(list, entry);
	json_decref(entry);
	return ret;
}

/* The words as a list under `key`, each read by `read`, or as it is. One that is empty, and alone, is an empty list. */
static int put_words(json_t *object, const char *key, const struct option_words *words, read_fn *read,
		     const char *option, struct error *err)
{
	json_t *list = json_array();
	bool is_empty = words->n == 1 && !*words->words[0];
	int ret = 0;

	for (size_t i = 0; ret == 0 && !is_empty && i < words->n; i++) {
		const char *word = words->words[i];
		json_t *text = read ? NULL : text_json(word, strlen(word), option, err);

		if (read)
			ret = append_named(list, word, read, option, err);
		else
			ret = text ? json_array_append_new(list, text) : -err->code;
	}
	if (ret == 0 && words->n)
		json_object_set(object, key, list);
	json_decref(list);
	return ret;
}

int pool_secrets_put(json_t *resource, const struct options *o, struct error *err)
{
	return put_words(json_object_get(resource, "properties"), "secrets", &o->secrets, read_secret, "secrets", err);
}

/* ---- probes ------------------------------------------------------------------------------------------------------ */

/* http:PORT/PATH or tcp:PORT; NULL if it is neither. */
static json_t *make_probe(const char *type, const char *text)
{
	bool is_http = strncasecmp(text, "http:", 5) == 0, is_tcp = strncasecmp(text, "tcp:", 4) == 0;
	const char *digits = strchr(text, ':');
	char *end = NULL;
	unsigned long port = digits && isdigit((unsigned char)digits[1]) ? strtoul(digits + 1, &end, 10) : 0;

	if (port < 1 || port > 65535 || !(is_http || is_tcp) || (*end && !(is_http && *end == '/')))
		return NULL;
	if (is_tcp)
		return json_pack("{s:s, s:{s:I}}", "type", type, "tcpSocket", "port", (json_int_t)port);
	return json_pack("{s:s, s:{s:s, s:I}}", "type", type, "httpGet", "path", *end ? end : "/", "port",
			 (json_int_t)port);
}

static void remove_probe(json_t *list, const char *type)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *other = json_string_value(json_object_get(json_array_get(list, i), "type"));

		if (other && strcasecmp(other, type) == 0)
			json_array_remove(list, i);
	}
}

/* Each that is named takes the place of the one of its type. */
static int put_probes(json_t *container, const struct options *o, struct error *err)
{
	for (size_t i = 0; i < N_PROBES; i++) {
		const char *text = probe_of(o, i);
		json_t *list = json_object_get(container, "probes");
		json_t *probe;

		if (!text)
			continue;
		if (!json_is_array(list)) {
			list = json_array();
			json_object_set_new(container, "probes", list);
		}
		remove_probe(list, probes[i].type);
		probe = *text ? make_probe(probes[i].type, text) : NULL;
		if (*text && !probe)
			return error_set(err, STATUS_USAGE, "--%s takes http:PORT/PATH or tcp:PORT, not '%s'",
					 probes[i].option, text);
		if (probe)
			json_array_append_new(list, probe);
	}
	return 0;
}

/* ---- the container ----------------------------------------------------------------------------------------------- */

/* Where there is a container, the size of a session is its own, as in az. */
static void move_resources(json_t *container, json_t *properties)
{
	json_t *resources = json_object_get(properties, "resources");
	json_t *own = json_object_get(container, "resources");

	if (json_is_object(own))
		json_object_update(own, resources);
	else if (resources)
		json_object_set(container, "resources", resources);
	json_object_del(properties, "resources");
}

static int put_container(json_t *container, const struct options *o, struct error *err)
{
	if (o->image && set_text(container, "image", o->image, strlen(o->image), "image", err) < 0)
		return -err->code;
	if (o->container_name &&
	    set_text(container, "name", o->container_name, strlen(o->container_name), "container-name", err) < 0)
		return -err->code;
	if (put_words(container, "command", &o->command, NULL, "command", err) < 0 ||
	    put_words(container, "args", &o->args, NULL, "args", err) < 0 ||
	    put_words(container, "env", &o->env_vars, read_variable, "env-vars", err) < 0)
		return -err->code;
	return put_probes(container, o, err);
}

/* az's default, for a pool that is made. */
static void name_after_pool(json_t *container, const char *pool)
{
	char name[256];
	size_t i;

	for (i = 0; pool[i] && i + 1 < sizeof(name); i++)
		name[i] = (char)tolower((unsigned char)pool[i]);
	name[i] = '\0';
	json_object_set_new(container, "name", json_string(name));
}

static int put_containers(json_t *template, json_t *properties, const struct options *o, const json_t *before,
			  const char *pool, struct error *err)
{
	json_t *container = json_deep_copy(json_array_get(json_object_get(before, "containers"), 0));
	int ret;

	if (!container) {
		container = json_object();
		name_after_pool(container, pool);
	}
	ret = put_container(container, o, err);
	if (ret == 0 && !json_object_get(container, "image"))
		ret = error_set(err, STATUS_USAGE,
				"--image is missing: which container is it? `hearth image ls` shows those that were "
				"imported");
	if (ret == 0) {
		move_resources(container, properties);
		json_object_set_new(template, "containers", json_pack("[O]", container));
	}
	json_decref(container);
	return ret;
}

int pool_container_put(json_t *resource, const struct options *o, const json_t *before, const char *pool,
		       struct error *err)
{
	json_t *properties = json_object_get(resource, "properties"), *template = json_object();
	int ret = 0;

	if (is_container_meant(o) || !before)
		ret = put_containers(template, properties, o, before, pool, err);
	if (ret == 0 && o->target_port != OPTIONS_UNSET)
		json_object_set_new(template, "ingress", json_pack("{s:I}", "targetPort", (json_int_t)o->target_port));
	if (ret == 0 && o->snapshot)
		ret = set_text(template, "snapshot", o->snapshot, strlen(o->snapshot), "snapshot", err);
	if (ret == 0)
		json_object_set(properties, "customContainerTemplate", template);
	json_decref(template);
	return ret;
}
