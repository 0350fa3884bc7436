#include "vmm/seccomp_filter.h"

#include "common/log.h"
#include "common/network_protocol.h"
#include "common/vmm_protocol.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXIT_FORBIDDEN_CALL = VMM_EXIT_FORBIDDEN_CALL };
_Static_assert((int)NETWORK_EXIT_FORBIDDEN_CALL == (int)VMM_EXIT_FORBIDDEN_CALL, "one status for both");

/* ---- a filter ---------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

enum {
	X32_FIRST = 0x40000000, /* x86-64: from here on the numbers of another ABI */
	HEAD_SIZE = 6,
	RULE_SIZE_MAX = 2 + 3 * SECCOMP_CHECKS_MAX + 1,
	TAIL_SIZE = 1,
};

struct program {
	struct sock_filter code[HEAD_SIZE + SECCOMP_RULES_MAX * RULE_SIZE_MAX + TAIL_SIZE];
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

static unsigned n_checks(const struct seccomp_rule *rule)
{
	unsigned n = 0;

	while (n < SECCOMP_CHECKS_MAX && rule->checks[n].mask)
		n++;
	return n;
}

/* Each rule loads the number anew, and goes to the next one when it does not fit. */
static void put_rule(struct program *program, const struct seccomp_rule *rule)
{
	const unsigned n = n_checks(rule);
	unsigned left = 3 * n + 1; /* to the end of the rule */

	put_load(program, offsetof(struct seccomp_data, nr));
	put(program, BPF_JMP | BPF_JEQ | BPF_K, rule->call, 0, (uint8_t)left);
	for (unsigned i = 0; i < n; i++) {
		const struct seccomp_check *check = &rule->checks[i];

		left -= 3;
		put_load(program, offsetof(struct seccomp_data, args) + 8 * (size_t)check->argument);
		put(program, BPF_ALU | BPF_AND | BPF_K, check->mask, 0, 0);
		put(program, BPF_JMP | BPF_JEQ | BPF_K, check->value == OWN_PROCESS ? (uint32_t)getpid() : check->value,
		    0, (uint8_t)left);
	}
	put_return(program, rule->refusal ? SECCOMP_RET_ERRNO | rule->refusal : SECCOMP_RET_ALLOW);
}

static void make_program(struct program *program, const struct seccomp_rule *rules, size_t n_rules, uint8_t thread)
{
	program->size = 0;
	put_head(program);
	for (size_t i = 0; i < n_rules; i++)
		if (rules[i].threads & thread)
			put_rule(program, &rules[i]);
	put_return(program, SECCOMP_RET_TRAP);
}

/* ---- violations -------------------------------------------------------------------------------------------------- */

static void (*report_violation)(const char *sentence);

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
	syscall(SYS_exit_group, EXIT_FORBIDDEN_CALL);
}

void seccomp_on_violation(void (*report)(const char *sentence))
{
	report_violation = report;
}

void seccomp_filter_prepare(void)
{
	const struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &action, NULL);
}

int seccomp_filter_enter(const struct seccomp_rule *rules, size_t n_rules, uint8_t thread, struct error *err)
{
	struct program program;
	struct sock_fprog argument = { .filter = program.code };

	if (n_rules > SECCOMP_RULES_MAX)
		return error_set(err, E2BIG, "cannot filter system calls: more than %d rules", SECCOMP_RULES_MAX);
	make_program(&program, rules, n_rules, thread);
	argument.len = program.size;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &argument) < 0)
		return error_set(err, errno, "cannot filter system calls (seccomp): %s", strerror(errno));
	return 0;
}
