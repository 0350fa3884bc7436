#include "api/json.h"

#include "api/json_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	VALUES_MAX = 10000, /* a request has a dozen; an attacker's millions would take gigabytes */
};

json_t *json_parse(const char *text, size_t size, struct error *err)
{
	json_error_t at;
	json_t *root;

	if (json_count_values(text, size) > VALUES_MAX) {
		error_set(err, E2BIG, "the document has more than %d values", VALUES_MAX);
		return NULL;
	}
	root = json_loadb(text, size, JSON_ALLOW_NUL, &at);
	if (!root)
		error_set(err, EINVAL, "%s (line %d, column %d)", at.text, at.line, at.column);
	return root;
}

json_t *json_find(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);
	void *at;

	if (!value) {
		/* jansson takes the object without const, but only looks. */
		json_t *all = (json_t *)(uintptr_t)object;

		for (at = json_object_iter(all); at && !value; at = json_object_iter_next(all, at))
			if (strcasecmp(json_object_iter_key(at), key) == 0)
				value = json_object_iter_value(at);
	}
	return json_is_null(value) ? NULL : value;
}

int json_get_text(const json_t *object, const char *key, const char **value, size_t *size, struct error *err)
{
	const json_t *v = json_find(object, key);

	if (!v)
		return 0;
	if (!json_is_string(v))
		return error_set(err, EINVAL, "The field '%s' must be a string.", key);
	*value = json_string_value(v);
	if (size)
		*size = json_string_length(v);
	return 0;
}

int json_get_bool(const json_t *object, const char *key, bool *value, struct error *err)
{
	const json_t *v = json_find(object, key);

	if (v && !json_is_boolean(v))
		return error_set(err, EINVAL, "The field '%s' must be true or false.", key);
	if (v)
		*value = json_is_true(v);
	return 0;
}

static int integer_from_text(const char *text, int64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoll(text, &end, 10);
	return *text && *end == '\0' && errno == 0 ? 0 : -EINVAL;
}

int json_get_integer(const json_t *object, const char *key, int64_t *value, struct error *err)
{
	const json_t *v = json_find(object, key);
	double real;

	if (!v)
		return 0;
	if (json_is_integer(v)) {
		*value = json_integer_value(v);
		return 0;
	}
	if (json_is_string(v) && integer_from_text(json_string_value(v), value) == 0)
		return 0;
	if (!json_is_real(v))
		return error_set(err, EINVAL, "The field '%s' must be a number.", key);
	/* No field means anything beyond that, and a double is an integer up to there. */
	real = json_real_value(v);
	*value = (int64_t)(real < -1e15 ? -1e15 : real > 1e15 ? 1e15 : real);
	return 0;
}
