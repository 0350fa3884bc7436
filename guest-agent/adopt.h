/*
 * AGENT_ADOPT: after a restore, makes this guest another one than all that came from the same snapshot, before any code
 * runs in it.
 */
#ifndef HEARTH_AGENT_ADOPT_H
#define HEARTH_AGENT_ADOPT_H

#include "common/agent_protocol.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adoption {
	uint64_t realtime_ns; /* the host's, when it sent the request */
	enum agent_identity identity;
	uint8_t entropy[AGENT_ENTROPY_SIZE];
	char host_name[AGENT_HOST_NAME_MAX + 1];
};

/* Reads and checks the body of AGENT_ADOPT. NULL, or a sentence that says why it makes no sense. */
const char *adopt_decode(const void *body, size_t size, struct adoption *adoption);

/*
 * Carries it out on the machine: clock, random generator, host name, IDs. `received_us` is when it came, on
 * loop_now_us()'s clock. 0, or a negative code with *err after the first step that failed.
 */
int adopt_machine(const struct adoption *adoption, uint64_t received_us, struct error *err);

#endif
