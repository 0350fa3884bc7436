/* What a session has used since it was last told: sessions tell it, somebody else adds it up. */
#ifndef HEARTH_API_SESSION_USAGE_H
#define HEARTH_API_SESSION_USAGE_H

#include "api/guid.h"
#include "api/pool_definition.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	SESSION_USAGE_IDENTIFIER_SIZE = 257,
	SESSION_USAGE_REASON_SIZE = 160, /* cut to this */
};

struct session_usage {
	char guid[GUID_SIZE];
	char pool[POOL_NAME_SIZE];
	char identifier[SESSION_USAGE_IDENTIFIER_SIZE];
	int64_t begin_ms; /* CLOCK_REALTIME; of the session */
	int64_t until_ms; /* likewise; now */
	bool is_over;
	char reason[SESSION_USAGE_REASON_SIZE]; /* of its end */
	/* since it was last told */
	uint64_t vcpu_us; /* microseconds that it held a machine, times that machine's CPUs */
	uint64_t mib_us;  /* likewise, times its memory */
	uint64_t ran_us;  /* that code ran */
	uint64_t n_executions;
};

#endif
