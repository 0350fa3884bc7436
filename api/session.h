/*
 * The sessions of one pool: an identifier of the application, a microVM behind it. A session is made by the first
 * execution or use of files for its identifier, runs its executions one after the other, and ends by its pool's rules, by
 * order, or when its microVM is lost; the same identifier then gets a fresh one. Knows neither HTTP nor JSON.
 *
 *     booting ▶ ready ▶ busy ⇄ idle ▶ cooling ▶ destroyed
 *                         idle ⇄ saving ▶ suspended ▶ booting
 *
 * booting: its microVM boots or is restored. ready: usable, never used. busy: an execution runs. idle: nothing runs, and
 * the cooldown time does unless its files are used. saving: its machine is being written to a snapshot; executions wait.
 * suspended: it is that snapshot, and holds no memory. cooling: over, its microVM and files are going; it takes no work and
 * no place.
 * destroyed: nothing of it is left.
 */
#ifndef HEARTH_API_SESSION_H
#define HEARTH_API_SESSION_H

#include "api/execution.h"
#include "api/guid.h"
#include "api/microvm.h"
#include "api/pool_definition.h"
#include "api/session_usage.h"
#include "common/error.h"

struct container_log;
struct sessions;

enum {
	SESSION_IDENTIFIER_MAX = 256, /* bytes */
};

/* What holds for the sessions of all pools. */
struct sessions_settings {
	unsigned int max_queued;    /* executions that wait in one session */
	uint64_t start_grace_ms;    /* from an order until its interpreter must be warm, if it was not before */
	uint64_t answer_grace_ms;   /* from the end of an execution's time until the agent must have answered */
	uint64_t suspend_after_ms;  /* idle time after which a session is suspended; 0: never */
	uint64_t suspended_keep_ms; /* time after which a suspended session is destroyed */
	/* Is told what each session used, at its end and by sessions_tell_usage(). NULL: nobody. */
	void (*used)(void *data, const struct session_usage *usage);
	void *used_data;
};

/* Codes of struct error of the functions below. */
enum sessions_error {
	SESSIONS_FULL = 1000, /* the pool's maximum of sessions are active */
	SESSIONS_QUEUE_FULL,  /* max_queued executions wait in this session */
	SESSIONS_TOO_FAST,    /* more requests than the pool's limits allow: sessions_rate_wait_s() */
	SESSIONS_STOPPING,    /* sessions_stop() or sessions_leave() was called */
	SESSIONS_NO_MICROVM,  /* a microVM cannot be started, or its snapshot not be made */
	SESSIONS_NOT_FOUND,   /* there is no session of that identifier */
	SESSIONS_EXISTS,      /* there is one already: fork's new identifier, or the template's name */
	SESSIONS_TOO_DEEP,    /* its memory is a chain of too many snapshots */
};

/* A session as it is now. Times are milliseconds of CLOCK_REALTIME. */
struct session_info {
	char identifier[SESSION_IDENTIFIER_MAX + 1];
	char guid[GUID_SIZE];
	char pool[POOL_NAME_SIZE];
	const char *state;           /* a word of the diagram above */
	const char *source;          /* where its machine came from: session_source_name() */
	char vm_id[MICROVM_ID_SIZE]; /* "" while there is none */
	uint32_t memory_mib;
	uint32_t n_vcpus;
	int64_t created_ms;
	int64_t last_end_ms; /* of its last execution; 0: there was none */
	int64_t expires_ms;  /* when it ends if nothing else happens; 0: not before something does */
	unsigned int n_queued;
	uint64_t n_executions;
	struct microvm_counts counts;
};

struct sessions_counts {
	unsigned int n_sessions; /* that count against the maximum: all but the suspended */
	unsigned int n_starting;
	unsigned int n_ready; /* never used */
	unsigned int n_busy;
	unsigned int n_idle;
	unsigned int n_saving;
	unsigned int n_suspended;
	unsigned int n_queued; /* executions that wait */
	uint64_t memory_mib;   /* of the machines that they have */
};

/*
 * Submits an execution to the session of that identifier (1 to SESSION_IDENTIFIER_MAX bytes), which is made if there is
 * none and resumed if it is suspended. 0, or negative with a code of enum sessions_error in *err; then finished() is
 * not called.
 */
int sessions_execute(struct sessions *sessions, const char *identifier, struct execution *e, struct error *err);

/*
 * A use of a session's machine beside its executions: of its files. While one goes on the session is neither idle nor
 * saved; orders wait for its end. The caller's, who fills in what comes before the session's.
 */
struct session_use {
	/*
	 * The machine can be used, until session_use_end(). May come from within sessions_use(). `guid` is the session's.
	 */
	void (*ready)(struct session_use *u, struct microvm *vm, const char *guid);
	/* It cannot be, or not any more: the use is over. Not called from within sessions_use(). */
	void (*failed)(struct session_use *u, const struct error *err);
	void *data;

	bool is_proxied; /* a connection into the guest's container, of which there may be more than of the others */

	/* the session's */
	struct session *session;
	struct session_use *next;
	bool is_active;
};

/*
 * Begins a use of the session of that identifier, which is made or resumed if need be. 0, or negative with a code of
 * enum sessions_error in *err, and then neither function is called.
 */
int sessions_use(struct sessions *sessions, const char *identifier, struct session_use *u, struct error *err);

/* It is over, or not wanted any more. Nothing is called after that. One that is over is fine. */
void session_use_end(struct session_use *u);

/* Ends the session of that identifier, and with it what runs or waits in it. False if there is none. */
bool sessions_end(struct sessions *sessions, const char *identifier);

/* After how many seconds a request that was refused with SESSIONS_TOO_FAST just now may come again. */
unsigned int sessions_rate_wait_s(const struct sessions *sessions);

/* After how many seconds it makes sense to try again when all places are taken. */
unsigned int sessions_retry_after_s(const struct sessions *sessions);

/* Tells what all of them have used since they last did. */
void sessions_tell_usage(struct sessions *sessions);

struct sessions_counts sessions_count(const struct sessions *sessions);

/* False if there is none. */
bool sessions_find(const struct sessions *sessions, const char *identifier, struct session_info *info);

/* Calls `visit` with each session, in no order; it must not change them. */
void sessions_each(const struct sessions *sessions, void (*visit)(void *data, const struct session_info *info),
		   void *data);

/*
 * What somebody keeps as long as a session lives, in the session's list; suspended sessions live. The owner of the memory
 * is whoever made it.
 */
struct session_keepsake {
	struct session_keepsake *next;
	/* The session is over, and the keepsake in no list any more. Its executions have finished or are another's. */
	void (*ended)(struct session_keepsake *keepsake);
	/* Its machine is about to be saved: connections into it must end. Leaves the list as it is. May be NULL. */
	void (*rests)(struct session_keepsake *keepsake);
};

/* Keeps it first in the list of the session of a submitted execution that is not finished. */
void session_keep(const struct execution *e, struct session_keepsake *keepsake);

/* Likewise, of the session of an active use; and the first keepsake of it. */
void session_use_keep(const struct session_use *u, struct session_keepsake *keepsake);
struct session_keepsake *session_use_kept(const struct session_use *u);

/* The place of the first keepsake of that identifier's session, by which the list may be changed; NULL: no session. */
struct session_keepsake **sessions_kept(const struct sessions *sessions, const char *identifier);

/* The container of a session. */
struct session_container {
	char guid[GUID_SIZE];                    /* the session's */
	bool is_over;                            /* it was kept of a session that has ended */
	const char *reason;                      /* why the session has ended, "" while it has not */
	const struct agent_container_exit *exit; /* NULL: it did not end by itself */
	const struct container_log *log;         /* these three are valid until the loop runs again */
};

/*
 * That of the session of that identifier, or of the last one in an hour; with `guid` only of the session that has it. False
 * if there is none, or it has no container.
 */
bool sessions_container(struct sessions *sessions, const char *identifier, const char *guid,
			struct session_container *c);

/* Copies the last bytes that the container of an active use has written, at most `size`. Returns how many. */
size_t session_use_log(const struct session_use *u, char *text, size_t size);

/*
 * How an order below ended, told once and never from within the call that gave it. `info` is the session that it was
 * about (the new one of a fork); NULL if it failed, and then `err` says why, with a code as above.
 */
typedef void (*session_done_cb)(void *data, const struct session_info *info, const struct error *err);

/*
 * The orders. Each waits for a moment without an execution (those that come later wait for it in turn), and returns 0
 * when it was taken, or negative with *err filled, and then `done` is not called.
 *
 * Fork: a new session that begins as a copy of this one, variables, files and processes. Done when it can be used.
 */
int sessions_fork(struct sessions *sessions, const char *identifier, const char *new_identifier, session_done_cb done,
		  void *data, struct error *err);

/* Suspend: the session becomes a snapshot and its microVM ends. Already suspended is fine. */
int sessions_suspend(struct sessions *sessions, const char *identifier, session_done_cb done, void *data,
		     struct error *err);

/* Resume: as the next execution does. Already running is fine. */
int sessions_resume(struct sessions *sessions, const char *identifier, session_done_cb done, void *data,
		    struct error *err);

/* Makes a user's template of that name (pool_name_is_valid()), for the `template_name` of pools. The session goes on. */
int sessions_make_template(struct sessions *sessions, const char *identifier, const char *name, session_done_cb done,
			   void *data, struct error *err);

#endif
