/* What the code of an AGENT_EXECUTE in AGENT_SHELL says, and whether it makes sense. */
#ifndef HEARTH_AGENT_SHELL_ORDER_H
#define HEARTH_AGENT_SHELL_ORDER_H

#include "common/agent_protocol.h"

#include <stddef.h>
#include <stdint.h>

/* It points into the code. */
struct shell_order {
	enum agent_shell_form form;
	const uint8_t *input; /* stdin */
	size_t input_size;
	const char *texts; /* the command, or the program and its arguments, each followed by NUL */
	size_t texts_size;
	size_t n_texts;
};

/* NULL with *order filled, or why it makes no sense. */
const char *shell_order_decode(struct shell_order *order, const uint8_t *code, size_t size);

#endif
