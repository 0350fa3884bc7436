/*
 * Orders and events between hearthd and hearth-vmm, over a Unix socket of type SOCK_SEQPACKET: one message a packet, so
 * there is no framing. hearthd makes the listening socket (run/<vm-id>/control.sock) and hearth-vmm inherits it; one
 * connection at a time gives orders. A VMM whose connection is gone runs on and waits for another (a hearthd that was
 * restarted adopts it); when none comes for --orphan-timeout seconds it ends, so that no VM is left behind.
 *
 * The machine is described by hearth-vmm's flags; files and sockets are named there and nowhere else, but for the files
 * of a snapshot, whose descriptors come with the order.
 *
 * A message is, all integers little-endian:
 *
 *     u16 type      enum vmm_message_type
 *     u16 status    of an answer: 0 or a positive errno value. In VMM_ENDED: enum vmm_exit
 *     u32 sequence  chosen with the order; the answer repeats it; 0 in an event
 *     u64 time_us   in answers and events: microseconds since hearth-vmm's main began
 *     text          to the end of the packet: a sentence for people, may be empty. VMM_QUERY's answer is made of words
 *                   NAME=VALUE with a space between them
 */
#ifndef HEARTH_COMMON_VMM_PROTOCOL_H
#define HEARTH_COMMON_VMM_PROTOCOL_H

enum {
	VMM_MESSAGE_HEADER_SIZE = 16,
	VMM_MESSAGE_MAX = 1024, /* bytes of a packet */
	VMM_SNAPSHOT_FDS = 2,   /* that come with VMM_SNAPSHOT: the state file, then the memory file */
};

enum vmm_message_type {
	/* orders; each is answered once with VMM_ANSWER */
	VMM_BOOT = 1,     /* run the kernel that was loaded; allowed once, and not after --restore */
	VMM_PAUSE = 2,    /* the answer comes when no vCPU runs and no device works */
	VMM_RESUME = 3,   /* also what first runs a VM that was made by --restore: it is paused until then */
	VMM_STOP = 4,     /* end at once; answered by VMM_ENDED */
	VMM_SNAPSHOT = 5, /* of a paused VM. Two descriptors come with it (SCM_RIGHTS): an empty file for the state, and
	                   * one for the memory, both open for writing. Of a VM that was restored the memory file holds
	                   * only the pages that differ from the files it was restored from. Answered when both files
	                   * are complete and synced; naming and renaming them is hearthd's */
	VMM_QUERY = 6,    /* state=prepared|running|paused connections=N (open vsock streams) vcpus=N memory_mib=N
	                   * ioctls=N (of KVM, since the process began) exits=N (vCPU exits that KVM counted; 0 while running)
	                   * faults=N (page faults of the process) ready_us=N (from its start until it was prepared) */

	VMM_ANSWER = 32,

	/* events */
	VMM_ENDED = 33, /* the last message; the process ends with `status` as its exit status */
};

/* Why hearth-vmm ended: its exit status. */
enum vmm_exit {
	VMM_EXIT_STOPPED = 0,         /* by VMM_STOP or SIGTERM */
	VMM_EXIT_FAILURE = 1,         /* the host could not provide something: KVM, memory, a file */
	VMM_EXIT_USAGE = 2,           /* the flags make no sense */
	VMM_EXIT_REBOOT = 10,         /* the guest asked for a reset (port 0x64) */
	VMM_EXIT_PANIC = 11,          /* the guest's kernel panicked (pvpanic) */
	VMM_EXIT_TRIPLE_FAULT = 12,   /* KVM_EXIT_SHUTDOWN */
	VMM_EXIT_KVM_ERROR = 13,      /* KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_FAIL_ENTRY, an exit we do not know */
	VMM_EXIT_DEVICE_BROKEN = 14,  /* a driver broke its virtqueue: DEVICE_NEEDS_RESET was set */
	VMM_EXIT_ORPHANED = 15,       /* nobody has held the control socket for --orphan-timeout seconds */
	VMM_EXIT_FORBIDDEN_CALL = 16, /* hearth-vmm made a system call that its jail forbids */
};

#endif
