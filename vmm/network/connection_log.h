/*
 * The log of connections: JSON lines whose fields stand in common/network_protocol.h. What is denied is logged once a minute
 * for each destination, and no more of it than a rate; the rest is counted.
 */
#ifndef HEARTH_NETWORK_CONNECTION_LOG_H
#define HEARTH_NETWORK_CONNECTION_LOG_H

#include "vmm/network/rate.h"
#include "vmm/network/verdict.h"

#include <stddef.h>
#include <stdint.h>

enum {
	LOG_RECENT_MAX = 64, /* denied destinations that are remembered */
	LOG_DENIED_PER_SECOND = 2,
	LOG_DENIED_AT_ONCE = 60,
};

struct log_entry {
	const char *protocol;
	uint32_t destination; /* 0: none */
	uint16_t port;        /* 0: none */
	const char *domain;   /* NULL or "": unknown. Lower case letters, digits and -_. alone */
	uint64_t sent, received;
	int64_t duration_ns;
	struct verdict verdict;
};

struct connection_log {
	int fd;
	struct rate denied;
	uint32_t left_out;
	unsigned next;
	struct log_recent {
		uint64_t key;
		int64_t at_ns;
	} recent[LOG_RECENT_MAX];
};

void connection_log_open(struct connection_log *log, int fd);

/* Of an entry that was denied: unless the same was logged within a minute, or there are too many. */
void connection_log_denied(struct connection_log *log, const struct log_entry *entry, int64_t now_ns);

/* Always: whoever calls this bounds how often. */
void connection_log_write(struct connection_log *log, const struct log_entry *entry);

#endif
