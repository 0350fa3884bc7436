/* Reading the JSON of a request: typed getters whose errors name the key. Keys match in any case. */
#ifndef HEARTH_API_JSON_H
#define HEARTH_API_JSON_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Parses a document of at most 10,000 values. NULL with *err filled if it is not JSON (code EINVAL) or has more (E2BIG).
 * Release with json_decref().
 */
json_t *json_parse(const char *text, size_t size, struct error *err);

/* The value of `key` in an object, by its exact name or else in any case; NULL if there is none or it is null. */
json_t *json_find(const json_t *object, const char *key);

/*
 * Each leaves *value as it is if the key is missing, and returns 0; -EINVAL with *err naming the key if its value is of
 * another type. A text may hold NUL; it lives as long as the object.
 */
int json_get_text(const json_t *object, const char *key, const char **value, size_t *size, struct error *err);
int json_get_bool(const json_t *object, const char *key, bool *value, struct error *err);
/* A number, or a text of digits, since some clients send those; a fraction is cut off. */
int json_get_integer(const json_t *object, const char *key, int64_t *value, struct error *err);

#endif
