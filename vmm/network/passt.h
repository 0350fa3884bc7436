/* passt, the process that turns TCP packets into the host's sockets: its start, and the stream of frames with it. */
#ifndef HEARTH_NETWORK_PASST_H
#define HEARTH_NETWORK_PASST_H

#include "common/error.h"
#include "common/network_protocol.h"
#include "vmm/jail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PASST_PREFIX_SIZE = 4, /* a frame's size, before it */
	PASST_BUFFER_SIZE = 4 * (PASST_PREFIX_SIZE + NETWORK_FRAME_MAX),
};

struct passt {
	int fd;
	size_t in_begin, in_end;   /* what has come and was not taken yet */
	size_t out_begin, out_end; /* what could not be sent yet */
	uint8_t in[PASST_BUFFER_SIZE];
	uint8_t out[PASST_BUFFER_SIZE];
};

/*
 * Starts it as a child, in the cgroups of `jail` and as its user; for the rest passt jails itself. It ends when this process
 * ends. Negative with *err set.
 */
int passt_start(struct passt *passt, const char *file, const struct jail *jail, struct error *err);

/* Sends the frame, keeps it to be sent, or drops it if there is no room. 0, or negative if passt has ended. */
int passt_send(struct passt *passt, const uint8_t *frame, size_t size);

/* Sends what was kept. 0, or negative if passt has ended. */
int passt_flush(struct passt *passt);

/* Is something kept? Then more should not be sent. */
bool passt_is_behind(const struct passt *passt);

/* Reads what is there. Positive if something was; 0 if nothing; negative if passt has ended. */
int passt_receive(struct passt *passt);

/*
 * The next whole frame, in memory that lasts until the next passt_receive(). 1; 0 if there is none; negative if passt does not
 * keep to its protocol.
 */
int passt_next(struct passt *passt, uint8_t **frame, size_t *size);

#endif
