/*
 * Which system calls each kind of thread may make: seccomp_rules.h is the table, this makes filters of it. A call that is
 * not in the table ends the process, which tells its number before.
 */
#ifndef HEARTH_VMM_SECCOMP_H
#define HEARTH_VMM_SECCOMP_H

#include "common/error.h"
#include "vmm/seccomp_filter.h"

enum seccomp_thread {
	SECCOMP_ASSEMBLY, /* all threads, from before a snapshot or a kernel is read; those below come on top of it */
	SECCOMP_MAIN,     /* orders and devices, once the VM stands */
	SECCOMP_VCPU,
	SECCOMP_RECORDER, /* fills in pages while a working set is recorded */
	SECCOMP_N_THREADS,
};

/* From now on the filters count: without this, seccomp_enter() does nothing. For a VMM that is not to be jailed. */
void seccomp_enable(void);

/* Filters the calling thread, and the threads that it makes, for good. Needs no_new_privs. Negative with *err set. */
int seccomp_enter(enum seccomp_thread thread, struct error *err);

/* Both, for all threads: the last step of the jail. */
int seccomp_begin(struct error *err);

/* How many system calls a kind of thread may make; a call with two rules counts once. For tests. */
unsigned seccomp_n_calls(enum seccomp_thread thread);

#endif
