/*
 * JSON as text (RFC 8259): writing strings, and putting a scalar that someone else wrote into a document with its
 * digits untouched. A library that parses numbers would round an integer of 100 digits; this does not.
 */
#ifndef HEARTH_API_JSON_TEXT_H
#define HEARTH_API_JSON_TEXT_H

#include "api/buffer.h"

#include <stddef.h>

/* A string with its quotation marks. `text` is valid UTF-8 and may hold NUL. */
void json_put_string(struct buffer *out, const char *text, size_t size);

/* A part of a string, without quotation marks: for one that comes piece by piece. No character may be cut. */
void json_put_part(struct buffer *out, const char *text, size_t size);

/* A whole string of bytes that need not be UTF-8: what is not becomes U+FFFD. */
void json_put_bytes(struct buffer *out, const void *data, size_t size);

/* The same for a text that ends with NUL; null for NULL. */
void json_put_text(struct buffer *out, const char *text);

/*
 * Appends one JSON number, string, true, false or null as it stands, except that a \u escape of half a surrogate pair
 * becomes \ufffd, since many readers refuse a document that has one. -EINVAL, with nothing appended, if the text is
 * anything else.
 */
int json_put_scalar(struct buffer *out, const char *text, size_t size);

/*
 * An upper bound of how many values the document has: one for each bracket, brace and comma outside strings. A parser
 * takes memory for each, many times the bytes that the document has for it.
 */
size_t json_count_values(const char *text, size_t size);

#endif
