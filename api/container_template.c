#include "api/container_template.h"

#include "api/json.h"
#include "common/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum {
	NAME_MAX_SIZE = 254,
	SECONDS_MAX = 3600,
	THRESHOLD_MAX = 100,
};

/* ---- small things ------------------------------------------------------------------------------------------------ */

/* A text without NUL, put into `out`. Missing is fine, unless it `is_needed`. */
static int copy_text(json_t *out, const json_t *object, const char *key, bool is_needed, struct error *err)
{
	const char *text = NULL;
	size_t size = 0;

	if (json_get_text(object, key, &text, &size, err) < 0)
		return -err->code;
	if (!text)
		return is_needed ? error_set(err, EINVAL, "The property '%s' in 'customContainerTemplate' is missing.",
					     key)
				 : 0;
	if (strlen(text) != size)
		return error_set(err, EINVAL, "The property '%s' must have no NUL.", key);
	json_object_set_new(out, key, json_string(text));
	return 0;
}

static int copy_number(json_t *out, const json_t *object, const char *key, int64_t lowest, int64_t highest,
		       struct error *err)
{
	int64_t number = -1;

	if (!json_find(object, key))
		return 0;
	if (json_get_integer(object, key, &number, err) < 0)
		return -err->code;
	if (number < lowest || number > highest)
		return error_set(err, EINVAL, "The property '%s' must be from %lld to %lld, not %lld.", key,
				 (long long)lowest, (long long)highest, (long long)number);
	json_object_set_new(out, key, json_integer(number));
	return 0;
}

/* The array of that key, which has at most `max` entries; NULL if there is none, or with *err filled. */
static const json_t *find_array(const json_t *object, const char *key, size_t max, struct error *err)
{
	const json_t *list = json_find(object, key);

	if (!list || (json_is_array(list) && json_array_size(list) <= max))
		return list;
	error_set(err, EINVAL, "The property '%s' must be a list of at most %zu entries.", key, max);
	return NULL;
}

static int need_object(const json_t *value, const char *key, struct error *err)
{
	return json_is_object(value) ? 0 : error_set(err, EINVAL, "The property '%s' must have objects.", key);
}

/* Something that is no blank and no control character, as images, variables and secrets are called. */
static int check_name(const json_t *object, const char *key, struct error *err)
{
	const char *name = json_string_value(json_object_get(object, key));
	size_t n = name ? strlen(name) : 0;

	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~')
			n = 0;
	if (n > 0 && n < NAME_MAX_SIZE)
		return 0;
	return error_set(err, EINVAL,
			 "The property '%s' must have 1 to %d printable characters of ASCII, and no space.", key,
			 NAME_MAX_SIZE - 1);
}

/* ---- probes ------------------------------------------------------------------------------------------------------ */

static int read_probe_type(json_t *out, const json_t *probe, struct error *err)
{
	static const char *const types[] = { "Liveness", "Readiness", "Startup" };
	const char *text = "";
	size_t size = 0;
	int type;

	if (json_get_text(probe, "type", &text, &size, err) < 0)
		return -err->code;
	type = text_find_word(types, sizeof(types) / sizeof(types[0]), text);
	if (type < 0)
		return error_set(err, EINVAL, "The property 'type' of a probe must be Liveness, Readiness or Startup.");
	json_object_set_new(out, "type", json_string(types[type]));
	return 0;
}

static int read_headers(json_t *out, const json_t *http, struct error *err)
{
	const json_t *list = find_array(http, "httpHeaders", 32, err);
	const json_t *entry;
	size_t i;

	if (!list)
		return -err->code;
	json_object_set_new(out, "httpHeaders", json_array());
	json_array_foreach(list, i, entry)
	{
		json_t *header = json_object();

		json_array_append_new(json_object_get(out, "httpHeaders"), header);
		if (need_object(entry, "httpHeaders", err) < 0 || copy_text(header, entry, "name", true, err) < 0 ||
		    check_name(header, "name", err) < 0 || copy_text(header, entry, "value", true, err) < 0)
			return -err->code;
	}
	return 0;
}

/* How it asks: one of two. */
static int read_probe_action(json_t *out, const json_t *probe, struct error *err)
{
	const json_t *http = json_find(probe, "httpGet"), *tcp = json_find(probe, "tcpSocket");
	const char *key = http ? "httpGet" : "tcpSocket";
	json_t *action = json_object();

	json_object_set_new(out, key, action);
	if (!http == !tcp)
		return error_set(err, EINVAL, "A probe must have either 'httpGet' or 'tcpSocket'.");
	if (need_object(http ? http : tcp, key, err) < 0 ||
	    copy_number(action, http ? http : tcp, "port", 1, 65535, err) < 0)
		return -err->code;
	if (!json_object_get(action, "port"))
		return error_set(err, EINVAL, "The property 'port' of a probe is missing.");
	if (http &&
	    (copy_text(action, http, "path", false, err) < 0 || copy_text(action, http, "host", false, err) < 0 ||
	     copy_text(action, http, "scheme", false, err) < 0))
		return -err->code;
	return http ? read_headers(action, http, err) : 0;
}

static int read_probes(json_t *out, const json_t *container, struct error *err)
{
	const json_t *list = find_array(container, "probes", CONTAINER_PROBES_MAX, err);
	const json_t *entry;
	size_t i;

	if (!list)
		return -err->code;
	json_object_set_new(out, "probes", json_array());
	json_array_foreach(list, i, entry)
	{
		json_t *probe = json_object();

		json_array_append_new(json_object_get(out, "probes"), probe);
		if (need_object(entry, "probes", err) < 0 || read_probe_type(probe, entry, err) < 0 ||
		    read_probe_action(probe, entry, err) < 0 ||
		    copy_number(probe, entry, "initialDelaySeconds", 0, SECONDS_MAX, err) < 0 ||
		    copy_number(probe, entry, "periodSeconds", 1, SECONDS_MAX, err) < 0 ||
		    copy_number(probe, entry, "timeoutSeconds", 1, SECONDS_MAX, err) < 0 ||
		    copy_number(probe, entry, "successThreshold", 1, THRESHOLD_MAX, err) < 0 ||
		    copy_number(probe, entry, "failureThreshold", 1, THRESHOLD_MAX, err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- the container ----------------------------------------------------------------------------------------------- */

static int read_texts(json_t *out, const json_t *container, const char *key, struct error *err)
{
	const json_t *list = find_array(container, key, CONTAINER_ARGUMENTS_MAX, err);
	const json_t *entry;
	size_t i;

	if (!list)
		return -err->code;
	json_object_set_new(out, key, json_array());
	json_array_foreach(list, i, entry)
	{
		if (!json_is_string(entry) || strlen(json_string_value(entry)) != json_string_length(entry))
			return error_set(err, EINVAL, "The property '%s' must be a list of texts without NUL.", key);
		json_array_append(json_object_get(out, key), (json_t *)(uintptr_t)entry);
	}
	return 0;
}

static int read_variable(json_t *out, const json_t *entry, struct error *err)
{
	const char *name;

	if (need_object(entry, "env", err) < 0 || copy_text(out, entry, "name", true, err) < 0 ||
	    check_name(out, "name", err) < 0 || copy_text(out, entry, "secretRef", false, err) < 0 ||
	    copy_text(out, entry, "value", false, err) < 0)
		return -err->code;
	name = json_string_value(json_object_get(out, "name"));
	if (strchr(name, '='))
		return error_set(err, EINVAL, "The name '%.64s' of a variable in 'env' must have no '='.", name);
	if (json_object_get(out, "secretRef") && json_object_get(out, "value"))
		return error_set(err, EINVAL, "The variable '%.64s' must have either 'value' or 'secretRef'.", name);
	return 0;
}

static int read_environment(json_t *out, const json_t *container, const json_t *secrets, struct error *err)
{
	const json_t *list = find_array(container, "env", CONTAINER_ENVIRONMENT_MAX, err);
	const json_t *entry;
	size_t i;

	if (!list)
		return -err->code;
	json_object_set_new(out, "env", json_array());
	json_array_foreach(list, i, entry)
	{
		json_t *variable = json_object();
		const char *secret;

		json_array_append_new(json_object_get(out, "env"), variable);
		if (read_variable(variable, entry, err) < 0)
			return -err->code;
		secret = json_string_value(json_object_get(variable, "secretRef"));
		if (secret && !json_object_get(secrets, secret))
			return error_set(err, EINVAL, "There is no secret '%.64s', which 'secretRef' names.", secret);
	}
	return 0;
}

static int read_container(json_t *out, const json_t *container, const json_t *secrets, struct error *err)
{
	if (need_object(container, "containers", err) < 0 || copy_text(out, container, "image", true, err) < 0 ||
	    check_name(out, "image", err) < 0 || copy_text(out, container, "name", false, err) < 0 ||
	    read_texts(out, container, "command", err) < 0 || read_texts(out, container, "args", err) < 0 ||
	    read_environment(out, container, secrets, err) < 0)
		return -err->code;
	return read_probes(out, container, err);
}

/* When the snapshot is taken that sessions are clones of. Nothing is kept where nothing was said: the image may say it. */
static int read_snapshot(json_t *out, const json_t *template, struct error *err)
{
	static const char *const words[] = { "Running", "BeforeEntrypoint" };
	const char *text = "";
	size_t size = 0;
	int word;

	if (json_get_text(template, "snapshot", &text, &size, err) < 0)
		return -err->code;
	if (size == 0)
		return 0;
	word = text_find_word(words, sizeof(words) / sizeof(words[0]), text);
	if (word >= 0)
		return json_object_set_new(out, "snapshot", json_string(words[word]));
	return error_set(err, EINVAL,
			 "The property 'snapshot' in 'customContainerTemplate' must be Running or BeforeEntrypoint.");
}

/* Where it serves. Nothing is kept where nothing was said: the image may say it. */
static int read_ingress(json_t *out, const json_t *template, struct error *err)
{
	const json_t *ingress = json_find(template, "ingress");
	json_t *port;

	if (!ingress)
		return 0;
	if (!json_is_object(ingress))
		return error_set(err, EINVAL, "The property 'ingress' must be an object.");
	if (!json_find(ingress, "targetPort"))
		return 0;
	port = json_object();
	json_object_set_new(out, "ingress", port);
	return copy_number(port, ingress, "targetPort", 1, 65535, err);
}

static int read_template(json_t *out, const json_t *template, const json_t *secrets, struct error *err)
{
	const json_t *list = find_array(template, "containers", 1, err);
	json_t *container = json_object();

	json_object_set_new(out, "containers", json_pack("[o]", container));
	if (err->code)
		return -err->code;
	if (json_array_size(list) != 1)
		return error_set(err, EINVAL, "The property 'containers' must have one entry.");
	if (read_container(container, json_array_get(list, 0), secrets, err) < 0)
		return -err->code;
	if (read_snapshot(out, template, err) < 0)
		return -err->code;
	return read_ingress(out, template, err);
}

/* ---- secrets ----------------------------------------------------------------------------------------------------- */

/* An object of names and values, or an empty one. */
static json_t *load(const char *text)
{
	json_t *object = json_loads(text, 0, NULL);

	if (json_is_object(object))
		return object;
	json_decref(object);
	return json_object();
}

/* A secret without a value keeps the one that it has: clients send back what they were shown. */
static int read_secret(json_t *out, const json_t *before, const json_t *entry, struct error *err)
{
	json_t *secret = json_object();
	const char *name;
	int rc = need_object(entry, "secrets", err);

	if (rc == 0)
		rc = copy_text(secret, entry, "name", true, err);
	if (rc == 0)
		rc = check_name(secret, "name", err);
	if (rc == 0)
		rc = copy_text(secret, entry, "value", false, err);
	if (rc == 0) {
		json_t *value = json_object_get(secret, "value");

		name = json_string_value(json_object_get(secret, "name"));
		value = value ? value : json_object_get(before, name);
		if (value)
			json_object_set(out, name, value);
		else
			rc = error_set(err, EINVAL, "The secret '%.64s' needs a 'value'.", name);
	}
	json_decref(secret);
	return rc;
}

static int read_secrets(json_t *out, const json_t *before, const json_t *properties, struct error *err)
{
	const json_t *list = find_array(properties, "secrets", CONTAINER_SECRETS_MAX, err);
	const json_t *entry;
	size_t i;

	if (!list) {
		json_object_update(out, (json_t *)(uintptr_t)before);
		return -err->code;
	}
	json_array_foreach(list, i, entry) if (read_secret(out, before, entry, err) < 0) return -err->code;
	return 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int store(char *text, size_t size, const json_t *value, const char *key, struct error *err)
{
	size_t n = json_dumpb(value, text, size - 1, JSON_COMPACT | JSON_SORT_KEYS);

	if (n >= size)
		return error_set(err, EINVAL, "The property '%s' has more than %zu characters.", key, size - 1);
	memset(text + n, 0, size - n);
	return 0;
}

/* What is there, with what was sent in its place. */
static int read_merged(struct pool_definition *d, const json_t *given, const json_t *secrets, struct error *err)
{
	json_t *merged = load(d->container_template), *out = json_object();
	int rc = 0;

	if (given)
		json_object_update_recursive(merged, (json_t *)(uintptr_t)given);
	if (given || json_object_size(merged)) {
		rc = read_template(out, merged, secrets, err);
		if (rc == 0)
			rc = store(d->container_template, sizeof(d->container_template), out, "customContainerTemplate",
				   err);
	}
	json_decref(out);
	json_decref(merged);
	return rc;
}

int container_template_read(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *given = json_find(properties, "customContainerTemplate");
	json_t *before = load(d->secrets), *secrets = json_object();
	int rc = 0;

	if (given && !json_is_object(given))
		rc = error_set(err, EINVAL, "The property 'customContainerTemplate' must be an object.");
	if (rc == 0)
		rc = read_secrets(secrets, before, properties, err);
	if (rc == 0)
		rc = read_merged(d, given, secrets, err);
	if (rc == 0 && json_object_size(secrets))
		rc = store(d->secrets, sizeof(d->secrets), secrets, "secrets", err);
	else if (rc == 0)
		memset(d->secrets, 0, sizeof(d->secrets));
	json_decref(secrets);
	json_decref(before);
	return rc;
}

json_t *container_template_json(const struct pool_definition *d)
{
	return d->container_template[0] ? load(d->container_template) : NULL;
}

json_t *container_secrets_open(const struct pool_definition *d)
{
	return load(d->secrets);
}

void container_secrets_close(json_t *secrets)
{
	const char *name;
	json_t *value;

	/* The library has no means for it; the texts are nobody else's. */
	json_object_foreach(secrets, name, value) if (json_is_string(value))
		explicit_bzero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
	json_decref(secrets);
}

json_t *container_secrets_json(const struct pool_definition *d)
{
	json_t *secrets = load(d->secrets), *names = json_array(), *value;
	const char *name;

	json_object_foreach(secrets, name, value) json_array_append_new(names, json_pack("{s:s}", "name", name));
	json_decref(secrets);
	return names;
}
