/*
 * A message of the log as a JSON object. The grammar of messages, from which the fields are taken:
 *
 *     key=value key="quoted value" … reason=the rest of the line
 *     key=value key=value: a sentence
 *
 * Only keys that log_json.c knows, and that docs/monitoring.md lists, are fields, and only before the sentence: what a
 * guest or client is quoted with stands in quotes or at the end, and cannot make one up.
 */
#ifndef HEARTH_API_LOG_JSON_H
#define HEARTH_API_LOG_JSON_H

#include "api/buffer.h"
#include "common/log.h"

#include <stdint.h>

/* Appends the object, without a line feed. `text` may hold bytes that are no UTF-8. */
void log_json_put(struct buffer *out, int64_t time_ms, enum log_level level, const char *component, const char *text);

#endif
