/*
 * Which lines of hearthd's JSON log are wanted. A line that names a wanted session by its identifier also tells the id of
 * it and of its microVM; lines that name only those are then wanted, too.
 */
#ifndef HEARTH_API_CLI_LOG_FILTER_H
#define HEARTH_API_CLI_LOG_FILTER_H

#include "since.h"

#include <jansson.h>
#include <stdbool.h>

enum {
	LOG_FILTER_IDS = 64, /* that are remembered: the latest */
};

struct log_filter {
	const char *pool;     /* NULL: any */
	const char *session;  /* an identifier, or an id of which the log has the first 8 digits; NULL: any */
	bool is_network_only; /* connections */
	char since[SINCE_SIZE];
	char ids[LOG_FILTER_IDS][16];
	unsigned int n_ids;
};

bool log_filter_wants(struct log_filter *f, const json_t *line);

#endif
