#include "api/image/description.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* ---- JSON of others ---------------------------------------------------------------------------------------------- */

static json_t *load(const char *what, const char *text, size_t size, struct error *err)
{
	json_error_t problem;
	json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);

	if (!value)
		error_set(err, EINVAL, "the image's %s is no JSON: line %d: %s", what, problem.line, problem.text);
	else if (!json_is_object(value))
		error_set(err, EINVAL, "the image's %s is no JSON object", what);
	if (json_is_object(value))
		return value;
	json_decref(value);
	return NULL;
}

static bool take_digest(char hex[IMAGE_HEX_SIZE], const json_t *digest)
{
	const char *text = json_string_value(digest);

	if (!text || strncmp(text, "sha256:", 7) != 0 || strlen(text + 7) != IMAGE_HEX_SIZE - 1 ||
	    strspn(text + 7, "0123456789abcdef") != IMAGE_HEX_SIZE - 1)
		return false;
	memcpy(hex, text + 7, IMAGE_HEX_SIZE);
	return true;
}

/* ---- the manifest ------------------------------------------------------------------------------------------------ */

static int read_manifest(struct image_description *image, const json_t *manifest, struct error *err)
{
	const json_t *layers = json_object_get(manifest, "layers");

	if (json_integer_value(json_object_get(manifest, "schemaVersion")) != 2)
		return error_set(err, EINVAL,
				 "the image's manifest has not schemaVersion 2: pull and push it with a newer tool");
	if (!take_digest(image->config, json_object_get(json_object_get(manifest, "config"), "digest")))
		return error_set(err, EINVAL, "the image's manifest has no config.digest by SHA-256");
	if (json_array_size(layers) < 1 || json_array_size(layers) > IMAGE_LAYERS_MAX)
		return error_set(err, EINVAL, "the image has %zu layers: 1 to %d can be imported",
				 json_array_size(layers), IMAGE_LAYERS_MAX);
	image->n_layers = json_array_size(layers);
	for (size_t i = 0; i < image->n_layers; i++)
		if (!take_digest(image->layers[i].blob, json_object_get(json_array_get(layers, i), "digest")))
			return error_set(err, EINVAL, "layer %zu in the image's manifest has no digest by SHA-256",
					 i + 1);
	return 0;
}

int image_description_read_manifest(struct image_description *image, const char *text, size_t size, struct error *err)
{
	json_t *manifest = load("manifest", text, size, err);
	int ret = manifest ? read_manifest(image, manifest, err) : -err->code;

	json_decref(manifest);
	return ret;
}

/* ---- the configuration ------------------------------------------------------------------------------------------- */

enum field_kind { FIELD_TEXT, FIELD_TEXTS, FIELD_KEYS, FIELD_LABELS };

static const struct field {
	const char *theirs;
	const char *ours;
	enum field_kind kind;
} fields[] = {
	{ "Entrypoint", "entrypoint", FIELD_TEXTS },
	{ "Cmd", "cmd", FIELD_TEXTS },
	{ "Env", "env", FIELD_TEXTS },
	{ "User", "user", FIELD_TEXT },
	{ "WorkingDir", "workingDirectory", FIELD_TEXT },
	{ "StopSignal", "stopSignal", FIELD_TEXT },
	{ "ExposedPorts", "exposedPorts", FIELD_KEYS },
	{ "Labels", "labels", FIELD_LABELS },
};

/* Texts have no NUL: jansson does not read one. */
static bool are_texts(const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		if (!json_is_string(json_array_get(array, i)))
			return false;
	return json_is_array(array);
}

static bool are_labels(json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) if (!json_is_string(value)) return false;
	return json_is_object(object);
}

static json_t *keys_of(json_t *object)
{
	json_t *keys = json_array(), *value;
	const char *key;

	json_object_foreach(object, key, value) json_array_append_new(keys, json_string(key));
	return keys;
}

/* The value in our words, a new reference; NULL if it is not of that kind. */
static json_t *translate(enum field_kind kind, json_t *value)
{
	switch (kind) {
	case FIELD_TEXT:
		return json_is_string(value) ? json_incref(value) : NULL;
	case FIELD_TEXTS:
		return are_texts(value) ? json_incref(value) : NULL;
	case FIELD_KEYS:
		return json_is_object(value) ? keys_of(value) : NULL;
	default:
		return are_labels(value) ? json_incref(value) : NULL;
	}
}

/* What a value says that says nothing. */
static bool is_nothing(const json_t *value)
{
	return !value || json_is_null(value) || (json_is_string(value) && !*json_string_value(value));
}

/* NULL with *err set. */
static json_t *translate_config(const json_t *theirs, struct error *err)
{
	json_t *ours = json_object();

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		json_t *value = json_object_get(theirs, fields[i].theirs);

		if (is_nothing(value))
			continue;
		value = translate(fields[i].kind, value);
		if (!value) {
			error_set(err, EINVAL, "the image's configuration has something strange as %s",
				  fields[i].theirs);
			json_decref(ours);
			return NULL;
		}
		json_object_set_new(ours, fields[i].ours, value);
	}
	return ours;
}

static int read_diff_ids(struct image_description *image, const json_t *config, struct error *err)
{
	const json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");

	if (json_array_size(ids) != image->n_layers)
		return error_set(err, EINVAL, "the image's manifest has %zu layers and its configuration %zu",
				 image->n_layers, json_array_size(ids));
	for (size_t i = 0; i < image->n_layers; i++)
		if (!take_digest(image->layers[i].diff_id, json_array_get(ids, i)))
			return error_set(err, EINVAL,
					 "layer %zu in the image's configuration has no diff_id by SHA-256", i + 1);
	return 0;
}

static json_t *read_config(struct image_description *image, const json_t *config, struct error *err)
{
	const char *os = json_string_value(json_object_get(config, "os"));
	const char *architecture = json_string_value(json_object_get(config, "architecture"));
	json_t *ours;

	if (!os || strcmp(os, "linux") != 0 || !architecture || strcmp(architecture, "amd64") != 0) {
		error_set(err, EINVAL, "the image is for %s on %s: only linux on amd64 can be run here",
			  os ? os : "no system", architecture ? architecture : "no processor");
		return NULL;
	}
	if (read_diff_ids(image, config, err) < 0)
		return NULL;
	ours = translate_config(json_object_get(config, "config"), err);
	return ours ? json_pack("{s:s, s:s, s:s*, s:o}", "os", os, "architecture", architecture, "createdAt",
				json_string_value(json_object_get(config, "created")), "config", ours)
		    : NULL;
}

json_t *image_description_read_config(struct image_description *image, const char *text, size_t size, struct error *err)
{
	json_t *config = load("configuration", text, size, err);
	json_t *ours = config ? read_config(image, config, err) : NULL;

	json_decref(config);
	return ours;
}
