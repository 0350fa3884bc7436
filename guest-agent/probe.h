/*
 * A probe of Kubernetes' kind: tries a TCP connection or an HTTP GET on the guest's loopback, again and again, and says
 * when enough tries in a row went one way. Until somebody listens it looks much more often than once a period, so that a
 * long period does not delay a start; what it finds then counts once a period all the same.
 */
#ifndef HEARTH_AGENT_PROBE_H
#define HEARTH_AGENT_PROBE_H

#include "loop.h"
#include "common/agent_container.h"

#include <stdbool.h>
#include <stddef.h>

struct probe {
	/* The caller's, who fills this and the next before probe_start(); the rest is zero then, and the socket not open. */
	const struct agent_probe *what;
	/* As many tries in a row as the threshold says went well, or did not; after each further one, too. */
	void (*judged)(struct probe *probe, bool is_good);

	bool is_on;
	bool is_trying;      /* a try is under way */
	bool is_judged;      /* its outcome is known; what the server still says is read and dropped */
	bool was_good;       /* the last try */
	uint32_t in_a_row;   /* tries that had the same outcome as the last */
	bool has_met;        /* somebody has listened */
	uint64_t began_us;   /* the last try */
	uint64_t counted_us; /* when the last one began that counts whatever comes of it */
	size_t received;
	char answer[64]; /* its first bytes */
	char fault[256]; /* of the last try that was not good: the rest of a sentence that begins with what it was */
	struct loop_source socket;
	struct loop_timer timer; /* the next try, or the end of this one */
};

/* First try after delay_ms. Once: one that was stopped is not started again. */
void probe_start(struct probe *probe, uint32_t delay_ms);

/* No more tries, no more judgements. May be called by judged(), and when it is stopped already. */
void probe_stop(struct probe *probe);

#endif
