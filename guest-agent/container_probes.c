#include "container_probes.h"

#include "loop.h"
#include "probe.h"

#include <stdio.h>

enum {
	LISTENING = 0, /* beside the kinds of enum agent_probe_kind */
	N_PROBES = AGENT_PROBE_READINESS + 1,
	LISTENING_MS = 1000, /* a try may take; until somebody listens, a probe looks again much sooner by itself */
};

static struct probe probes[N_PROBES];
static struct agent_probe listening = {
	.action = AGENT_PROBE_TCP,
	.period_ms = LISTENING_MS,
	.timeout_ms = LISTENING_MS,
	.success_threshold = 1,
	.failure_threshold = UINT32_MAX,
};
static const struct container_probes_listener *listener;
static uint64_t started_us;
static bool is_ready;

static const char *name_of(const struct probe *probe)
{
	static const char *const names[N_PROBES] = {
		[LISTENING] = "port",
		[AGENT_PROBE_STARTUP] = "startup",
		[AGENT_PROBE_LIVENESS] = "liveness",
		[AGENT_PROBE_READINESS] = "readiness",
	};

	return names[probe - probes];
}

/* "the liveness probe (GET /health on port 80) was answered with status 500" */
static const char *describe(const struct probe *probe)
{
	static char sentence[480];
	bool is_http = probe->what->action == AGENT_PROBE_HTTP;

	snprintf(sentence, sizeof(sentence), "the %s probe (%s%.128s on port %u) %s", name_of(probe),
		 is_http ? "GET " : "TCP", is_http ? probe->what->path : "", (unsigned)probe->what->port, probe->fault);
	return sentence;
}

/* Initial delays count from the start of the entrypoint. */
static void start(struct probe *probe)
{
	uint64_t passed_ms = (loop_now_us() - started_us) / 1000;

	if (probe->what)
		probe_start(probe, probe->what->initial_delay_ms > passed_ms
					   ? probe->what->initial_delay_ms - (uint32_t)passed_ms
					   : 0);
}

static void become_ready(void)
{
	if (is_ready)
		return;
	is_ready = true;
	listener->ready();
}

static void start_second_ones(void)
{
	bool has_started = probes[AGENT_PROBE_STARTUP].what != NULL;

	start(&probes[AGENT_PROBE_LIVENESS]);
	start(&probes[AGENT_PROBE_READINESS]);
	if (probes[AGENT_PROBE_READINESS].what)
		return;
	if (has_started || listening.port == 0)
		become_ready();
	else
		start(&probes[LISTENING]);
}

static void on_startup(struct probe *probe, bool is_good)
{
	probe_stop(probe);
	if (is_good)
		start_second_ones();
	else
		listener->failed(describe(probe));
}

static void on_liveness(struct probe *probe, bool is_good)
{
	if (is_good)
		return;
	probe_stop(probe);
	listener->failed(describe(probe));
}

static void on_readiness(struct probe *probe, bool is_good)
{
	if (is_good) {
		become_ready();
	} else if (is_ready) {
		is_ready = false;
		listener->unready(describe(probe));
	}
}

static void on_listening(struct probe *probe, bool is_good)
{
	if (!is_good)
		return;
	probe_stop(probe);
	become_ready();
}

void container_probes_start(const struct agent_container *container, const struct container_probes_listener *given)
{
	static void (*const judges[N_PROBES])(struct probe *, bool) = {
		[LISTENING] = on_listening,
		[AGENT_PROBE_STARTUP] = on_startup,
		[AGENT_PROBE_LIVENESS] = on_liveness,
		[AGENT_PROBE_READINESS] = on_readiness,
	};

	listener = given;
	started_us = loop_now_us();
	is_ready = false;
	listening.port = container->target_port;
	for (int i = 0; i < N_PROBES; i++)
		probes[i] = (struct probe) { .socket.fd = -1, .judged = judges[i] };
	probes[LISTENING].what = &listening;
	for (uint32_t i = 0; i < container->n_probes; i++)
		probes[container->probes[i].kind].what = &container->probes[i];
	if (probes[AGENT_PROBE_STARTUP].what)
		start(&probes[AGENT_PROBE_STARTUP]);
	else
		start_second_ones();
}

void container_probes_stop(void)
{
	for (int i = 0; listener && i < N_PROBES; i++)
		probe_stop(&probes[i]);
}
