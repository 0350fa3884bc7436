#include "vmm/seccomp.h"

#include "common/log.h"
#include "common/vmm_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the table --------------------------------------------------------------------------------------------------- */

enum {
	CHECKS_MAX = 2,
	KICK_SIGNAL = 34,       /* SIGRTMIN of the C library, which is no constant */
	X32_FIRST = 0x40000000, /* x86-64: from here on the numbers of another ABI */
};

/* `(argument & mask) == value`, of the lower half of the argument: all that is checked here is an int for the kernel. */
struct check {
	uint32_t mask; /* 0: no check */
	uint32_t value;
	uint8_t argument;
};

struct rule {
	uint16_t call;
	uint8_t threads; /* bits by enum seccomp_thread */
	uint8_t refusal; /* 0: the call is allowed; else it fails with this errno */
	struct check checks[CHECKS_MAX];
};

#define ASSEMBLY (1u << SECCOMP_ASSEMBLY)
#define MAIN     (ASSEMBLY | 1u << SECCOMP_MAIN)
#define VCPU     (ASSEMBLY | 1u << SECCOMP_VCPU)
#define RECORDER (ASSEMBLY | 1u << SECCOMP_RECORDER)

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

static const struct rule rules[] = {
#include "vmm/seccomp_rules.h"
};

enum { N_RULES = sizeof(rules) / sizeof(rules[0]) };

/* ---- a filter ---------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

enum {
	HEAD_SIZE = 6,
	RULE_SIZE_MAX = 2 + 3 * CHECKS_MAX + 1,
	TAIL_SIZE = 1,
};

struct program {
	struct sock_filter code[HEAD_SIZE + N_RULES * RULE_SIZE_MAX + TAIL_SIZE];
	unsigned short size;
};

static void put(struct program *program, uint16_t code, uint32_t operand, uint8_t if_true, uint8_t if_false)
{
	program->code[program->size++] = (struct sock_filter) { code, if_true, if_false, operand };
}

static void put_load(struct program *program, size_t offset)
{
	put(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void put_return(struct program *program, uint32_t action)
{
	put(program, BPF_RET | BPF_K, action, 0, 0);
}

/* Calls of other architectures have other numbers. */
static void put_head(struct program *program)
{
	put_load(program, offsetof(struct seccomp_data, arch));
	put(program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	put_return(program, SECCOMP_RET_KILL_PROCESS);
	put_load(program, offsetof(struct seccomp_data, nr));
	put(program, BPF_JMP | BPF_JGE | BPF_K, X32_FIRST, 0, 1);
	put_return(program, SECCOMP_RET_KILL_PROCESS);
}

static unsigned n_checks(const struct rule *rule)
{
	unsigned n = 0;

	while (n < CHECKS_MAX && rule->checks[n].mask)
		n++;
	return n;
}

/* Each rule loads the number anew, and goes to the next one when it does not fit. */
static void put_rule(struct program *program, const struct rule *rule)
{
	const unsigned n = n_checks(rule);
	unsigned left = 3 * n + 1; /* to the end of the rule */

	put_load(program, offsetof(struct seccomp_data, nr));
	put(program, BPF_JMP | BPF_JEQ | BPF_K, rule->call, 0, (uint8_t)left);
	for (unsigned i = 0; i < n; i++) {
		const struct check *check = &rule->checks[i];

		left -= 3;
		put_load(program, offsetof(struct seccomp_data, args) + 8 * (size_t)check->argument);
		put(program, BPF_ALU | BPF_AND | BPF_K, check->mask, 0, 0);
		put(program, BPF_JMP | BPF_JEQ | BPF_K, check->value == OWN_PROCESS ? (uint32_t)getpid() : check->value,
		    0, (uint8_t)left);
	}
	put_return(program, rule->refusal ? SECCOMP_RET_ERRNO | rule->refusal : SECCOMP_RET_ALLOW);
}

static void make_program(struct program *program, enum seccomp_thread thread)
{
	program->size = 0;
	put_head(program);
	for (unsigned i = 0; i < N_RULES; i++)
		if (rules[i].threads & 1u << thread)
			put_rule(program, &rules[i]);
	put_return(program, SECCOMP_RET_TRAP);
}

/* ---- violations -------------------------------------------------------------------------------------------------- */

static void (*report_violation)(const char *sentence);
static bool is_enabled;

/*
 * The call was not made. No thread may change this handler or block its signal without being killed by the kernel, so
 * whoever comes here ends.
 */
static void on_trap(int signal_number, siginfo_t *info, void *context)
{
	char sentence[96];

	(void)signal_number;
	(void)context;
	snprintf(sentence, sizeof(sentence), "it made the system call %d, which its jail forbids", info->si_syscall);
	log_error("%s", sentence);
	if (report_violation)
		report_violation(sentence);
	syscall(SYS_exit_group, VMM_EXIT_FORBIDDEN_CALL);
}

void seccomp_on_violation(void (*report)(const char *sentence))
{
	report_violation = report;
}

void seccomp_enable(void)
{
	const struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &action, NULL);
	is_enabled = true;
}

int seccomp_enter(enum seccomp_thread thread, struct error *err)
{
	struct program program;
	struct sock_fprog argument = { .filter = program.code };

	if (!is_enabled)
		return 0;
#ifdef HEARTH_COMPROMISED /* a test build: what holds without filters? */
	return 0;
#endif
	make_program(&program, thread);
	argument.len = program.size;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &argument) < 0)
		return error_set(err, errno, "cannot filter system calls (seccomp): %s", strerror(errno));
	return 0;
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
