/*
 * One direction of a connection that is relayed: what comes from a socket goes to another, as it is. Memory is taken only
 * while the one that it goes to does not take it.
 */
#ifndef HEARTH_AGENT_RELAY_H
#define HEARTH_AGENT_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero at first. */
struct relay_direction {
	uint8_t *kept; /* what the other side did not take yet; NULL: nothing */
	size_t size, sent;
	bool has_ended; /* nothing more comes */
	bool is_shut;   /* and the other side has all and was told, or takes no more */
};

/* How a step of a direction went. */
enum relay_step { RELAY_MOVED, RELAY_NOTHING_TO_MOVE, RELAY_SOURCE_BROKE, RELAY_SINK_BROKE, RELAY_NO_MEMORY };

/* Moves what can be moved, but not for so long that others would have no turn; tells `to` of the end once it has all. */
enum relay_step relay_pump(struct relay_direction *direction, int from, int to);

/* What is kept is lost, and nothing more is passed on. */
void relay_give_up(struct relay_direction *direction);

/* The events to watch a socket for that one direction comes from and the other goes to. */
uint32_t relay_wanted(const struct relay_direction *from, const struct relay_direction *to);

#endif
