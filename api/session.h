/*
 * Sessions: an identifier of the application, a microVM behind it. A session is made by the first execution for its
 * identifier, runs its executions one after the other, and is destroyed when it was idle for the cooldown time, or
 * when its microVM is lost; the same identifier then gets a fresh one. Knows neither HTTP nor JSON.
 */
#ifndef HEARTH_API_SESSION_H
#define HEARTH_API_SESSION_H

#include "api/execution.h"
#include "api/microvm.h"
#include "common/error.h"

struct sessions;

struct sessions_settings {
	unsigned int max_sessions;
	unsigned int max_queued;  /* executions that wait in one session */
	uint64_t cooldown_ms;     /* idle time after which a session is destroyed */
	uint64_t start_grace_ms;  /* from an order until its interpreter must be warm */
	uint64_t answer_grace_ms; /* from the end of an execution's time until the agent must have answered */
};

/* Codes of struct error of sessions_execute(). */
enum sessions_error {
	SESSIONS_FULL = 1000, /* max_sessions are active */
	SESSIONS_QUEUE_FULL,  /* max_queued executions wait in this session */
	SESSIONS_STOPPING,    /* sessions_stop() was called */
	SESSIONS_NO_MICROVM,  /* a microVM cannot be started */
};

struct sessions_counts {
	unsigned int n_sessions;
	unsigned int n_starting;
	unsigned int n_busy;
	unsigned int n_queued; /* executions that wait */
};

struct sessions *sessions_create(struct microvm_host *host, const struct sessions_settings *settings);

/* Only when sessions_stop() was called and the host's last microVM is gone. */
void sessions_destroy(struct sessions *sessions);

/*
 * Submits an execution to the session of that identifier (1 to 256 bytes), which is made if there is none. 0, or
 * negative with a code of enum sessions_error in *err; then finished() is not called.
 */
int sessions_execute(struct sessions *sessions, const char *identifier, struct execution *e, struct error *err);

/* Ends all sessions and takes no more work. Executions that wait or run finish with EXECUTION_STOPPING. */
void sessions_stop(struct sessions *sessions);

/* Ends the session of that identifier, and with it what runs or waits in it. False if there is none. */
bool sessions_end(struct sessions *sessions, const char *identifier);

/* After how many seconds it makes sense to try again when all places are taken. */
unsigned int sessions_retry_after_s(const struct sessions *sessions);

struct sessions_counts sessions_count(const struct sessions *sessions);

#endif
