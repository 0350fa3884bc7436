#include "api/metrics.h"

#include <stdio.h>

enum {
	N_STATUSES = 600,
	N_LANGUAGES = AGENT_SHELL + 1,
	N_SOURCES = SESSION_RESUME + 1,
	STATUS_CLIENT_GONE = 499, /* as nginx has it */
};

/* How an execution ended: struct execution_report in one word. */
enum ending {
	SUCCEEDED,
	FAILED,
	TIMED_OUT,
	INTERRUPTED,
	INTERPRETER_LOST,
	REFUSED,
	SESSION_ENDED,
	NOT_STARTED,
	STOPPED,
	N_ENDINGS,
};

static const char *const ending_names[N_ENDINGS] = {
	"succeeded", "failed",        "timed_out",   "interrupted", "interpreter_lost",
	"refused",   "session_ended", "not_started", "stopped",
};

static const char *const error_names[METRICS_N_ERRORS] = {
	"pool_full",    "queue_full", "too_fast",          "stopping",         "allocation_failed",
	"session_lost", "stock_lost", "execution_timeout", "interpreter_lost", "unauthorized",
};

static const char *const route_names[METRICS_N_ROUTES] = {
	"none", "execution", "session", "file", "template", "pool", "monitoring", "other",
};

static const char *const language_names[N_LANGUAGES] = { "", "python", "node", "shell" };

static struct {
	uint64_t errors[METRICS_N_ERRORS];
	uint64_t requests[METRICS_N_ROUTES][N_STATUSES];
	uint64_t executions[N_LANGUAGES][N_ENDINGS];
	struct metrics_histogram execution_times[N_LANGUAGES];
	struct metrics_histogram allocations[N_SOURCES];
	uint64_t sessions[N_SOURCES];
	int64_t n_ending;
	uint64_t connections[2]; /* denied, allowed */
	uint64_t bytes[2];       /* sent, received */
} counted;

/* ---- counting ---------------------------------------------------------------------------------------------------- */

void metrics_count_error(enum metrics_error reason)
{
	counted.errors[reason]++;
}

void metrics_count_request(enum metrics_route route, unsigned int status)
{
	if (status < N_STATUSES)
		counted.requests[route][status ? status : STATUS_CLIENT_GONE]++;
}

static enum ending ending_of(const struct execution_report *report)
{
	static const enum ending of_outcomes[] = {
		[AGENT_OK] = SUCCEEDED,          [AGENT_ERROR] = FAILED,
		[AGENT_TIMEOUT] = TIMED_OUT,     [AGENT_INTERRUPTED] = INTERRUPTED,
		[AGENT_LOST] = INTERPRETER_LOST, [AGENT_REFUSED] = REFUSED,
	};

	switch (report->end) {
	case EXECUTION_RAN:
		return of_outcomes[report->outcome];
	case EXECUTION_TIMED_OUT:
		return TIMED_OUT;
	case EXECUTION_NOT_STARTED:
		return NOT_STARTED;
	case EXECUTION_STOPPING:
		return STOPPED;
	default:
		return SESSION_ENDED;
	}
}

const char *metrics_language_name(enum agent_language language)
{
	return language_names[language];
}

const char *metrics_execution_status(const struct execution_report *report)
{
	return ending_names[ending_of(report)];
}

void metrics_count_execution(enum agent_language language, const struct execution_report *report)
{
	enum ending ending = ending_of(report);

	counted.executions[language][ending]++;
	if (report->end != EXECUTION_NOT_STARTED && report->ran_us)
		metrics_histogram_observe(&counted.execution_times[language], report->ran_us);
	if (ending == TIMED_OUT)
		metrics_count_error(METRICS_EXECUTION_TIMEOUT);
	else if (ending == INTERPRETER_LOST)
		metrics_count_error(METRICS_INTERPRETER_LOST);
	else if (ending == NOT_STARTED)
		metrics_count_error(METRICS_ALLOCATION_FAILED);
}

void metrics_observe_allocation(enum session_source source, uint64_t us)
{
	metrics_histogram_observe(&counted.allocations[source], us);
}

void metrics_count_session(enum session_source source)
{
	counted.sessions[source]++;
}

void metrics_count_ending(int change)
{
	counted.n_ending += change;
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

/* What can happen is there from the start, with 0, so that rates see its first time. Requests alone are too many. */
static void put_requests(struct metrics_text *t)
{
	metrics_text_family(t, "hearth_http_requests_total", METRICS_COUNTER,
			    "Requests that were answered, by what they were about; code 499: the client went first.");
	for (unsigned int route = 0; route < METRICS_N_ROUTES; route++) {
		for (unsigned int status = 0; status < N_STATUSES; status++) {
			char code[8];

			if (!counted.requests[route][status])
				continue;
			snprintf(code, sizeof(code), "%u", status);
			metrics_text_sample(t, METRICS_LABELS({ "route", route_names[route] }, { "code", code }),
					    (double)counted.requests[route][status]);
		}
	}
}

static void put_errors(struct metrics_text *t)
{
	metrics_text_family(t, "hearth_errors_total", METRICS_COUNTER, "What was asked for and not done, by reason.");
	for (unsigned int i = 0; i < METRICS_N_ERRORS; i++)
		metrics_text_sample(t, METRICS_LABELS({ "reason", error_names[i] }), (double)counted.errors[i]);
}

static void put_executions(struct metrics_text *t)
{
	metrics_text_family(t, "hearth_executions_total", METRICS_COUNTER,
			    "Executions that are over, by how they ended.");
	for (unsigned int l = AGENT_PYTHON; l < N_LANGUAGES; l++)
		for (unsigned int i = 0; i < N_ENDINGS; i++)
			metrics_text_sample(
				t, METRICS_LABELS({ "language", language_names[l] }, { "status", ending_names[i] }),
				(double)counted.executions[l][i]);
	metrics_text_family(t, "hearth_execution_duration_seconds", METRICS_HISTOGRAM,
			    "How long the code of executions ran.");
	for (unsigned int l = AGENT_PYTHON; l < N_LANGUAGES; l++)
		metrics_text_histogram(t, METRICS_LABELS({ "language", language_names[l] }),
				       &counted.execution_times[l]);
}

static void put_sessions(struct metrics_text *t)
{
	metrics_text_family(t, "hearth_sessions_started_total", METRICS_COUNTER,
			    "Machines that sessions got, by where they came from.");
	for (unsigned int i = SESSION_WARM; i < N_SOURCES; i++)
		metrics_text_sample(t, METRICS_LABELS({ "source", session_source_name((enum session_source)i) }),
				    (double)counted.sessions[i]);
	metrics_text_family(t, "hearth_session_allocation_duration_seconds", METRICS_HISTOGRAM,
			    "How long executions waited for their session's machine, by where it came from.");
	for (unsigned int i = SESSION_WARM; i < N_SOURCES; i++)
		metrics_text_histogram(t, METRICS_LABELS({ "source", session_source_name((enum session_source)i) }),
				       &counted.allocations[i]);
	metrics_text_single(t, "hearth_sessions_ending", METRICS_GAUGE,
			    "Sessions that are over and whose machine is still going, of all pools.",
			    (double)counted.n_ending);
}

void metrics_count_connection(bool is_allowed, uint64_t n_more, uint64_t n_sent, uint64_t n_received)
{
	counted.connections[is_allowed]++;
	counted.connections[0] += n_more;
	counted.bytes[0] += n_sent;
	counted.bytes[1] += n_received;
}

static void put_network(struct metrics_text *t)
{
	static const char *const verdicts[] = { "denied", "allowed" };
	static const char *const directions[] = { "sent", "received" };

	metrics_text_family(t, "hearth_network_connections_total", METRICS_COUNTER,
			    "Connections of sessions that have ended, and those that were denied.");
	for (size_t i = 0; i < 2; i++)
		metrics_text_sample(t, (struct metrics_label[]) { { "verdict", verdicts[i] }, { NULL, NULL } },
				    (double)counted.connections[i]);
	metrics_text_family(t, "hearth_network_bytes_total", METRICS_COUNTER,
			    "Bytes of payload that sessions have sent and received, counted when a connection ends.");
	for (size_t i = 0; i < 2; i++)
		metrics_text_sample(t, (struct metrics_label[]) { { "direction", directions[i] }, { NULL, NULL } },
				    (double)counted.bytes[i]);
}

void metrics_put(struct metrics_text *t)
{
	put_sessions(t);
	put_executions(t);
	put_errors(t);
	put_requests(t);
	put_network(t);
}
