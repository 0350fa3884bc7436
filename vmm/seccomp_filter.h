/*
 * Filters of system calls, made from a table of rules; hearth-vmm and hearth-netd have a table each. A call for which no rule
 * fits is not made: it ends the process, which tells its number before.
 */
#ifndef HEARTH_VMM_SECCOMP_FILTER_H
#define HEARTH_VMM_SECCOMP_FILTER_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
	SECCOMP_CHECKS_MAX = 2,
	SECCOMP_RULES_MAX = 160,
};

/* `(argument & mask) == value`, of the lower half of the argument: all that is checked here is an int for the kernel. */
struct seccomp_check {
	uint32_t mask; /* 0: no check */
	uint32_t value;
	uint8_t argument;
};

struct seccomp_rule {
	uint16_t call;
	uint8_t threads; /* kinds of threads, a bit each, as the table means them */
	uint8_t refusal; /* 0: the call is allowed; else it fails with this errno */
	struct seccomp_check checks[SECCOMP_CHECKS_MAX];
};

#define IS(n, v)                                                                                                       \
	{                                                                                                              \
		.argument = (n), .mask = UINT32_MAX, .value = (uint32_t)(v)                                            \
	}
#define LACKS(n, v)                                                                                                    \
	{                                                                                                              \
		.argument = (n), .mask = (uint32_t)(v), .value = 0                                                     \
	}

#define OWN_PROCESS UINT32_MAX /* stands for the process's number, which it has when a filter is made */

#define ALLOW(call, threads, why)                   { __NR_##call, threads, 0, { { 0 } } },
#define ALLOW_IF(call, threads, check, why)         { __NR_##call, threads, 0, { check } },
#define ALLOW_IF_BOTH(call, threads, one, two, why) { __NR_##call, threads, 0, { one, two } },
#define REFUSE(call, threads, error, why)           { __NR_##call, threads, error, { { 0 } } },

/*
 * What is done with a call that is not allowed, in the thread that made it, before the process ends with status 16: `report`
 * gets a sentence for people. It may call nothing but write() and what needs no system call.
 */
void seccomp_on_violation(void (*report)(const char *sentence));

/* Readies the end of a process that makes a call that is not allowed. Before any filter. */
void seccomp_filter_prepare(void);

/*
 * Filters the calling thread, and the threads that it makes, for good, by the rules whose `threads` have a bit in common with
 * `thread`. Needs no_new_privs. Negative with *err set.
 */
int seccomp_filter_enter(const struct seccomp_rule *rules, size_t n_rules, uint8_t thread, struct error *err);

#endif
