/*
 * Which system calls each kind of thread may make: seccomp_rules.h is the table, this makes filters of it. A call that is
 * not in the table ends the process, which tells its number before.
 */
#ifndef HEARTH_VMM_SECCOMP_H
#define HEARTH_VMM_SECCOMP_H

#include "common/error.h"

enum seccomp_thread {
	SECCOMP_ASSEMBLY, /* all threads, from before a snapshot or a kernel is read; those below come on top of it */
	SECCOMP_MAIN,     /* orders and devices, once the VM stands */
	SECCOMP_VCPU,
	SECCOMP_RECORDER, /* fills in pages while a working set is recorded */
	SECCOMP_N_THREADS,
};

/*
 * What is done with a call that is not allowed, in the thread that made it, before the process ends: `report` gets a
 * sentence for people. It may call nothing but write() and what needs no system call.
 */
void seccomp_on_violation(void (*report)(const char *sentence));

/* From now on the filters count: without this, seccomp_enter() does nothing. For a VMM that is not to be jailed. */
void seccomp_enable(void);

/* Filters the calling thread, and the threads that it makes, for good. Needs no_new_privs. Negative with *err set. */
int seccomp_enter(enum seccomp_thread thread, struct error *err);

/* How many system calls a kind of thread may make; a call with two rules counts once. For tests. */
unsigned seccomp_n_calls(enum seccomp_thread thread);

#endif
