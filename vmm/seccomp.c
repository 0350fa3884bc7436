#include "vmm/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { KICK_SIGNAL = 34 }; /* SIGRTMIN of the C library, which is no constant */

#define ASSEMBLY (1u << SECCOMP_ASSEMBLY)
#define MAIN     (ASSEMBLY | 1u << SECCOMP_MAIN)
#define VCPU     (ASSEMBLY | 1u << SECCOMP_VCPU)
#define RECORDER (ASSEMBLY | 1u << SECCOMP_RECORDER)

static const struct seccomp_rule rules[] = {
#include "vmm/seccomp_rules.h"
};

enum { N_RULES = sizeof(rules) / sizeof(rules[0]) };

static bool is_enabled;

void seccomp_enable(void)
{
	seccomp_filter_prepare();
	is_enabled = true;
}

int seccomp_enter(enum seccomp_thread thread, struct error *err)
{
	if (!is_enabled)
		return 0;
#ifdef HEARTH_COMPROMISED /* a test build: what holds without filters? */
	return 0;
#endif
	return seccomp_filter_enter(rules, N_RULES, (uint8_t)(1u << thread), err);
}

int seccomp_begin(struct error *err)
{
	seccomp_enable();
	return seccomp_enter(SECCOMP_ASSEMBLY, err);
}

unsigned seccomp_n_calls(enum seccomp_thread thread)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_RULES; i++) {
		bool is_first = rules[i].threads & 1u << thread && !rules[i].refusal;

		for (unsigned j = 0; j < i && is_first; j++)
			is_first = rules[j].call != rules[i].call || !(rules[j].threads & 1u << thread);
		n += is_first;
	}
	return n;
}
