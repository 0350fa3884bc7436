#include "probe.h"

#include "loopback.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	DRAIN_BYTES = 64 << 10, /* of an answer that is not needed, as Kubernetes has a limit too */
	LOOK_AGAIN_US = 20000,  /* a try is one system call for the server's kernel; a start waits for it */
	HTTP_OK_FIRST = 200,
	HTTP_OK_END = 400,
};

static void plan_next(struct probe *probe);

static uint64_t period_us(const struct probe *probe)
{
	return (uint64_t)probe->what->period_ms * 1000;
}

/* The try is over, what the server said included. */
static void end_try(struct probe *probe)
{
	loop_close(&probe->socket);
	loop_timer_stop(&probe->timer);
	probe->is_trying = false;
	if (probe->is_on)
		plan_next(probe);
}

/* Counts the outcome. The connection stays for what the server still says. */
static void judge(struct probe *probe, bool is_good)
{
	uint32_t threshold = is_good ? probe->what->success_threshold : probe->what->failure_threshold;

	probe->is_judged = true;
	probe->in_a_row = probe->in_a_row && is_good == probe->was_good ? probe->in_a_row + 1 : 1;
	probe->was_good = is_good;
	if (probe->in_a_row >= threshold) {
		/* Judged again after each further try, without end. */
		probe->in_a_row = threshold;
		probe->judged(probe, is_good);
	}
}

static void fail(struct probe *probe, const char *how, const char *why)
{
	snprintf(probe->fault, sizeof(probe->fault), "%s%s", how, why);
	judge(probe, false);
	end_try(probe);
}

/* Between those that count, a try that finds nobody is none. */
static void find_nobody(struct probe *probe, int problem)
{
	if (probe->has_met || probe->began_us == probe->counted_us)
		fail(probe, "found nobody: ", strerror(problem));
	else
		end_try(probe);
}

/* ---- HTTP -------------------------------------------------------------------------------------------------------- */

static bool send_request(struct probe *probe)
{
	char request[AGENT_PROBE_TEXT_MAX + 256];
	size_t size = (size_t)snprintf(
		request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: hearth-probe/1\r\nAccept: */*\r\n"
		"Connection: close\r\n",
		probe->what->path, (unsigned)probe->what->port);

	for (uint32_t i = 0; i < probe->what->n_headers && size < sizeof(request); i++)
		size += (size_t)snprintf(request + size, sizeof(request) - size, "%s\r\n", probe->what->headers[i]);
	if (size < sizeof(request))
		size += (size_t)snprintf(request + size, sizeof(request) - size, "\r\n");
	/* It is smaller than the buffer of any fresh connection. */
	return size < sizeof(request) && send(probe->socket.fd, request, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* The status of an answer whose first line begins with it, or 0. */
static unsigned status_of(const char *answer)
{
	unsigned status = 0;

	if (strncmp(answer, "HTTP/1.", 7) != 0 || (answer[7] != '0' && answer[7] != '1') || answer[8] != ' ')
		return 0;
	for (int i = 9; i < 12; i++) {
		if (answer[i] < '0' || answer[i] > '9')
			return 0;
		status = status * 10 + (unsigned)(answer[i] - '0');
	}
	return answer[12] == ' ' || answer[12] == '\r' || answer[12] == '\n' ? status : 0;
}

static void judge_answer(struct probe *probe)
{
	unsigned status = status_of(probe->answer);

	if (status >= HTTP_OK_FIRST && status < HTTP_OK_END) {
		judge(probe, true);
	} else if (status) {
		snprintf(probe->fault, sizeof(probe->fault), "was answered with status %u", status);
		judge(probe, false);
	} else {
		fail(probe, "was not answered in HTTP/1", "");
	}
}

static void receive(struct probe *probe)
{
	static char rest[16 << 10];
	bool needs_more = probe->received < sizeof(probe->answer) - 1;
	char *to = needs_more ? probe->answer + probe->received : rest;
	size_t room = needs_more ? sizeof(probe->answer) - 1 - probe->received : sizeof(rest);
	ssize_t count = recv(probe->socket.fd, to, room, MSG_DONTWAIT);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0 && !probe->is_judged) {
		fail(probe, "was not answered: ", count ? strerror(errno) : "the connection was closed");
		return;
	}
	if (count > 0)
		probe->received += (size_t)count;
	/* "HTTP/1.1 200" and what follows it */
	if (!probe->is_judged && probe->received > 12)
		judge_answer(probe);
	if (probe->is_trying && (count <= 0 || probe->received > DRAIN_BYTES))
		end_try(probe);
}

/* ---- tries ------------------------------------------------------------------------------------------------------- */

static void on_connected(struct probe *probe)
{
	int problem = loopback_problem(&probe->socket);

	if (problem) {
		find_nobody(probe, problem);
		return;
	}
	probe->has_met = true;
	probe->counted_us = probe->began_us;
	if (probe->what->action == AGENT_PROBE_TCP) {
		judge(probe, true);
		end_try(probe);
	} else if (!send_request(probe)) {
		fail(probe, "could not be sent: ", strerror(errno));
	} else {
		loop_watch(&probe->socket, EPOLLIN);
	}
}

static void on_socket(struct loop_source *source, uint32_t events)
{
	struct probe *probe = (struct probe *)(void *)((char *)source - offsetof(struct probe, socket));

	if (source->events == EPOLLOUT)
		on_connected(probe);
	else if (events)
		receive(probe);
}

static void try_once(struct probe *probe)
{
	int result;

	probe->is_trying = true;
	probe->is_judged = false;
	probe->received = 0;
	memset(probe->answer, 0, sizeof(probe->answer));
	probe->began_us = loop_now_us();
	if (probe->has_met || !probe->counted_us || probe->began_us >= probe->counted_us + period_us(probe))
		probe->counted_us = probe->began_us;
	loop_timer_start(&probe->timer, (uint64_t)probe->what->timeout_ms * 1000);
	probe->socket = (struct loop_source) { .fd = -1, .on_events = on_socket };
	result = loopback_connect(&probe->socket, probe->what->port);
	if (result < 0)
		find_nobody(probe, -result);
}

static void on_timer(struct loop_timer *timer)
{
	struct probe *probe = (struct probe *)(void *)((char *)timer - offsetof(struct probe, timer));
	char text[32];

	if (!probe->is_trying) {
		try_once(probe);
	} else if (probe->is_judged) {
		end_try(probe);
	} else {
		snprintf(text, sizeof(text), "%u ms", probe->what->timeout_ms);
		fail(probe, "was not answered within ", text);
	}
}

/* A period after the last try began that counts, or now. */
static void plan_next(struct probe *probe)
{
	uint64_t due_us = probe->counted_us + period_us(probe), now_us = loop_now_us();
	uint64_t soon_us = probe->began_us + LOOK_AGAIN_US;

	if (!probe->has_met && soon_us < due_us)
		due_us = soon_us;
	loop_timer_start(&probe->timer, due_us > now_us ? due_us - now_us : 0);
}

void probe_start(struct probe *probe, uint32_t delay_ms)
{
	probe->is_on = true;
	probe->timer.on_expiry = on_timer;
	loop_timer_start(&probe->timer, (uint64_t)delay_ms * 1000);
}

void probe_stop(struct probe *probe)
{
	probe->is_on = false;
	/* A judged try goes on: a server that is cut off in its answer would complain. */
	if (probe->is_trying && !probe->is_judged)
		end_try(probe);
	else if (!probe->is_trying)
		loop_timer_stop(&probe->timer);
}
