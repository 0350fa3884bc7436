#include "settle.h"

#include "common/agent_protocol.h"
#include "common/log.h"

#include <stdio.h>
#include <time.h>

enum {
	N_INTERPRETERS = 2,
	LOOK_US = 50 * 1000,
	LOOKS_MAX = 40, /* code of a live session may work in the background for ever */
};

enum settle_state {
	SETTLE_NONE,
	SETTLE_WORKING, /* one interpreter after the other */
	SETTLE_RESTING, /* until no interpreter takes processor time any more */
};

static void on_look(struct loop_timer *timer);

static struct {
	enum settle_state state;
	struct execution_host *host; /* NULL when it is gone */
	uint64_t request;
	uint64_t began_us;
	struct interpreter *interpreters[N_INTERPRETERS];
	int at;           /* the one that is being settled */
	bool has_died;    /* it, once: a second time is an end */
	int looks;        /* while resting */
	uint64_t used_ns; /* processor time of all interpreters at the last look */
} now;

static struct loop_timer look = { .on_expiry = on_look };

static void end(const char *sentence)
{
	loop_timer_stop(&look);
	now.state = SETTLE_NONE;
	if (sentence[0])
		log_warn("not settled: %s", sentence);
	else
		log_info("settled ms=%llu", (unsigned long long)((loop_now_us() - now.began_us) / 1000));
	if (now.host)
		now.host->send(now.host, frame_create_text(AGENT_SETTLED, now.request, sentence));
	now.host = NULL;
}

static uint64_t processor_time_ns(void)
{
	uint64_t sum_ns = 0;

	for (int i = 0; i < N_INTERPRETERS; i++) {
		struct timespec used;
		clockid_t clock;

		if (now.interpreters[i]->pid && clock_getcpuclockid(now.interpreters[i]->pid, &clock) == 0 &&
		    clock_gettime(clock, &used) == 0)
			sum_ns += (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
	}
	return sum_ns;
}

/* Their helper threads (compilers, collectors) end what they do a little later. */
static void on_look(struct loop_timer *timer)
{
	uint64_t used_ns = processor_time_ns();

	if (used_ns == now.used_ns || now.looks == LOOKS_MAX) {
		end("");
		return;
	}
	now.looks++;
	now.used_ns = used_ns;
	loop_timer_start(timer, LOOK_US);
}

static void go_on(void)
{
	struct interpreter *interpreter;

	if (now.at == N_INTERPRETERS) {
		now.state = SETTLE_RESTING;
		now.looks = 0;
		now.used_ns = processor_time_ns();
		loop_timer_start(&look, LOOK_US);
		return;
	}
	interpreter = now.interpreters[now.at];
	if (interpreter->state == INTERPRETER_IDLE)
		interpreter_settle(interpreter);
	else
		interpreter_start(interpreter);
}

void settle_start(struct execution_host *host, uint64_t request, struct interpreter *python, struct interpreter *node)
{
	const char *fault = NULL;

	if (now.state != SETTLE_NONE)
		fault = "the guest is being settled already";
	else if (execution_is_running())
		fault = "an execution is running";
	if (fault) {
		host->send(host, frame_create_text(AGENT_SETTLED, request, fault));
		return;
	}
	now.state = SETTLE_WORKING;
	now.host = host;
	now.request = request;
	now.began_us = loop_now_us();
	now.interpreters[0] = python;
	now.interpreters[1] = node;
	now.at = 0;
	now.has_died = false;
	go_on();
}

void settle_abandon(struct execution_host *host)
{
	if (now.state != SETTLE_NONE && now.host == host)
		now.host = NULL;
}

bool settle_is_running(void)
{
	return now.state != SETTLE_NONE;
}

void settle_on_ready(struct interpreter *interpreter)
{
	if (now.state == SETTLE_WORKING && interpreter == now.interpreters[now.at])
		go_on();
}

void settle_on_settled(struct interpreter *interpreter)
{
	if (now.state != SETTLE_WORKING || interpreter != now.interpreters[now.at])
		return;
	now.at++;
	now.has_died = false;
	go_on();
}

/* An interpreter that was just being ended for an earlier execution may come again; nothing else may. */
void settle_on_death(struct interpreter *interpreter, const char *how)
{
	bool is_present = now.state == SETTLE_WORKING && interpreter == now.interpreters[now.at];
	bool is_before = now.state == SETTLE_RESTING;
	char sentence[256];

	for (int i = 0; now.state == SETTLE_WORKING && i < now.at; i++)
		is_before |= interpreter == now.interpreters[i];
	if (!is_present && !is_before)
		return;
	if (is_present && !interpreter->has_state && !interpreter->failures && !now.has_died) {
		now.has_died = true;
		return;
	}
	snprintf(sentence, sizeof(sentence), "%s: %s", interpreter->name, how);
	end(sentence);
}
