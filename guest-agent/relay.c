#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
	PIECE_SIZE = 32 << 10,
	PIECES_AT_ONCE = 8, /* of one direction, before others have their turn */
};

static void drop_kept(struct relay_direction *d)
{
	free(d->kept);
	d->kept = NULL;
}

/* The number of bytes that were sent, 0 if there is no room now, or negative if the connection broke. */
static ssize_t send_some(int fd, const uint8_t *data, size_t size)
{
	ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static enum relay_step send_kept(struct relay_direction *d, int to)
{
	ssize_t n = send_some(to, d->kept + d->sent, d->size - d->sent);

	if (n < 0)
		return RELAY_SINK_BROKE;
	d->sent += (size_t)n;
	if (d->sent < d->size)
		return RELAY_NOTHING_TO_MOVE;
	drop_kept(d);
	return RELAY_MOVED;
}

static enum relay_step keep(struct relay_direction *d, const uint8_t *data, size_t size)
{
	d->kept = malloc(size);
	if (!d->kept)
		return RELAY_NO_MEMORY;
	memcpy(d->kept, data, size);
	d->size = size;
	d->sent = 0;
	return RELAY_MOVED;
}

static enum relay_step pass_piece(struct relay_direction *d, int from, int to)
{
	static uint8_t piece[PIECE_SIZE];
	ssize_t size = recv(from, piece, sizeof(piece), MSG_DONTWAIT), sent;

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? RELAY_NOTHING_TO_MOVE : RELAY_SOURCE_BROKE;
	d->has_ended = size == 0;
	sent = size ? send_some(to, piece, (size_t)size) : 0;
	if (sent < 0)
		return RELAY_SINK_BROKE;
	return sent < size ? keep(d, piece + sent, (size_t)(size - sent)) : RELAY_MOVED;
}

enum relay_step relay_pump(struct relay_direction *d, int from, int to)
{
	enum relay_step step = d->kept ? send_kept(d, to) : RELAY_MOVED;

	for (int i = 0; i < PIECES_AT_ONCE && step == RELAY_MOVED && !d->kept && !d->has_ended; i++)
		step = pass_piece(d, from, to);
	if (d->has_ended && !d->kept && !d->is_shut) {
		d->is_shut = true;
		shutdown(to, SHUT_WR);
	}
	return step;
}

void relay_give_up(struct relay_direction *d)
{
	drop_kept(d);
	d->has_ended = d->is_shut = true;
}

uint32_t relay_wanted(const struct relay_direction *from, const struct relay_direction *to)
{
	return (!from->kept && !from->has_ended ? (uint32_t)EPOLLIN : 0) | (to->kept ? (uint32_t)EPOLLOUT : 0);
}
