/*
 * One microVM: a hearth-vmm process, its runtime directory and the agent inside. Boots it, waits until its agent is
 * ready, passes executions on, notices when it dies, and clears away what it leaves. Knows no sessions.
 *
 * Its life: spawned ▶ booting ▶ connecting ▶ ready ▶ ending. Whoever owns it hears of `ready` and of an end that it
 * did not ask for; after microvm_destroy() it hears nothing more.
 */
#ifndef HEARTH_API_MICROVM_H
#define HEARTH_API_MICROVM_H

#include "api/agent_client.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
	MICROVM_ID_SIZE = 13, /* 12 hexadecimal digits and NUL */
};

struct microvm;

/* What every microVM of this process is made from, and who is told when the last one is gone. */
struct microvm_host {
	uv_loop_t *loop;
	const char *runtime_directory; /* holds a directory for each microVM */
	const char *vmm;               /* path of hearth-vmm */
	const char *kernel;
	const char *image;
	const char *kernel_arguments; /* appended to what the image needs */
	uint32_t memory_mib;
	uint32_t n_vcpus;
	uint32_t boot_timeout_ms; /* from spawn to ready */

	unsigned int n_microvms;      /* that have not gone, those ending included */
	void (*all_gone)(void *data); /* called whenever the last one has gone; may be NULL */
	void *data;
};

struct microvm_owner {
	void (*ready)(void *owner);
	/* The microVM is lost; it is already destroying itself. */
	void (*lost)(void *owner, const char *reason);
	void (*started)(void *owner, uint64_t waited_us);
	void (*output)(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size);
	void (*display)(void *owner, const struct mime_bundle *bundle, bool is_result);
	void (*done)(void *owner, const struct agent_done *done);
};

/* Where the time of a cold start went. */
struct microvm_timing {
	uint64_t vmm_us;    /* from spawn until hearth-vmm answered that the vCPUs run */
	uint64_t kernel_us; /* from the guest kernel's start to the agent's main; the guest's word */
	uint64_t agent_us;  /* from there until the agent listened; the guest's word */
	uint64_t total_us;  /* from spawn until the agent's connection stood */
};

/* Starts a microVM; ready() or lost() follows. NULL on failure, with *err filled. */
struct microvm *microvm_create(struct microvm_host *host, const struct microvm_owner *callbacks, void *owner,
			       struct error *err);

/* Hands it to another owner, e.g. from a stock to a session. */
void microvm_hand_over(struct microvm *vm, const struct microvm_owner *callbacks, void *owner);

const char *microvm_id(const struct microvm *vm);
const struct microvm_timing *microvm_timing(const struct microvm *vm);

/* Only between ready() and lost(); see agent_client.h. */
int microvm_execute(struct microvm *vm, const struct agent_order *order);
void microvm_interrupt(struct microvm *vm);
void microvm_pause_output(struct microvm *vm, bool paused);

/* Ends it: first by order, after a short time by SIGKILL; removes its directory, then frees it. NULL is fine. */
void microvm_destroy(struct microvm *vm);

#endif
