/*
 * The filters of hearth-vmm's threads, and hearth-netd's. Each attempt is made by a process of its own, filtered as such a
 * thread is: it ends with the call's errno (0: done), or as a violation.
 */
#include "vmm/seccomp.h"

#include "common/vmm_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ALLOWED_FAILS = 100, FAILED_TO_FILTER = 200 };

static int report_fd = -1;

static void report(const char *sentence)
{
	if (write(report_fd, sentence, strlen(sentence)) < 0)
		_exit(FAILED_TO_FILTER);
}

enum { NETD = SECCOMP_N_THREADS }; /* beside the threads of a VMM, and a bit in its own table */

static const struct seccomp_rule netd_rules[] = {
#include "vmm/network/seccomp_rules.h"
};

static int enter(int thread)
{
	struct error err = { 0 };

	if (thread == NETD)
		return seccomp_filter_enter(netd_rules, sizeof(netd_rules) / sizeof(netd_rules[0]), NETD, &err);
	if (seccomp_enter(SECCOMP_ASSEMBLY, &err) < 0)
		return -err.code;
	return thread == SECCOMP_ASSEMBLY ? 0 : seccomp_enter(thread, &err);
}

static int attempt(int thread, long number, long a, long b, long c, long d)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		seccomp_on_violation(report_fd >= 0 ? report : NULL);
		seccomp_enable();
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || enter(thread) < 0)
			_exit(FAILED_TO_FILTER);
		syscall(SYS_exit_group, syscall(number, a, b, c, d, -1L, 0L) < 0 ? errno : 0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define FORBIDDEN VMM_EXIT_FORBIDDEN_CALL /* no errno of what is tried here */

static void only_a_vcpu_runs_the_guest(void **state)
{
	(void)state;
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_ioctl, -1, KVM_RUN, 0, 0), EBADF);
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_ioctl, -1, KVM_RUN, 0, 0), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_RECORDER, SYS_ioctl, -1, KVM_RUN, 0, 0), FORBIDDEN);
	/* The kernel looks at the lower half of a request. */
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_ioctl, -1, KVM_RUN | 1L << 32, 0, 0), FORBIDDEN);
}

static void each_request_of_a_thread_is_its_own(void **state)
{
	static const struct {
		unsigned long request;
		bool main, vcpu, recorder;
	} cases[] = {
		{ KVM_GET_REGS, true, false, false },     { KVM_SET_REGS, false, false, false },
		{ KVM_CREATE_VM, false, false, false },   { KVM_SET_USER_MEMORY_REGION, false, false, false },
		{ KVM_IRQFD, false, false, false },       { UFFDIO_COPY, false, false, true },
		{ UFFDIO_REGISTER, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const long request = (long)cases[i].request;

		assert_int_equal(attempt(SECCOMP_MAIN, SYS_ioctl, -1, request, 0, 0),
				 cases[i].main ? EBADF : FORBIDDEN);
		assert_int_equal(attempt(SECCOMP_VCPU, SYS_ioctl, -1, request, 0, 0),
				 cases[i].vcpu ? EBADF : FORBIDDEN);
		assert_int_equal(attempt(SECCOMP_RECORDER, SYS_ioctl, -1, request, 0, 0),
				 cases[i].recorder ? EBADF : FORBIDDEN);
		assert_int_equal(attempt(SECCOMP_ASSEMBLY, SYS_ioctl, -1, request, 0, 0), EBADF);
	}
}

static void memory_is_never_executable(void **state)
{
	const long flags = MAP_PRIVATE | MAP_ANONYMOUS;

	(void)state;
	for (int thread = 0; thread < SECCOMP_N_THREADS; thread++) {
		assert_int_equal(attempt(thread, SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, flags), FORBIDDEN);
		assert_int_equal(attempt(thread, SYS_mprotect, 4096, 4096, PROT_READ | PROT_EXEC, 0), FORBIDDEN);
	}
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, flags), 0);
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, flags), FORBIDDEN);
}

static void sockets_are_for_the_main_thread_and_of_one_kind(void **state)
{
	const long type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

	(void)state;
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_socket, AF_UNIX, type, 0, 0), 0);
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_socket, AF_INET, type, 0, 0), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_socket, AF_UNIX, SOCK_DGRAM, 0, 0), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_socket, AF_UNIX, type, 0, 0), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_accept4, -1, 0, 0, 0), FORBIDDEN);
}

static void no_socket_has_urgent_data(void **state)
{
	static const long calls[] = { SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg };
	const long flags = MSG_DONTWAIT | MSG_NOSIGNAL, urgent = flags | MSG_OOB;

	(void)state;
	for (int i = 0; i < 4; i++) {
		/* The flags are the fourth argument of the first two, the third of the others. */
		assert_int_equal(attempt(SECCOMP_MAIN, calls[i], -1, 0, flags, flags), EBADF);
		assert_int_equal(attempt(SECCOMP_MAIN, calls[i], -1, 0, urgent, urgent), FORBIDDEN);
		assert_int_equal(attempt(SECCOMP_ASSEMBLY, calls[i], -1, 0, urgent, urgent), FORBIDDEN);
		assert_int_equal(attempt(NETD, calls[i], -1, 0, flags, flags), i < 2 ? EBADF : FORBIDDEN);
		assert_int_equal(attempt(NETD, calls[i], -1, 0, urgent, urgent), FORBIDDEN);
	}
}

/* A driver's reset of the vsock device closes its streams there, and frees what was kept for slow clients. */
static void a_vcpu_ends_streams_and_does_nothing_else_with_them(void **state)
{
	(void)state;
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_close, -1, 0, 0, 0), EBADF);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_epoll_ctl, -1, 0, 0, 0), EFAULT);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_munmap, 4096, 4096, 0, 0), 0);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_brk, 0, 0, 0, 0), 0);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_read, -1, 0, 0, 0), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_shutdown, -1, 0, 0, 0), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_timerfd_settime, -1, 0, 0, 0), FORBIDDEN);
}

static void a_kick_reaches_the_own_process_alone(void **state)
{
	(void)state;
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_tgkill, getpid(), getpid(), SIGRTMIN, 0), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_kill, getpid(), 0, 0, 0), FORBIDDEN);
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_tgkill, 0, 0, SIGRTMIN, 0), FORBIDDEN);
}

static void what_nobody_needs_is_forbidden_to_all(void **state)
{
	static const long calls[] = {
		SYS_openat,      SYS_open,
		SYS_execve,      SYS_execveat,
		SYS_fork,        SYS_vfork,
		SYS_ptrace,      SYS_mount,
		SYS_unshare,     SYS_setns,
		SYS_setuid,      SYS_capset,
		SYS_bpf,         SYS_io_uring_setup,
		SYS_keyctl,      SYS_perf_event_open,
		SYS_userfaultfd, SYS_memfd_create,
		SYS_bind,        SYS_listen,
		SYS_pidfd_open,  SYS_process_vm_writev,
		SYS_unlink,      SYS_rename,
		SYS_chmod,       SYS_iopl,
		SYS_kexec_load,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (int thread = 0; thread < SECCOMP_N_THREADS; thread++)
			assert_int_equal(attempt(thread, calls[i], -1, 0, 0, 0), FORBIDDEN);
	for (int thread = SECCOMP_MAIN; thread < SECCOMP_N_THREADS; thread++)
		assert_int_equal(attempt(thread, SYS_clone, 0, 0, 0, 0), FORBIDDEN);
}

static void clone3_is_refused_so_that_clone_is_taken(void **state)
{
	(void)state;
	assert_int_equal(attempt(SECCOMP_ASSEMBLY, SYS_clone3, 0, 0, 0, 0), ENOSYS);
	assert_int_equal(attempt(SECCOMP_ASSEMBLY, SYS_clone, SIGCHLD, 0, 0, 0), FORBIDDEN);
}

static void another_abi_is_killed(void **state)
{
	(void)state;
	assert_int_equal(attempt(SECCOMP_MAIN, SYS_read | 0x40000000L, -1, 0, 0, 0), -SIGSYS);
}

static void a_violation_is_reported_with_its_number(void **state)
{
	char said[200] = "";
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	report_fd = ends[1];
	assert_int_equal(attempt(SECCOMP_VCPU, SYS_ptrace, 0, 0, 0, 0), FORBIDDEN);
	report_fd = -1;
	close(ends[1]);
	assert_true(read(ends[0], said, sizeof(said) - 1) > 0);
	close(ends[0]);
	assert_string_equal(said, "it made the system call 101, which its jail forbids");
}

static void without_a_jail_nothing_is_filtered(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(seccomp_enter(SECCOMP_MAIN, &err), 0);
	assert_int_equal(close(dup(STDIN_FILENO)), 0);
}

static void there_are_few_calls(void **state)
{
	(void)state;
	assert_in_range(seccomp_n_calls(SECCOMP_VCPU), 10, 16);
	assert_in_range(seccomp_n_calls(SECCOMP_MAIN), 30, 42);
	assert_in_range(seccomp_n_calls(SECCOMP_RECORDER), 8, 16);
	assert_in_range(seccomp_n_calls(SECCOMP_ASSEMBLY), 50, 70);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_vcpu_runs_the_guest),
		cmocka_unit_test(each_request_of_a_thread_is_its_own),
		cmocka_unit_test(memory_is_never_executable),
		cmocka_unit_test(sockets_are_for_the_main_thread_and_of_one_kind),
		cmocka_unit_test(no_socket_has_urgent_data),
		cmocka_unit_test(a_vcpu_ends_streams_and_does_nothing_else_with_them),
		cmocka_unit_test(a_kick_reaches_the_own_process_alone),
		cmocka_unit_test(what_nobody_needs_is_forbidden_to_all),
		cmocka_unit_test(clone3_is_refused_so_that_clone_is_taken),
		cmocka_unit_test(another_abi_is_killed),
		cmocka_unit_test(a_violation_is_reported_with_its_number),
		cmocka_unit_test(without_a_jail_nothing_is_filtered),
		cmocka_unit_test(there_are_few_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
