#include "api/agent_file.h"

#include "common/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REQUEST = 1,             /* the only one on its connection */
	BACKLOG_MAX = 256 << 10, /* bytes of a write that the guest has not taken */
	ORDER_PREFIX_MAX = 8,
};

struct agent_file {
	uv_pipe_t pipe;
	uv_connect_t connect;
	const struct agent_file_events *events;
	void *owner;
	struct agent_file_order order; /* its path is not used any more */
	struct write *order_write;     /* the order's frame, until it is sent */
	char answer[32];               /* the VMM's "OK <n>" line */
	size_t n_answer;
	bool is_connected;
	bool is_starved; /* drained() is to be called */
	bool is_paused;
	bool is_closing;
	bool is_over;
	struct agent_frames frames;
	struct agent_file_info info; /* the last one */
	bool has_info;
	uint64_t left; /* of a read: bytes that are still to come */
	uint8_t chunk[64 << 10];
};

struct write {
	uv_write_t request;
	size_t size;
	uint8_t data[];
};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void fail(struct agent_file *f, const char *reason)
{
	if (f->is_closing || f->is_over)
		return;
	f->is_over = true;
	f->events->failed(f->owner, reason);
}

static struct write *new_write(enum agent_frame_type type, size_t size)
{
	struct write *w = malloc(sizeof(*w) + AGENT_HEADER_SIZE + size);

	if (!w)
		return NULL;
	w->size = AGENT_HEADER_SIZE + size;
	agent_header_encode(w->data, type, REQUEST, size);
	return w;
}

static void on_written(uv_write_t *request, int status)
{
	struct agent_file *f = request->handle->data;

	free(request->data);
	if (f->is_closing || f->is_over)
		return;
	if (status < 0) {
		fail(f, "the connection to the agent broke while writing");
	} else if (f->is_starved && f->pipe.write_queue_size < BACKLOG_MAX / 2) {
		f->is_starved = false;
		f->events->drained(f->owner);
	}
}

/* Takes the write over. False if it cannot be sent: the connection's end will be seen. */
static bool send_write(struct agent_file *f, struct write *w)
{
	uv_buf_t buf;

	if (!w)
		return false;
	buf = uv_buf_init((char *)w->data, (unsigned int)w->size);
	w->request.data = w;
	if (uv_write(&w->request, (uv_stream_t *)&f->pipe, &buf, 1, on_written) == 0)
		return true;
	free(w);
	return false;
}

size_t agent_file_write(struct agent_file *f, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	size_t taken = 0;

	if (f->is_over || f->is_closing)
		return size;
	while (f->is_connected && taken < size && f->pipe.write_queue_size < BACKLOG_MAX) {
		size_t n = size - taken < AGENT_FILE_CHUNK_MAX ? size - taken : AGENT_FILE_CHUNK_MAX;
		struct write *w = new_write(AGENT_FILE_DATA, n);

		if (!w)
			break;
		memcpy(w->data + AGENT_HEADER_SIZE, bytes + taken, n);
		if (!send_write(f, w))
			break;
		taken += n;
	}
	f->is_starved = taken < size;
	return taken;
}

void agent_file_commit(struct agent_file *f)
{
	if (!f->is_over && !f->is_closing)
		send_write(f, new_write(AGENT_FILE_COMMIT, 0));
}

/* ---- what the agent says ----------------------------------------------------------------------------------------- */

static int take_info(struct agent_file *f)
{
	bool is_list = f->order.type == AGENT_FILE_LIST;

	if ((f->has_info && !is_list) || f->order.type == AGENT_FILE_DELETE ||
	    agent_file_info_decode(&f->info, f->frames.body, f->frames.size) < 0)
		return -EPROTO;
	f->has_info = true;
	f->left = f->order.type == AGENT_FILE_READ ? f->info.size : 0;
	f->events->info(f->owner, &f->info);
	return 0;
}

static int take_data(struct agent_file *f)
{
	if (f->frames.size > f->left)
		return -EPROTO;
	f->left -= f->frames.size;
	f->events->data(f->owner, f->frames.body, f->frames.size);
	return 0;
}

static int take_done(struct agent_file *f)
{
	char sentence[AGENT_SENTENCE_MAX + 1];
	enum agent_file_status status;
	bool must_tell = f->order.type != AGENT_FILE_LIST && f->order.type != AGENT_FILE_DELETE;

	if (agent_file_done_decode(&status, sentence, f->frames.body, f->frames.size) < 0)
		return -EPROTO;
	/* A file that is read well is read to its end. */
	if ((status == AGENT_FILE_CUT && f->order.type != AGENT_FILE_LIST) ||
	    (status == AGENT_FILE_OK && ((must_tell && !f->has_info) || f->left)))
		return -EPROTO;
	f->is_over = true;
	f->events->done(f->owner, status, sentence);
	return 0;
}

static int take_frame(struct agent_file *f)
{
	if (f->is_over || f->frames.request != REQUEST)
		return -EPROTO;
	switch (f->frames.type) {
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

static void take_frames(struct agent_file *f, const uint8_t *data, size_t size)
{
	while (!f->is_closing && !f->is_over) {
		int rc = agent_frames_feed(&f->frames, &data, &size);

		if (rc == 0)
			return;
		if (rc > 0)
			rc = take_frame(f);
		if (rc < 0)
			fail(f, rc == -ENOMEM ? "out of memory" : "the agent broke the protocol");
	}
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

/* The way to the agent is open: the order goes first. */
static void begin(struct agent_file *f)
{
	struct write *w = f->order_write;

	f->is_connected = true;
	f->order_write = NULL;
	f->is_starved = false;
	if (!send_write(f, w))
		fail(f, "the agent cannot be given orders");
	else if (f->order.type == AGENT_FILE_WRITE)
		f->events->drained(f->owner);
}

/* Takes the VMM's answer to CONNECT; what follows it is the agent's. */
static void take_answer(struct agent_file *f, const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	size_t n = end ? (size_t)(end - data) : size;

	if (n >= sizeof(f->answer) - f->n_answer) {
		fail(f, "the VMM's answer to CONNECT is too long");
		return;
	}
	memcpy(f->answer + f->n_answer, data, n);
	f->n_answer += n;
	if (!end)
		return;
	if (f->n_answer < 3 || memcmp(f->answer, "OK ", 3) != 0) {
		fail(f, "the VMM refused a connection to the agent");
		return;
	}
	begin(f);
	take_frames(f, end + 1, size - n - 1);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct agent_file *f = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)f->chunk, sizeof(f->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct agent_file *f = stream->data;

	if (n < 0)
		fail(f, f->is_connected ? "the agent closed the connection" : "the agent does not listen");
	else if (!f->is_connected)
		take_answer(f, (const uint8_t *)buf->base, (size_t)n);
	else
		take_frames(f, (const uint8_t *)buf->base, (size_t)n);
}

static void on_greeted(uv_write_t *request, int status)
{
	/* A failure shows when the answer is read. */
	(void)status;
	free(request->data);
}

/* Asks the VMM for the agent's port. */
static int greet(struct agent_file *f)
{
	char line[32];
	int length = snprintf(line, sizeof(line), "CONNECT %d\n", AGENT_PORT);
	struct write *w = malloc(sizeof(*w) + (size_t)length);
	uv_buf_t buf;
	int rc;

	if (!w)
		return -ENOMEM;
	memcpy(w->data, line, (size_t)length);
	buf = uv_buf_init((char *)w->data, (unsigned int)length);
	w->request.data = w;
	rc = uv_write(&w->request, (uv_stream_t *)&f->pipe, &buf, 1, on_greeted);
	if (rc < 0)
		free(w);
	return rc;
}

static void on_connect(uv_connect_t *request, int status)
{
	struct agent_file *f = request->data;

	if (status == UV_ECANCELED || f->is_closing)
		return;
	if (status < 0 || greet(f) < 0)
		fail(f, "the VMM's vsock socket cannot be reached");
	else if (uv_read_start((uv_stream_t *)&f->pipe, on_alloc, on_read) < 0)
		fail(f, "the VMM's vsock socket cannot be used");
}

static struct write *encode(const struct agent_file_order *order)
{
	size_t length = strlen(order->path);
	size_t prefix = order->type == AGENT_FILE_LIST || order->type == AGENT_FILE_WRITE ? ORDER_PREFIX_MAX : 0;
	struct write *w = length <= AGENT_FILE_PATH_MAX ? new_write(order->type, prefix + length) : NULL;
	struct bytes b;

	if (!w)
		return NULL;
	b = bytes_over(w->data + AGENT_HEADER_SIZE, prefix + length);
	if (prefix)
		bytes_put_u64(&b, order->type == AGENT_FILE_LIST ? order->is_recursive : order->size_max);
	bytes_put(&b, order->path, length);
	return w;
}

struct agent_file *agent_file_begin(uv_loop_t *loop, const char *path, const struct agent_file_order *order,
				    const struct agent_file_events *events, void *owner, int *rc)
{
	struct agent_file *f = calloc(1, sizeof(*f));

	*rc = f && (f->order_write = encode(order)) ? uv_pipe_init(loop, &f->pipe, 0) : -ENOMEM;
	if (*rc < 0) {
		if (f)
			free(f->order_write);
		free(f);
		return NULL;
	}
	f->order = *order;
	f->order.path = NULL;
	f->events = events;
	f->owner = owner;
	f->pipe.data = f;
	f->connect.data = f;
	uv_pipe_connect(&f->connect, &f->pipe, path, on_connect);
	return f;
}

void agent_file_pause(struct agent_file *f, bool paused)
{
	if (f->is_paused == paused || !f->is_connected || f->is_closing || f->is_over)
		return;
	f->is_paused = paused;
	if (paused)
		uv_read_stop((uv_stream_t *)&f->pipe);
	else
		uv_read_start((uv_stream_t *)&f->pipe, on_alloc, on_read);
}

static void on_closed(uv_handle_t *handle)
{
	struct agent_file *f = handle->data;

	agent_frames_fini(&f->frames);
	free(f->order_write);
	free(f);
}

void agent_file_close(struct agent_file *f)
{
	if (!f || f->is_closing)
		return;
	f->is_closing = true;
	uv_close((uv_handle_t *)&f->pipe, on_closed);
}
