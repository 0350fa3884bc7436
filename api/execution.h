/*
 * One execution: what to run, for how long, and who hears what comes of it. Its caller owns it, submits it with
 * sessions_execute() and may free it once finished() was called.
 */
#ifndef HEARTH_API_EXECUTION_H
#define HEARTH_API_EXECUTION_H

#include "common/agent_protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct execution;
struct mime_bundle;
struct session;

enum execution_end {
	EXECUTION_RAN,         /* `outcome` tells how it ended */
	EXECUTION_ABORTED,     /* it was running when its session's microVM was lost; `sentence` tells why */
	EXECUTION_TIMED_OUT,   /* likewise, because it did not end when its time was over */
	EXECUTION_NOT_STARTED, /* its session could not be started; `sentence` tells why */
	EXECUTION_STOPPING,    /* hearthd is ending */
};

/* Times are microseconds. */
struct execution_report {
	enum execution_end end;
	enum agent_outcome outcome; /* of EXECUTION_RAN */
	uint8_t exit_status;        /* of a command that came to its end (AGENT_OK, AGENT_ERROR) */
	bool state_lost;            /* the interpreter was replaced */
	bool loss_before;           /* the interpreter was replaced after an execution whose client had gone */
	const char *sentence;       /* explains; may be empty; valid during finished(); perhaps not UTF-8 */
	uint64_t stdout_cut_bytes;
	uint64_t stderr_cut_bytes;
	uint64_t ran_us;  /* that the code ran */
	uint64_t wall_us; /* from the order to its answer */
	uint64_t read_us; /* of it, from the start of the code to the answer, less ran_us */
};

/* True if the code ended by itself, well or with an error: a command then has its exit status. */
static inline bool execution_came_to_end(const struct execution_report *report)
{
	return report->end == EXECUTION_RAN && (report->outcome == AGENT_OK || report->outcome == AGENT_ERROR);
}

/* Where the machine of an execution came from. */
enum session_source {
	SESSION_REUSED,  /* the session had it already */
	SESSION_WARM,    /* from the stock */
	SESSION_RESTORE, /* restored from the template for it */
	SESSION_BOOT,    /* booted for it */
	SESSION_FORK,    /* a copy of another session */
	SESSION_RESUME,  /* the session was suspended */
};

/* The word of the API. */
const char *session_source_name(enum session_source source);

/* Known from started() on; zero until then. */
struct execution_start {
	char session_guid[37];
	bool is_new_session; /* this execution is the first of its session */
	enum session_source source;
	uint64_t allocation_us;  /* from submission until the session could be used */
	uint64_t queued_us;      /* then, until the executions before it were over */
	uint64_t interpreter_us; /* then, until its interpreter was warm */
	uint64_t first_byte_us;  /* from the order until the agent said that the code starts, interpreter_us included */
	/* of a machine that was got ready for it, in parts: see struct microvm_timing */
	uint64_t vmm_us;
	uint64_t kernel_us;
	uint64_t agent_us;
	uint64_t adopt_us;
	uint64_t resume_us; /* of one from the stock */
};

struct execution_events {
	void (*started)(struct execution *e);
	/* stream is AGENT_STDOUT or AGENT_STDERR; the bytes are as the code wrote them */
	void (*output)(struct execution *e, enum agent_frame_type stream, const uint8_t *data, size_t size);
	void (*display)(struct execution *e, const struct mime_bundle *bundle, bool is_result);
	/* The last event; not called from within sessions_execute(), execution_cancel() or execution_pause(). */
	void (*finished)(struct execution *e, const struct execution_report *report);
};

struct execution {
	/* set by the caller */
	enum agent_language language;
	uint8_t flags; /* enum agent_execute_flag */
	char *code;    /* as the agent has it; the caller's, until finished() */
	size_t code_size;
	uint32_t timeout_ms;   /* 0: none */
	uint64_t output_limit; /* bytes of each of stdout and stderr */
	const struct execution_events *events;

	struct execution_start start;

	/* the session's */
	struct session *session;
	struct execution *next;
	uint64_t submitted_ns;
	uint64_t ordered_ns;
	uint64_t started_ns;
	bool is_mute; /* nobody listens any more: finished() alone is called */
	bool is_paused;
	bool is_admitted; /* counted against the rate of requests; set by who submits parts of one request */
};

/*
 * Nobody wants it any more. True if it was still waiting: it is out of its queue, and finished() will not be called.
 * False if it runs: it is interrupted, its session stays usable, and finished() is its only further event.
 */
bool execution_cancel(struct execution *e);

/* While paused, the running execution's output is not read, so that the code blocks when it writes. */
void execution_pause(struct execution *e, bool paused);

#endif
