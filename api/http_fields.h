/* Field names and values of HTTP (RFC 9110, 5), as both directions of the proxy need to judge them. */
#ifndef HEARTH_API_HTTP_FIELDS_H
#define HEARTH_API_HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

/* True for a token (RFC 9110, 5.6.2): a field name, a method. */
bool http_is_token(const char *text, size_t size);

/* True if it has no control character but the tab: neither CR nor LF nor NUL. */
bool http_is_field_value(const char *text, size_t size);

/* True for the length of a body: digits, and not so many that the number would not fit. */
bool http_is_length(const char *value);

/* True if a list with commas has that token, in any case. */
bool http_list_has(const char *list, const char *token);

/*
 * True for the fields that are about one connection and not about the message (RFC 9110, 7.6.1), but for those that
 * Connection names: http_list_has() tells.
 */
bool http_is_hop_by_hop(const char *name);

#endif
