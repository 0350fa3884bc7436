/* What jansson leaves to us when it reads answers. */
#ifndef HEARTH_API_CLI_JSON_H
#define HEARTH_API_CLI_JSON_H

#include <jansson.h>
#include <stddef.h>

/*
 * Parses JSON in which integers may have any number of digits: one beyond 64 bits reads as the nearest real number (±1e308
 * at most); print such numbers from the text itself. `text` ends with a 0 byte after its `size`. NULL if it is not JSON;
 * the caller owns the value.
 */
json_t *json_parse(const char *text, size_t size);

#endif
