/* What jansson leaves to us when it reads answers. */
#ifndef HEARTH_API_CLI_JSON_H
#define HEARTH_API_CLI_JSON_H

#include <jansson.h>
#include <stddef.h>

/*
 * Parses JSON in which integers may have any number of digits: one that is too long for jansson reads as 0. For looking
 * at the rest of an answer; print numbers from the text itself. NULL if it is not JSON; the caller owns the value.
 */
json_t *json_parse(const char *text, size_t size);

#endif
