/* The name of a built-in template: what its content depends on, as text, and a digest of that. Knows no template. */
#ifndef HEARTH_API_TEMPLATE_KEY_H
#define HEARTH_API_TEMPLATE_KEY_H

#include "api/microvm.h"
#include "common/error.h"

enum {
	TEMPLATE_KEY_SIZE = 33, /* 32 hexadecimal digits and NUL */
	TEMPLATE_INPUTS_MAX = 8192 + 3 * SNAPSHOT_DISK_MAX,
};

/*
 * Writes a line for each thing that a template's content depends on: kernel, image and hearth-vmm (their files, not
 * what is in them: hashing hundreds of megabytes at each start would cost more than it finds), kernel arguments, shape,
 * the language whose first execution it is made quick for, and the host's kernel and CPU, whose features a running
 * guest has seen. `container` is added: lines that say what its guest runs, or "". 0 or negative with *err filled.
 */
int template_inputs(const struct microvm_host *host, const struct microvm_shape *shape, enum agent_language language,
		    const char *container, char *text, size_t size, struct error *err);

/* The digest of such a text (FNV-1a of 128 bits): tells by accident never, against an attacker it need not. */
void template_key(const char *inputs, char key[TEMPLATE_KEY_SIZE]);

#endif
