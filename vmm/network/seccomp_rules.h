/*
 * The system calls of hearth-netd once it is jailed, and why. docs/security.md has this as a table.
 *
 * Never: open, execve, fork, kill, ptrace, mount, setuid, memory that can be executed, sockets that listen, raw sockets,
 * urgent data.
 */
/* clang-format off */
ALLOW(epoll_wait, NETD, "wait for events")
ALLOW_IF(recvfrom, NETD, LACKS(3, MSG_OOB), "frames of the guest and of passt, datagrams, answers about names")
ALLOW_IF(sendto, NETD, LACKS(3, MSG_OOB), "the same, the other way")
ALLOW(write, NETD, "the log")
ALLOW(clock_gettime, NETD, "deadlines; where the vDSO has no clock")
ALLOW(getrandom, NETD, "the number of a question about a name, which nobody must guess")
ALLOW(epoll_ctl, NETD, "sockets come and go; wait until there is room")
ALLOW_IF_BOTH(socket, NETD, IS(0, AF_INET), IS(1, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC), "UDP: a socket for each conversation")
ALLOW(connect, NETD, "the same, to the one address that the policy has allowed")
ALLOW(close, NETD, "its end")
ALLOW(read, NETD, "a signal that asks to end")
ALLOW(rt_sigreturn, NETD, "end of a signal's handler")
ALLOW(restart_syscall, NETD, "the kernel's own, after a stop")
ALLOW(exit_group, NETD, "the end, and that after a violation")
