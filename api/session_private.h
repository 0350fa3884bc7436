/* What the files of the sessions (session*.c) share. */
#ifndef HEARTH_API_SESSION_PRIVATE_H
#define HEARTH_API_SESSION_PRIVATE_H

#include "api/rate_limit.h"
#include "api/session_pool.h"
#include "api/timestamp.h"

enum session_state {
	SESSION_BOOTING,
	SESSION_READY,
	SESSION_BUSY,
	SESSION_IDLE,
	SESSION_SAVING,
	SESSION_SUSPENDED,
	SESSION_COOLING,
	SESSION_DESTROYED,
	SESSION_N_STATES,
};

/* An order to a session that is not an execution (session_job.c). */
enum session_job_kind { JOB_FORK, JOB_SUSPEND, JOB_RESUME, JOB_TEMPLATE };

struct session_job {
	struct session_job *next;
	enum session_job_kind kind;
	session_done_cb done; /* NULL: nobody asked */
	void *data;
	char name[SESSION_IDENTIFIER_MAX + 1]; /* of the new session, or of the template */
	bool is_failed;
	struct session_info info;
	struct error err;
	uv_timer_t timer; /* by which the end is told from the loop */
};

struct session {
	struct sessions *all; /* not to be used from cooling on */
	struct session *next;
	enum session_state state;
	uint64_t state_since_ns;
	enum session_source source;      /* of its present machine */
	enum session_source next_source; /* what its next execution is told */
	bool was_used;
	unsigned int warm_languages; /* a bit for each whose interpreter is known to have been warm */
	bool has_untold_loss;        /* the interpreter was replaced, and whose execution that was has gone */
	uint64_t n_executions;
	struct rate_limit rate; /* of the requests to it */
	int64_t created_ms;     /* CLOCK_REALTIME */
	int64_t last_end_ms;    /* likewise, of the last execution; 0: none */
	uint64_t idle_since_ns;

	struct microvm *microvm;
	uint64_t ready_ns;             /* since when its machine can be used */
	bool has_record;               /* on disk: session_record.h */
	bool cannot_be_saved;          /* what its memory is a difference over is not known */
	struct snapshot *suspended;    /* held: what it is while suspended, and until it is resumed */
	bool is_suspend_off;           /* it could not be suspended: not tried again by itself */
	struct snapshot_writer writer; /* while saving */

	uv_timer_t timer;          /* what the state waits for: cooldown, or the guard over `current` */
	uv_timer_t foreground;     /* until its machine is in the background */
	uv_timer_t life;           /* runs from its making to the end of its life, if that is limited */
	unsigned int n_timers;     /* that libuv still uses */
	struct execution *current; /* the one that runs, while busy */
	struct execution *queue;   /* those that wait, oldest first */
	unsigned int n_queued;
	struct session_use *uses; /* those that wait or go on, oldest first */
	unsigned int n_active_uses;
	unsigned int n_proxied_uses; /* of the active ones */
	unsigned int n_waiting_uses;
	struct session_job *jobs; /* those that wait or are done, oldest first */
	struct session_keepsake *keepsakes;
	struct container_client *container; /* of one that runs a container */
	bool has_container;                 /* its machine's container was started */
	uint64_t log_position, log_heard;   /* bytes that wrote: what the present connection has told, and any did */
	struct container_record *record;    /* what is known of it; NULL: nothing */
	struct {
		uint64_t since_ns; /* up to which its machine's time is counted */
		uint64_t vcpu_us, mib_us, ran_us, n_executions;
		bool is_told;
	} usage; /* that was not told yet */
	char pool[POOL_NAME_SIZE];
	char guid[GUID_SIZE];
	char identifier[];
};

struct sessions {
	struct microvm_host *host;
	struct templates *templates;
	struct stock *stock;
	struct sessions_settings settings;
	struct sessions_rules rules;
	void (*changed)(void *data);
	void *data;
	struct session *list;
	struct container_record *ended; /* of sessions that are over, the latest first */
	struct rate_limit rate;         /* of the requests to all */
	unsigned int rate_wait_s;       /* after which the one that was refused last would not have been */
	bool is_stopping;
};

extern const struct microvm_owner session_microvm_callbacks;

/* ---- session.c: what a session is ---- */

void session_move(struct session *s, enum session_state state, const char *reason);
struct session *session_find(const struct sessions *all, const char *identifier);
void session_fill_info(const struct session *s, struct session_info *info);

/* Makes one, in the list, without a machine. `guid` NULL: a fresh one. NULL with *err filled if there is no memory. */
struct session *session_create(struct sessions *all, const char *identifier, const char *guid, struct error *err);

/* Frees one that came to nothing before it had a machine. */
void session_discard(struct session *s);

/* Ends it. What runs finishes with `end`; what waits is submitted anew if `submit_queue`, else it finishes likewise. */
void session_end(struct session *s, enum execution_end end, const char *reason, bool submit_queue);

/* 0, or negative with a code of enum sessions_error: no place for one more, or the service is stopping. */
int session_check_room(const struct sessions *all, struct error *err);

/* Runs the timer of its whole life, if that is limited, from its making on. */
void session_start_life(struct session *s);

/* Writes it down for a later hearthd. */
void session_record(struct session *s);

/* What is to be written down of it, with a machine of that shape. */
void session_describe(const struct session *s, const struct microvm_shape *shape, struct session_record *r);

/* ---- session_usage.c: what it uses ---- */

/* Counts its machine's time up to now. Before it gets or loses one, and before its usage is told. */
void session_account(struct session *s);

/* Tells what was counted. `reason` is that of its end, or "". */
void session_tell_usage(struct session *s, bool is_over, const char *reason);

/* ---- session_machine.c: where its machine comes from ---- */

/* Takes one from the stock, or restores or boots one. 0, or negative with SESSIONS_NO_MICROVM in *err. */
int session_start(struct session *s, struct error *err);

/* Restores its machine from `snapshot`. 0 or negative with *err filled. */
int session_restore(struct session *s, struct snapshot *snapshot, enum session_source source, struct error *err);

/* Restores one that is suspended, if there is room. 0, or negative with *err filled: it is what it was. */
int session_wake(struct session *s, struct error *err);

/* It is what lies in s->suspended from now on. */
void session_become_suspended(struct session *s, const char *reason);

/* It stays as it is: what waits for it fails. */
void session_refuse_waiting(struct session *s, const char *reason);

/* It can be used from now on. */
void session_become_usable(struct session *s);

/* ---- session_container.c: the container that it runs ---- */

/*
 * Starts the container of its machine, or takes it up, hands over what is the session's, and calls
 * session_become_usable() if it is booting.
 */
void session_container_begin(struct session *s);

/* The connection about it, the caller's from now on; NULL if it does not run. */
struct container_client *session_container_take(struct session *s);

/* Lets go of it: its machine is to be saved, or gone. */
void session_container_leave(struct session *s);

/* The session is over: what is known of its container is kept for an hour. */
void session_container_keep(struct session *s, const char *reason);

/* Frees what is not kept. */
void session_container_discard(struct session *s);

/* Forgets what is kept. */
void sessions_forget_containers(struct sessions *all);

/* ---- session_limit.c: what it may take ---- */

/* Its machine is ready: gives it the limits of its pool. */
void session_limit(struct session *s);

/* Work begins: its machine competes as an equal for a moment, then only for what the others leave. */
void session_enter_foreground(struct session *s);

/* Keeps its machine there until the next call of that: it is to end something within a time that is watched. */
void session_stay_in_foreground(struct session *s);

/* 0, or negative with SESSIONS_TOO_FAST in *err: too many requests, to this session or to all. `s` NULL: a new one. */
int session_admit(struct sessions *all, struct session *s, struct error *err);

/* ---- session_run.c: what it does ---- */

/* What the microVM says of an execution. */
void session_vm_started(void *owner, uint64_t waited_us);
void session_vm_output(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size);
void session_vm_display(void *owner, const struct mime_bundle *bundle, bool is_result);
void session_vm_done(void *owner, const struct agent_done *done);

/* Starts the timer for the end of its idle time, which began at s->idle_since_ns. */
void session_wait(struct session *s);

/* Nothing runs: the next job, else the next execution, else it waits. Its state is ready or idle. */
void session_go_on(struct session *s);

/* Finishes an execution that did not run to its end. */
void session_finish_early(struct execution *e, enum execution_end end, const char *sentence);

/* The session of that identifier, made or resumed if need be. NULL with *err filled. */
struct session *session_get(struct sessions *all, const char *identifier, struct error *err);

/* ---- session_use.c: what uses its machine beside the executions ---- */

/* Begins those that wait. Its machine can be used, and no job waits. */
void session_begin_uses(struct session *s);

/* All are over: they fail with this. */
void session_fail_uses(struct session *s, int code, const char *reason);

/* ---- session_job.c: fork, suspend, resume, template ---- */

/* Begins the oldest job. The session is ready, idle or suspended. */
void session_begin_job(struct session *s);

/* Something happened for which the jobs of a kind waited: tells who gave them. `err` NULL: all is well. */
void session_finish_jobs(struct session *s, enum session_job_kind kind, const struct error *err);

/* All jobs have failed. */
void session_fail_jobs(struct session *s, const char *reason);

/* What the microVM says of settling and saving. */
void session_settled(void *owner, const char *problem);
void session_saved(void *owner, const char *problem);

/* Suspends it because it was idle for long. */
void session_suspend_idle(struct session *s);

#endif
