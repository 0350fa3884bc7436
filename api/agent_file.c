#include "api/agent_file.h"

#include "api/agent_connection.h"
#include "common/bytes.h"
#include "common/file_piece.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REQUEST = 1,             /* the only one on its connection */
	BACKLOG_MAX = 256 << 10, /* bytes of a write that the guest has not taken */
};

struct agent_file {
	struct agent_connection connection;
	const struct agent_file_events *events;
	void *owner;
	struct agent_file_order order;   /* its path is not used any more */
	struct agent_write *order_write; /* the order's frame, until it is sent */
	size_t order_size;               /* its bytes */
	bool is_starved;                 /* drained() is to be called */
	bool is_over;
	struct agent_file_info info; /* the last one */
	bool has_info;
	unsigned int n_infos;
	uint64_t left; /* of a read: bytes that are still to come */
};

static void fail(struct agent_file *f, const char *reason, bool broke_protocol)
{
	if (f->connection.is_closing || f->is_over)
		return;
	f->is_over = true;
	f->events->failed(f->owner, reason, broke_protocol);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static struct agent_write *new_write(enum agent_frame_type type, size_t size)
{
	struct agent_write *w = agent_write_new(AGENT_HEADER_SIZE + size);

	if (w)
		agent_header_encode(w->data, type, REQUEST, size);
	return w;
}

static void on_written(void *owner)
{
	struct agent_file *f = owner;

	if (f->is_over || !f->is_starved || agent_connection_backlog(&f->connection) >= BACKLOG_MAX / 2)
		return;
	f->is_starved = false;
	f->events->drained(f->owner);
}

/* Takes the write, of a body of `size` bytes, over. False if it cannot be sent: the connection's end will be seen. */
static bool send_write(struct agent_file *f, struct agent_write *w, size_t size)
{
	return w && agent_connection_send(&f->connection, w, AGENT_HEADER_SIZE + size) == 0;
}

size_t agent_file_write(struct agent_file *f, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	size_t taken = 0;

	if (f->is_over || f->connection.is_closing)
		return size;
	while (f->connection.is_connected && taken < size && agent_connection_backlog(&f->connection) < BACKLOG_MAX) {
		size_t n = size - taken < AGENT_FILE_CHUNK_MAX ? size - taken : AGENT_FILE_CHUNK_MAX;
		struct agent_write *w = new_write(AGENT_FILE_DATA, n);

		if (!w)
			break;
		memcpy(w->data + AGENT_HEADER_SIZE, bytes + taken, n);
		if (!send_write(f, w, n))
			break;
		taken += n;
	}
	f->is_starved = taken < size;
	return taken;
}

void agent_file_commit(struct agent_file *f)
{
	if (!f->is_over && !f->connection.is_closing)
		send_write(f, new_write(AGENT_FILE_COMMIT, 0), 0);
}

/* ---- what the agent says ----------------------------------------------------------------------------------------- */

static int take_info(struct agent_file *f)
{
	bool is_list = f->order.type == AGENT_FILE_LIST;
	uint64_t start;

	if ((f->has_info && !is_list) || f->n_infos++ == AGENT_FILE_ENTRIES_MAX || f->order.type == AGENT_FILE_DELETE ||
	    agent_file_info_decode(&f->info, f->connection.frames.body, f->connection.frames.size) < 0)
		return -EPROTO;
	f->has_info = true;
	f->left = f->order.type == AGENT_FILE_READ ? file_piece(f->info.size, f->order.offset, f->order.length, &start)
						   : 0;
	f->events->info(f->owner, &f->info);
	return 0;
}

static int take_data(struct agent_file *f)
{
	/* Frames of nothing could go on without an end. */
	if (f->connection.frames.size == 0 || f->connection.frames.size > f->left)
		return -EPROTO;
	f->left -= f->connection.frames.size;
	f->events->data(f->owner, f->connection.frames.body, f->connection.frames.size);
	return 0;
}

static int take_done(struct agent_file *f)
{
	char sentence[AGENT_SENTENCE_MAX + 1];
	enum agent_file_status status;
	bool must_tell = f->order.type != AGENT_FILE_LIST && f->order.type != AGENT_FILE_DELETE;

	if (agent_file_done_decode(&status, sentence, f->connection.frames.body, f->connection.frames.size) < 0)
		return -EPROTO;
	/* A file that is read well is read to its end. */
	if ((status == AGENT_FILE_CUT && f->order.type != AGENT_FILE_LIST) ||
	    (status == AGENT_FILE_OK && ((must_tell && !f->has_info) || f->left)))
		return -EPROTO;
	f->is_over = true;
	f->events->done(f->owner, status, sentence);
	return 0;
}

/* What comes after the end is nobody's. */
static int on_frame(void *owner)
{
	struct agent_file *f = owner;

	if (f->is_over)
		return 0;
	if (f->connection.frames.request != REQUEST)
		return -EPROTO;
	switch (f->connection.frames.type) {
	case AGENT_FILE_INFO:
		return take_info(f);
	case AGENT_FILE_DATA:
		return take_data(f);
	case AGENT_FILE_DONE:
		return take_done(f);
	default:
		return -EPROTO;
	}
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

/* The way to the agent is open: the order goes first. */
static void on_connected(void *owner)
{
	struct agent_file *f = owner;
	struct agent_write *w = f->order_write;

	f->order_write = NULL;
	f->is_starved = false;
	if (!send_write(f, w, f->order_size))
		fail(f, "the agent cannot be given orders", false);
	else if (f->order.type == AGENT_FILE_WRITE)
		f->events->drained(f->owner);
}

static void on_failed(void *owner, const char *reason, bool broke_protocol)
{
	fail(owner, reason, broke_protocol);
}

static void on_closed(void *owner)
{
	struct agent_file *f = owner;

	free(f->order_write);
	free(f);
}

static const struct agent_connection_events connection_events = {
	.connected = on_connected,
	.frame = on_frame,
	.written = on_written,
	.failed = on_failed,
	.closed = on_closed,
};

/* Bytes of an order before its path. */
static size_t prefix_of(enum agent_frame_type type)
{
	switch (type) {
	case AGENT_FILE_LIST:
	case AGENT_FILE_WRITE:
		return 8;
	case AGENT_FILE_READ:
		return 16;
	default:
		return 0;
	}
}

/* Makes f->order_write. False if there is no memory, or the path is too long. */
static bool encode(struct agent_file *f)
{
	const struct agent_file_order *order = &f->order;
	size_t length = strlen(order->path);
	struct bytes b;

	f->order_size = prefix_of(order->type) + length;
	f->order_write = length <= AGENT_FILE_PATH_MAX ? new_write(order->type, f->order_size) : NULL;
	if (!f->order_write)
		return false;
	b = bytes_over(f->order_write->data + AGENT_HEADER_SIZE, f->order_size);
	if (order->type == AGENT_FILE_LIST)
		bytes_put_u64(&b, order->is_recursive);
	if (order->type == AGENT_FILE_WRITE)
		bytes_put_u64(&b, order->size_max);
	if (order->type == AGENT_FILE_READ) {
		bytes_put_u64(&b, order->offset);
		bytes_put_u64(&b, order->length);
	}
	bytes_put(&b, order->path, length);
	return true;
}

struct agent_file *agent_file_begin(uv_loop_t *loop, const char *path, const struct agent_file_order *order,
				    const struct agent_file_events *events, void *owner, int *rc)
{
	struct agent_file *f = calloc(1, sizeof(*f));

	if (f)
		f->order = *order;
	if (f && !order->is_part) {
		f->order.offset = 0;
		f->order.length = AGENT_FILE_TO_END;
	}
	*rc = f && encode(f) ? agent_connection_open(&f->connection, loop, path, &connection_events, f) : -ENOMEM;
	if (*rc < 0) {
		if (f)
			free(f->order_write);
		free(f);
		return NULL;
	}
	f->order.path = NULL;
	f->events = events;
	f->owner = owner;
	return f;
}

void agent_file_pause(struct agent_file *f, bool paused)
{
	if (!f->is_over)
		agent_connection_pause(&f->connection, paused);
}

void agent_file_close(struct agent_file *f)
{
	if (f)
		agent_connection_close(&f->connection);
}
