/* GET metrics: what Prometheus scrapes. Looks at what is in memory and at /proc/self, and waits for nothing. */
#include "api/metrics.h"
#include "api/rest.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- the pools --------------------------------------------------------------------------------------------------- */

/* One family, a sample for each pool. */
struct pool_gauge {
	const char *name;
	const char *help;
	double (*value)(const struct pool *pool, const struct pool_counts *c);
};

#define GAUGE(name, expression)                                                                                        \
	static double name(const struct pool *pool, const struct pool_counts *c)                                       \
	{                                                                                                              \
		(void)pool;                                                                                            \
		(void)c;                                                                                               \
		return (double)(expression);                                                                           \
	}

GAUGE(count_ready, c->n_ready)
GAUGE(count_preparing, c->n_preparing)
GAUGE(count_target, c->target)
GAUGE(count_allocated, c->sessions.n_sessions)
GAUGE(count_max, pool_definition_of(pool)->max_concurrent_sessions)
GAUGE(count_queued, c->sessions.n_queued)
GAUGE(count_memory, (double)c->sessions.memory_mib *(1 << 20))

static const struct pool_gauge gauges[] = {
	{ "hearth_pool_ready_microvms", "Machines that are ready for new sessions.", count_ready },
	{ "hearth_pool_preparing_microvms", "Machines that are being made ready.", count_preparing },
	{ "hearth_pool_ready_target_microvms", "How many ready machines the pool wants now.", count_target },
	{ "hearth_pool_allocated_sessions", "Sessions that count against the pool's maximum.", count_allocated },
	{ "hearth_pool_max_sessions", "The pool's maximum of concurrent sessions.", count_max },
	{ "hearth_pool_queued_executions", "Executions that wait for one before them.", count_queued },
	{ "hearth_pool_assigned_memory_bytes",
	  "Memory that the machines of sessions may use; what they share counts in each.", count_memory },
};

static void put_states(struct metrics_text *t, const struct pools *pools)
{
	metrics_text_family(t, "hearth_pool_sessions", METRICS_GAUGE,
			    "Sessions by state; the cooldown of ready and idle ones runs.");
	for (const struct pool *p = pools_next(pools, NULL); p; p = pools_next(pools, p)) {
		struct sessions_counts c = sessions_count(pool_sessions(p));
		const struct {
			const char *state;
			unsigned int n;
		} states[] = {
			{ "starting", c.n_starting }, { "ready", c.n_ready },   { "busy", c.n_busy },
			{ "idle", c.n_idle },         { "saving", c.n_saving }, { "suspended", c.n_suspended },
		};

		for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
			metrics_text_sample(
				t,
				METRICS_LABELS({ "pool", pool_definition_of(p)->name }, { "state", states[i].state }),
				states[i].n);
	}
}

static void put_pools(struct metrics_text *t, const struct pools *pools)
{
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		metrics_text_family(t, gauges[i].name, METRICS_GAUGE, gauges[i].help);
		for (const struct pool *p = pools_next(pools, NULL); p; p = pools_next(pools, p)) {
			struct pool_counts c = pool_count(p);

			metrics_text_sample(t, METRICS_LABELS({ "pool", pool_definition_of(p)->name }),
					    gauges[i].value(p, &c));
		}
	}
	put_states(t, pools);
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

/* The second number of statm, in pages. */
static double resident_bytes(void)
{
	char text[128] = "";
	FILE *file = fopen("/proc/self/statm", "re");
	const char *space;

	if (!file)
		return 0;
	space = fgets(text, sizeof(text), file) ? strchr(text, ' ') : NULL;
	fclose(file);
	return space ? (double)strtoull(space, NULL, 10) * (double)sysconf(_SC_PAGESIZE) : 0;
}

/* Without the one that it is counted with. */
static double open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	int n = 0;

	if (!folder)
		return 0;
	while ((entry = readdir(folder)))
		n += entry->d_name[0] != '.';
	closedir(folder);
	return n - 1;
}

/* By the names that Prometheus' own client libraries have. */
static void put_process(struct metrics_text *t, const struct service *s)
{
	struct timespec used = { 0 };
	struct rlimit limit = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	getrlimit(RLIMIT_NOFILE, &limit);
	metrics_text_single(t, "process_resident_memory_bytes", METRICS_GAUGE,
			    "Memory of hearthd itself, without the microVMs.", resident_bytes());
	metrics_text_single(t, "process_open_fds", METRICS_GAUGE, "Descriptors that hearthd has open.",
			    open_descriptors());
	metrics_text_single(t, "process_max_fds", METRICS_GAUGE, "Descriptors that it may have open.",
			    (double)limit.rlim_cur);
	metrics_text_single(t, "process_cpu_seconds_total", METRICS_COUNTER, "CPU time that hearthd has used.",
			    (double)used.tv_sec + (double)used.tv_nsec / 1e9);
	metrics_text_single(t, "process_start_time_seconds", METRICS_GAUGE, "When hearthd was started, since 1970.",
			    (double)s->started_ms / 1000);
}

/* ---- the route --------------------------------------------------------------------------------------------------- */

static bool wants_openmetrics(const struct http_request *r)
{
	const char *accept = http_request_header(r, "Accept");

	return accept && strcasestr(accept, "application/openmetrics-text");
}

void rest_metrics_get(struct service *s, struct http_request *r)
{
	struct buffer body = { 0 };
	struct metrics_text t = { .out = &body, .is_openmetrics = wants_openmetrics(r) };

	if (r->pool) {
		rest_error(r, 404, "NotFound", "Metrics are of the whole service: GET /metrics.");
		return;
	}
	metrics_text_family(&t, "hearth_build_info", METRICS_GAUGE, "The version that runs.");
	metrics_text_sample(&t, METRICS_LABELS({ "version", HEARTH_VERSION }), 1);
	/* The stocks are gone when the service stops. */
	if (!s->is_stopping)
		put_pools(&t, s->pools);
	metrics_put(&t);
	put_process(&t, s);
	metrics_text_end(&t);
	http_respond(r, 200,
		     t.is_openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				      : "text/plain; version=0.0.4; charset=utf-8",
		     &body);
}
