/*
 * One microVM: a hearth-vmm process, its runtime directory and the agent inside. Starts it from a kernel or from a
 * snapshot, passes executions on, saves it, notices when it dies, and clears away what it leaves. Knows no sessions.
 *
 *     boot:     spawned ▶ booting ▶ connecting ▶ ready
 *     restore:  spawned ▶ resuming ▶ connecting ▶ adopting ▶ ready, or ▶ parking ▶ parked (▶ ready when it is used)
 *     attach:   attaching (▶ resuming) ▶ connecting ▶ ready
 *     save:     ready ▶ disconnecting ▶ pausing ▶ saving ▶ saved, or ▶ resuming ▶ connecting ▶ ready
 *
 * Whoever owns it hears of an end that it did not ask for; after microvm_destroy() it hears nothing more.
 */
#ifndef HEARTH_API_MICROVM_H
#define HEARTH_API_MICROVM_H

#include "api/agent_client.h"
#include "api/snapshot.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
	MICROVM_ID_SIZE = 13, /* 12 hexadecimal digits and NUL */
};

struct container_spec;
struct microvm;
struct microvm_directory;
struct token_source;
struct vmm_cgroups;

enum microvm_jail {
	MICROVM_JAIL_FULL,    /* a VMM that cannot be jailed does not run */
	MICROVM_JAIL_PARTIAL, /* without what this machine does not allow */
	MICROVM_JAIL_OFF,
};

/* What every microVM of this process is made from, and who is told when the last one is gone. */
struct microvm_host {
	uv_loop_t *loop;
	const char *runtime_directory; /* holds a directory for each microVM */
	const char *vmm;               /* path of hearth-vmm */
	const char *netd;              /* path of hearth-netd */
	const char *kernel;
	const char *image;
	const char *kernel_arguments; /* appended to what the image needs */
	uint32_t boot_timeout_ms;     /* from spawn to ready, and for each of the other ways to ready */
	uint32_t orphan_timeout_s;    /* how long a VMM lives without a hearthd */

	enum microvm_jail jail;
	uint32_t first_user;               /* of 65536, one for each microVM's VMM; 0: hearthd may not choose users */
	const struct vmm_cgroups *cgroups; /* NULL: without */

	unsigned int n_microvms;      /* that have not gone, those ending included */
	void (*all_gone)(void *data); /* called whenever the last one has gone; may be NULL */
	void *data;
};

struct microvm_owner {
	/* It can be used: started, or taken over, or saved and resumed. */
	void (*ready)(void *owner);
	/* The microVM is lost; it is already destroying itself. */
	void (*lost)(void *owner, const char *reason);
	void (*started)(void *owner, uint64_t waited_us);
	void (*output)(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size);
	void (*display)(void *owner, const struct mime_bundle *bundle, bool is_result);
	void (*done)(void *owner, const struct agent_done *done);
	/* How microvm_settle() ended; `problem` is "" if all is well. NULL for an owner that never settles. */
	void (*settled)(void *owner, const char *problem);
	/* How microvm_save() ended; `problem` is NULL if the files are complete. NULL for an owner that never saves. */
	void (*saved)(void *owner, const char *problem);
};

/* Where the time went; 0 for what did not happen. */
struct microvm_timing {
	uint64_t vmm_us;    /* from spawn until hearth-vmm answered that the vCPUs run */
	uint64_t kernel_us; /* boot: from the guest kernel's start to the agent's main; the guest's word */
	uint64_t
		agent_us; /* boot: from there until the agent listened, the guest's word; else until it was connected */
	uint64_t adopt_us;  /* restore: from there until the guest had its identity */
	uint64_t total_us;  /* from spawn until it was ready */
	uint64_t resume_us; /* parked: from the order to run it until hearth-vmm answered that the vCPUs run */
};

/* What its VMM had counted when its agent gave the first answer; all 0 while that is not known. */
struct microvm_counts {
	uint64_t n_kvm_calls;
	uint64_t n_exits;  /* of vCPUs */
	uint64_t n_faults; /* page faults of the process */
	uint64_t ready_us; /* from the process's start until it took orders */
};

enum microvm_way { MICROVM_BOOT, MICROVM_RESTORE };

struct microvm_start {
	enum microvm_way way;
	struct microvm_shape shape;       /* of a boot */
	struct snapshot *snapshot;        /* to restore; held as long as the microVM is */
	enum agent_identity identity;     /* who a restored guest is */
	bool is_parked;                   /* a restored one is paused when it is ready, until its first execution */
	struct token_source *tokens;      /* that its code may ask for, which lives longer; NULL: none */
	const char *network;              /* the policy of its network, copied; NULL: it reaches nobody */
	struct container_spec *container; /* of a boot: that its guest is for; held. NULL: for interpreters */
	const char *working_set;          /* where it writes which pages it used, when it is destroyed; NULL: nowhere */
};

/* Starts a microVM; ready() or lost() follows. NULL on failure, with *err filled. */
struct microvm *microvm_create(struct microvm_host *host, const struct microvm_start *start,
			       const struct microvm_owner *callbacks, void *owner, struct error *err);

/*
 * Takes over the microVM of an earlier hearthd, whose directory is `d`; ready() or lost() follows. `snapshot` is what
 * it was restored from, NULL if it was booted; `tokens` as in struct microvm_start. NULL on failure, with *err filled;
 * the directory is the caller's then.
 */
struct microvm *microvm_attach(struct microvm_host *host, const char *id, const struct microvm_directory *d,
			       const struct microvm_shape *shape, struct snapshot *snapshot,
			       struct token_source *tokens, const struct microvm_owner *callbacks, void *owner,
			       struct error *err);

/* Hands it to another owner, e.g. from a stock to a session. */
void microvm_hand_over(struct microvm *vm, const struct microvm_owner *callbacks, void *owner);

/* Whose connections are logged as such from now on; nothing if it has no network. */
void microvm_name_session(struct microvm *vm, const char *session, const char *pool);

const char *microvm_id(const struct microvm *vm);
const struct microvm_timing *microvm_timing(const struct microvm *vm);
const struct microvm_counts *microvm_counts(const struct microvm *vm);
const struct microvm_directory *microvm_directory_of(const struct microvm *vm);
const struct microvm_shape *microvm_shape_of(const struct microvm *vm);

/* What it was restored from, NULL if it was booted. Its memory is a difference over this. */
struct snapshot *microvm_snapshot(const struct microvm *vm);

/* The container that the guest was booted for, NULL if it was restored or is for interpreters. */
struct container_spec *microvm_container(const struct microvm *vm);

/*
 * Adds the disks of its container to a snapshot that is to be made of it, if those of what it was restored from are not
 * there already. 0, or negative with *err filled.
 */
int microvm_add_disks(const struct microvm *vm, const struct snapshot_writer *w, struct error *err);

/* What it may take; 0: what its shape and its image say. */
struct microvm_limits {
	uint32_t cpu_milli;   /* thousandths of a CPU; a limit if it is no whole number of CPUs */
	uint32_t n_processes; /* and threads, of each interpreter of the guest */
	uint64_t disk_bytes;  /* that the guest may write */
};

/* Sets the limits of a machine that is ready, before or after its first execution. */
void microvm_limit(struct microvm *vm, const struct microvm_limits *limits);

/* Lets its VMM have the CPU only when no machine in the foreground wants it; machines begin there. */
void microvm_set_background(struct microvm *vm, bool is_background);

/* Only between ready() and lost(); see agent_client.h. */
int microvm_execute(struct microvm *vm, const struct agent_order *order);
void microvm_interrupt(struct microvm *vm);
void microvm_pause_output(struct microvm *vm, bool paused);

/* Runs one that is parked; it runs already is fine. For what reaches the guest in another way than microvm_execute(). */
void microvm_run(struct microvm *vm);

/* Prepares the guest for being a template; settled() follows, or lost(). Nothing may be running. 0 or -errno. */
int microvm_settle(struct microvm *vm);

/*
 * Writes it into the files of `w`, which stay the caller's; saved() follows, or lost(). Nothing may be running. With
 * `is_end` it stays paused after that and can only be destroyed; without, or if that failed, it is ready again when
 * saved() is called.
 */
void microvm_save(struct microvm *vm, const struct snapshot_writer *w, bool is_end);

/*
 * Ends it: first by order, after a short time by SIGKILL; removes its directory, then frees it. NULL is fine. `gone`, if
 * not NULL, is called when nothing is left.
 */
void microvm_destroy(struct microvm *vm, void (*gone)(void *data), void *data);

/* It is not to be used further, for a reason that is logged: its owner hears lost(), then it ends. Idempotent. */
void microvm_lose(struct microvm *vm, const char *reason);

/* Its agent is gone: its owner hears lost() within moments, once it is known why. */
bool microvm_is_losing(const struct microvm *vm);

/* Lets go of it and of its directory: it runs on, for a later hearthd to take over. */
void microvm_leave(struct microvm *vm);

#endif
