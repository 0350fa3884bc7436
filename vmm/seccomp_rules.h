/*
 * The system calls of hearth-vmm, and why. A call is allowed if one rule for its kind of thread fits; what comes often
 * stands first. docs/security.md has this as a table, and a test counts it.
 *
 * ASSEMBLY is every thread from before anything is read that was written by others; a thread's own filter comes on top
 * when the VM stands. What MAIN, VCPU and RECORDER may do is part of ASSEMBLY, whose filter stays.
 *
 * Never, in no thread: open, execve, fork, kill of others, ptrace, mount, setuid, memory that can be executed, sockets
 * that are not Unix sockets.
 */
/* clang-format off */

/* ---- running ---- */
ALLOW_IF(ioctl, VCPU, IS(1, KVM_RUN), "run the guest")
ALLOW(write, MAIN | VCPU | RECORDER, "signal an eventfd; the log, the console, a client's stream")
ALLOW(read, MAIN | RECORDER, "take an eventfd, a timer, a signal; page faults of the recording")
ALLOW(futex, MAIN | VCPU | RECORDER, "locks between the threads, and parking")
#ifdef __NR_epoll_wait
ALLOW(epoll_wait, MAIN, "wait for events")
#else
ALLOW(epoll_pwait, MAIN, "wait for events")
#endif
ALLOW(clock_gettime, MAIN | VCPU | RECORDER, "deadlines; where the vDSO has no clock")
ALLOW(rt_sigreturn, MAIN | VCPU | RECORDER, "end of a signal's handler: the kick of a vCPU")
ALLOW(restart_syscall, MAIN | VCPU | RECORDER, "the kernel's own, after a stop")
ALLOW(exit_group, MAIN | VCPU | RECORDER, "the end, and that after a violation")

/* ---- vsock, net and control socket: without urgent data, where Unix sockets have had holes (CVE-2025-38236) ---- */
ALLOW(readv, MAIN, "a client's bytes into guest memory")
ALLOW_IF(sendmsg, MAIN, LACKS(2, MSG_OOB), "the guest's bytes to a client, its frames to the network")
ALLOW_IF(sendto, MAIN, LACKS(3, MSG_OOB), "the guest's bytes to a client; answers to orders")
ALLOW_IF(recvfrom, MAIN, LACKS(3, MSG_OOB), "the network's frames; the CONNECT line of a client")
ALLOW_IF(recvmsg, MAIN, LACKS(2, MSG_OOB), "orders, with the descriptors of a snapshot's files")
ALLOW(accept4, MAIN, "clients of the vsock, and who gives orders")
ALLOW_IF_BOTH(socket, MAIN, IS(0, AF_UNIX), IS(1, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC), "a guest connects to the host")
ALLOW(connect, MAIN, "the same; there is nothing but the VM's own sockets to be found")
ALLOW(shutdown, MAIN, "one direction of a stream ends")
ALLOW(close, MAIN | VCPU, "a stream ends; a driver's reset ends them on the vCPU")
ALLOW(epoll_ctl, MAIN | VCPU, "streams come and go, likewise")
ALLOW(timerfd_settime, MAIN, "deadlines of streams, and of being without orders")

/* ---- disks and rng ---- */
ALLOW(preadv, MAIN, "a disk request reads")
ALLOW(pwritev, MAIN, "a disk request writes")
ALLOW(fdatasync, MAIN, "a disk's flush, and the end of a snapshot")
ALLOW(getrandom, MAIN, "the guest's random numbers, a snapshot's id")

/* ---- pausing, counting, saving ---- */
ALLOW_IF_BOTH(tgkill, MAIN, IS(0, OWN_PROCESS), IS(2, KICK_SIGNAL), "kick a vCPU out of the guest")
ALLOW(rt_sigprocmask, MAIN | VCPU | RECORDER, "the C library, around that and around a thread's end")
ALLOW(getpid, MAIN, "likewise")
ALLOW_IF(getrusage, MAIN, IS(0, RUSAGE_SELF), "page faults, for VMM_QUERY")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_STATS_FD), "exits, for VMM_QUERY")
ALLOW(pread64, MAIN, "those counts, and the page map of the process when it is saved")
ALLOW(pwrite64, MAIN, "the files of a snapshot, a working set")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_KVMCLOCK_CTRL), "tell the guest that it was paused")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_CHECK_EXTENSION), "saving: the size of the vector registers")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_MP_STATE), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_TSC_KHZ), "saving a vCPU")
#ifdef __x86_64__
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_REGS), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_SREGS), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_XCRS), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_XSAVE), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_XSAVE2), "saving a vCPU with large vector registers")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_DEBUGREGS), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_LAPIC), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_CPUID2), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_MSR_INDEX_LIST), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_MSRS), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_VCPU_EVENTS), "saving a vCPU")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_IRQCHIP), "saving the interrupt controllers")
ALLOW_IF(ioctl, MAIN, IS(1, KVM_GET_CLOCK), "saving the guest's clock")
#endif

/* ---- memory ---- */
ALLOW_IF_BOTH(mmap, MAIN, IS(2, PROT_READ | PROT_WRITE), IS(3, MAP_PRIVATE | MAP_ANONYMOUS), "the C library's heap")
ALLOW(munmap, MAIN | VCPU | RECORDER, "the same: what a stream kept for a slow client is large; a thread's stack")
ALLOW_IF(mremap, MAIN, IS(3, MREMAP_MAYMOVE), "the list of a snapshot's pages grows")
ALLOW(brk, MAIN | VCPU, "the C library's heap")
ALLOW_IF(madvise, MAIN | RECORDER, IS(2, MADV_DONTNEED), "the C library gives memory back")
ALLOW_IF(madvise, MAIN, IS(2, MADV_POPULATE_WRITE), "copies the pages that a clone will write")
ALLOW(sysinfo, MAIN, "the C library's sorting asks how much memory there is, for a working set")

/* ---- recording a working set ---- */
#ifdef __NR_poll
ALLOW(poll, MAIN | RECORDER, "is a client still there? Wait for page faults")
#else
ALLOW(ppoll, MAIN | RECORDER, "is a client still there? Wait for page faults")
#endif
ALLOW_IF(ioctl, RECORDER, IS(1, UFFDIO_COPY), "fill a page in")
ALLOW_IF(ioctl, RECORDER, IS(1, UFFDIO_WRITEPROTECT), "let a page be written")
ALLOW_IF(ioctl, RECORDER, IS(1, UFFDIO_WAKE), "who waits for a page that is there")
ALLOW(exit, RECORDER, "the recording ends")

/* ---- assembly ---- */
ALLOW_IF(mmap, ASSEMBLY, LACKS(2, PROT_EXEC), "guest memory, memory files, a vCPU's shared page, stacks")
ALLOW_IF(mprotect, ASSEMBLY, LACKS(2, PROT_EXEC), "the guard page of a stack")
ALLOW_IF(madvise, ASSEMBLY, IS(2, MADV_HUGEPAGE), "guest memory of huge pages")
ALLOW_IF(madvise, ASSEMBLY, IS(2, MADV_NOHUGEPAGE), "none while a working set is recorded")
ALLOW_IF(madvise, ASSEMBLY, IS(2, MADV_DONTDUMP), "guest memory in no core dump")
ALLOW_IF(clone, ASSEMBLY, IS(0, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID), "threads, and nothing but threads")
REFUSE(clone3, ASSEMBLY, ENOSYS, "its flags cannot be checked: the C library takes clone then")
ALLOW(set_robust_list, ASSEMBLY, "a thread's start")
ALLOW(rseq, ASSEMBLY, "a thread's start")
ALLOW_IF(prctl, ASSEMBLY, IS(0, PR_SET_NAME), "a thread's name")
ALLOW_IF(seccomp, ASSEMBLY, IS(0, SECCOMP_SET_MODE_FILTER), "a thread's own filter, which only takes away")
ALLOW(sched_getaffinity, ASSEMBLY, "the C library asks how many processors there are")
ALLOW(rt_sigaction, ASSEMBLY, "the handler of a vCPU's kick")
ALLOW(prlimit64, ASSEMBLY, "limits, once the size of the memory is known")
ALLOW(eventfd2, ASSEMBLY, "interrupts and notifications")
ALLOW(epoll_create1, ASSEMBLY, "the two loops")
ALLOW(signalfd4, ASSEMBLY, "signals come as events")
ALLOW(timerfd_create, ASSEMBLY, "the vsock's and the control socket's timer")
ALLOW(getsockopt, ASSEMBLY, "is the control socket one? The network's?")
ALLOW(fcntl, ASSEMBLY, "it must not wait; the table of descriptors is grown")
ALLOW(newfstatat, ASSEMBLY, "the size of a snapshot's files")
ALLOW(fstat, ASSEMBLY, "the same")
ALLOW(lseek, ASSEMBLY, "the size of a disk")
ALLOW(flock, ASSEMBLY, "a writable disk is one VM's alone")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, UFFDIO_API), "recording")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, UFFDIO_REGISTER), "recording")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_GET_API_VERSION), "is it the KVM that we know?")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_GET_VCPU_MMAP_SIZE), "the size of a vCPU's shared page")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_CREATE_VM), "the VM")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_CREATE_VCPU), "its vCPUs, and the one that prefetches")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_USER_MEMORY_REGION), "its memory")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_ENABLE_CAP), "halting without exits while recording")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_IRQFD), "interrupts")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_IOEVENTFD), "notifications")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_MP_STATE), "restoring a vCPU")
#ifdef __x86_64__
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_TSS_ADDR), "pages that Intel's processors need")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_CREATE_IRQCHIP), "interrupt controllers")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_GET_SUPPORTED_CPUID), "what the host's processor can do")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_CPUID2), "what the guest's can")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_REGS), "a vCPU's start or restore")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_SREGS), "a vCPU's start or restore")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_FPU), "a vCPU's start")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_MSRS), "a vCPU's start or restore")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_LAPIC), "a vCPU's start or restore")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_TSC_KHZ), "restoring a vCPU")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_XCRS), "restoring a vCPU")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_XSAVE), "restoring a vCPU")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_DEBUGREGS), "restoring a vCPU")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_VCPU_EVENTS), "restoring a vCPU")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_IRQCHIP), "restoring the interrupt controllers")
ALLOW_IF(ioctl, ASSEMBLY, IS(1, KVM_SET_CLOCK), "restoring the guest's clock")
#endif
/* clang-format on */
