/* The code of AGENT_SHELL (common/agent_protocol.h) from the fields that clients describe a command with. */
#ifndef HEARTH_API_SHELL_CODE_H
#define HEARTH_API_SHELL_CODE_H

#include "api/buffer.h"
#include "common/error.h"

#include <jansson.h>

/* What a command is told by, for messages. */
#define SHELL_CODE_FIELDS "'shellCommand' or 'execCommandAndArgs'"

/*
 * Appends the command of `fields`: shellCommand, a text, or execCommandAndArgs, an array of texts, and perhaps stdin. 0, or
 * negative with *err filled, whose code is one of enum execute_request_error.
 */
int shell_code_read(const json_t *fields, struct buffer *code, struct error *err);

/* Appends the command `text`, without stdin. */
void shell_code_put(struct buffer *code, const char *text);

#endif
