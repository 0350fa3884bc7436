/* What the files of a microVM (microvm*.c) share. */
#ifndef HEARTH_API_MICROVM_PRIVATE_H
#define HEARTH_API_MICROVM_PRIVATE_H

#include "api/microvm.h"
#include "api/microvm_directory.h"
#include "api/network.h"
#include "api/ready_listener.h"
#include "api/token_listener.h"
#include "api/vmm_client.h"

enum microvm_state {
	MICROVM_SPAWNED,    /* the process was started */
	MICROVM_BOOTING,    /* the vCPUs run */
	MICROVM_ATTACHING,  /* an earlier hearthd's: asked how it is */
	MICROVM_RESUMING,   /* ordered to run */
	MICROVM_CONNECTING, /* to its agent */
	MICROVM_ADOPTING,   /* the restored guest is told who it is */
	MICROVM_PARKING,    /* ordered to pause */
	MICROVM_PARKED,     /* paused, for its first execution */
	MICROVM_READY,
	MICROVM_SETTLING,
	MICROVM_DISCONNECTING, /* the agent's connection was closed; waits until the guest knows */
	MICROVM_PAUSING,       /* to be saved */
	MICROVM_SAVING,
	MICROVM_SAVED,  /* paused, to be destroyed */
	MICROVM_LOSING, /* the agent's connection broke; the process's exit will tell why */
	MICROVM_ENDING,
	MICROVM_N_STATES,
};

struct microvm {
	struct microvm_host *host;
	const struct microvm_owner *callbacks; /* NULL: nobody is told */
	void *owner;
	void (*gone)(void *data);
	void *gone_data;
	enum microvm_state state;
	char id[MICROVM_ID_SIZE];
	struct microvm_directory directory;
	struct microvm_shape shape;
	struct snapshot *snapshot;        /* held */
	struct container_spec *container; /* held; of one that was booted for it */
	enum agent_identity identity;
	bool must_adopt; /* before it is ready */
	bool must_park;
	bool is_background; /* as its control group is told */
	struct vmm_client *vmm;
	struct ready_listener *ready_listener;
	struct token_listener *token_listener; /* NULL: its code gets no tokens */
	struct network *network;               /* NULL: it reaches nobody */
	int deaf_fd;                           /* the other end of a network device that leads nowhere, or -1 */
	struct agent_client *agent;
	uv_timer_t timer; /* how long the present state may last */
	unsigned int n_cgroup_retries;
	char lost_reason[256];
	uint64_t spawned_ns;
	uint64_t connected_ns;
	uint64_t resumed_ns; /* when a parked one was ordered to run */
	struct microvm_timing timing;
	struct microvm_counts counts;

	/* while it is saved */
	const struct snapshot_writer *writer; /* NULL if it is not */
	bool is_save_end;
	uv_timer_t poll; /* between two looks at the guest's connections */
	uint64_t save_began_ns;
	char save_problem[256];
};

/* Goes to a state that may follow, else aborts: see the table in microvm.c. */
void microvm_move(struct microvm *vm, enum microvm_state state);

/* Gives an order; a failure loses the microVM. */
void microvm_order(struct microvm *vm, enum vmm_message_type order);

/* Connects to the agent: the first step to ready from wherever it comes. */
void microvm_connect_agent(struct microvm *vm);

/* It can be used. */
void microvm_tell_ready(struct microvm *vm);

uint64_t microvm_since_us(uint64_t ns);

extern const struct vmm_events microvm_vmm_events;

/* microvm_agent.c: what the agent says. */
extern const struct agent_events microvm_agent_events;

/* microvm_start.c: makes the directory and starts the process. 0 or negative with *err filled. */
int microvm_spawn(struct microvm *vm, const struct microvm_start *start, struct error *err);

/* microvm_start.c: where its guest may ask for tokens. 0 or negative with *err filled. */
int microvm_listen_for_tokens(struct microvm *vm, struct token_source *tokens, struct error *err);

/* microvm_save.c: an answer of the VMM's while it is being saved; and the agent is connected again. */
void microvm_save_answered(struct microvm *vm, enum vmm_message_type order, int status, const char *text);
void microvm_save_finish(struct microvm *vm);

#endif
