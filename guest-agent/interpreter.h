/*
 * One language driver: its process, its two output pipes and its control socket. Starts it, waits until it is warm,
 * feeds it, interrupts and kills it, and starts it again when it dies. Knows nothing of hosts and limits: what comes
 * out goes to its listener.
 */
#ifndef HEARTH_AGENT_INTERPRETER_H
#define HEARTH_AGENT_INTERPRETER_H

#include "cgroup.h"
#include "frame.h"
#include "loop.h"
#include "output_pipe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum interpreter_state {
	INTERPRETER_DOWN,     /* not started yet, or a pause before the next attempt */
	INTERPRETER_STARTING, /* the process runs, the driver has not said that it is warm */
	INTERPRETER_IDLE,
	INTERPRETER_BUSY,
	INTERPRETER_SETTLING, /* prepares itself for being copied */
	INTERPRETER_DYING,    /* was sent SIGKILL, is not reaped yet */
	INTERPRETER_N_STATES,
};

struct interpreter;

struct interpreter_listener {
	void (*ready)(struct interpreter *interpreter);
	/* What interpreter_settle() asked for is done. */
	void (*settled)(struct interpreter *interpreter);
	void (*output)(struct interpreter *interpreter, enum output_stream stream, const uint8_t *data, size_t size);
	/* AGENT_DISPLAY, AGENT_RESULT or AGENT_DONE, unchecked. The listener owns the frame. */
	void (*frame)(struct interpreter *interpreter, struct frame *frame);
	/* It died on its own or was killed; `how` is a whole sentence. A new one is started right after. */
	void (*died)(struct interpreter *interpreter, const char *how);
};

struct interpreter {
	const char *name; /* of its cgroup and in the log */
	const char *const *argv;
	const char *const *envp;
	const char *directory;
	uid_t uid; /* 0: the agent's own user */
	gid_t gid;
	const struct interpreter_listener *listener;

	enum interpreter_state state;
	pid_t pid;                  /* 0 while there is no process */
	bool paused;                /* nothing is read from it, so that it blocks when the pipes are full */
	bool has_state;             /* code ran in it: its death loses something */
	bool reseed_is_due;         /* the guest was restored since its driver was seeded */
	bool interrupt_is_due;      /* SIGINT, once all frames have gone out */
	bool was_killed;            /* by the agent */
	bool was_damaged;           /* the driver broke the protocol, which is why it was killed */
	char unreported_death[256]; /* the listener's: how it died when no execution was there to be told */
	uint32_t failures;          /* starts in a row that did not become warm */
	uint64_t oom_kills;         /* counter of its cgroup when it started */
	uint64_t started_us;        /* when its process was started */
	uint64_t warm_up_us;        /* from there until it was warm: how slow this machine is */
	uint64_t refused_forks;     /* likewise; and when an execution ended */
	uint64_t request;           /* of the execution that it was given last */
	struct cgroup cgroup;
	struct output_pipes pipes;
	struct loop_source control;
	struct frame_reader reader;
	struct outbox outbox;
	struct loop_timer timer; /* a start that takes too long, or the pause before the next one */
};

/* Prepares it; the caller has filled the fields above `state` and may not move it any more. */
void interpreter_init(struct interpreter *interpreter);

/* Starts it if it is down. A failure is retried later and told to the listener's died(). */
void interpreter_start(struct interpreter *interpreter);

/* Gives AGENT_EXECUTE to an idle interpreter. Takes the frame over and gives it a request of its own. */
void interpreter_execute(struct interpreter *interpreter, struct frame *frame);

/*
 * Has an idle interpreter rehearse executions (unless code ran in it) and collect its garbage, so that copies of it
 * write few pages. settled() follows, or died().
 */
void interpreter_settle(struct interpreter *interpreter);

/*
 * To be called when the guest was restored and the kernel's random generator reseeded: gives the driver fresh
 * randomness before its next execution; at once if code that ran in it may go on in the background.
 */
void interpreter_reseed(struct interpreter *interpreter);

/* Gives AGENT_ENVIRONMENT to the driver, if there is one: `variables` are `size` bytes, as the frame has them. */
void interpreter_set_environment(struct interpreter *interpreter, const char *variables, size_t size);

/* AGENT_INTERRUPT to the driver and, after it, SIGINT to its process group. */
void interpreter_interrupt(struct interpreter *interpreter);

/* SIGKILL to it and everything that it started. died() follows. */
void interpreter_kill(struct interpreter *interpreter);

/* The same, and waits until it has ended: for the end of the agent. */
void interpreter_stop(struct interpreter *interpreter);

/* interpreter_kill() because the driver broke the protocol: died() says so. */
void interpreter_kill_damaged(struct interpreter *interpreter);

/* Stops or goes on reading what it writes. */
void interpreter_pause(struct interpreter *interpreter, bool paused);

/* Gives the listener all output that is in the pipes now. */
void interpreter_drain(struct interpreter *interpreter);

/*
 * Ends what the code left behind if it filled its process table, as a fork bomb does; otherwise background processes
 * stay. True if it did.
 */
bool interpreter_end_flood(struct interpreter *interpreter);

/* A child was reaped. True if it was this interpreter's process. */
bool interpreter_reaped(struct interpreter *interpreter, pid_t pid, int wait_status);

#endif
