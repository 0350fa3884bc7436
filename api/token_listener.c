#include "api/token_listener.h"

#include "api/buffer_read.h"
#include "api/guest_listener.h"
#include "api/identity_request.h"
#include "common/agent_protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

_Static_assert((int)IDENTITY_SECRET_SIZE == (int)AGENT_SECRET_SIZE, "the guest is told what is compared");

enum {
	CALLS_MAX = 4, /* at once; others wait */
	BACKLOG = 16,  /* twice what the agent connects at once */
	CALL_MS = 20 * 1000,
};

struct call {
	struct token_listener *listener; /* NULL once it is closing */
	struct call *next;
	uv_pipe_t peer;
	uv_timer_t timer;
	uv_write_t write;
	int n_open; /* handles that libuv still uses */
	struct buffer in, out;
	struct identity_request asked;
	struct token_request *request;
};

struct token_listener {
	uv_pipe_t pipe;
	struct token_source *source;
	char secret[AGENT_SECRET_SIZE + 1];
	struct call *calls;
	unsigned int n_calls;
	bool is_waiting; /* a connection that was not accepted yet */
};

static void accept_one(struct token_listener *l);

/* ---- one connection ---------------------------------------------------------------------------------------------- */

static void on_call_closed(uv_handle_t *handle)
{
	struct call *c = handle->data;

	if (--c->n_open)
		return;
	buffer_wipe(&c->in);
	buffer_wipe(&c->out);
	free(c);
}

static void end_call(struct call *c)
{
	struct token_listener *l = c->listener;
	struct call **link;

	if (!l)
		return;
	for (link = &l->calls; *link != c; link = &(*link)->next)
		;
	*link = c->next;
	l->n_calls--;
	c->listener = NULL;
	token_request_cancel(c->request);
	uv_close((uv_handle_t *)&c->peer, on_call_closed);
	uv_close((uv_handle_t *)&c->timer, on_call_closed);
	if (l->is_waiting && !uv_is_closing((uv_handle_t *)&l->pipe))
		accept_one(l);
}

static void on_written(uv_write_t *write, int status)
{
	(void)status;
	end_call(write->data);
}

static void send_answer(struct call *c)
{
	uv_buf_t bytes = uv_buf_init(c->out.data, (unsigned int)c->out.size);

	c->write.data = c;
	if (c->out.failed || uv_write(&c->write, (uv_stream_t *)&c->peer, &bytes, 1, on_written) < 0)
		end_call(c);
}

static void on_token(void *data, const char *token, int64_t expires_on, unsigned int status, const char *problem)
{
	struct call *c = data;

	c->request = NULL;
	if (token)
		identity_answer_put_token(&c->out, token, expires_on, c->asked.resource);
	else
		identity_answer_put_problem(&c->out, status, problem);
	send_answer(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct call *c = handle->data;

	(void)suggested;
	*buf = buffer_read_room(&c->in, 2048);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct call *c = stream->data;
	const char *problem;
	unsigned int status;

	(void)buf;
	if (n < 0 || !c->listener) {
		end_call(c);
		return;
	}
	c->in.size += (size_t)n;
	status = identity_request_parse(&c->asked, c->in.data, c->in.size, c->listener->secret, &problem);
	if (status == 0)
		return;
	uv_read_stop(stream);
	if (status == 200) {
		/* It may answer at once, and then the call may be over. */
		struct token_request *request = token_source_get(c->listener->source, c->asked.resource, on_token, c);

		if (request)
			c->request = request;
		return;
	}
	identity_answer_put_problem(&c->out, status, problem);
	send_answer(c);
}

static void on_timeout(uv_timer_t *timer)
{
	end_call(timer->data);
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

static void accept_one(struct token_listener *l)
{
	struct call *c = calloc(1, sizeof(*c));

	l->is_waiting = false;
	if (!c)
		return;
	uv_pipe_init(l->pipe.loop, &c->peer, 0);
	uv_timer_init(l->pipe.loop, &c->timer);
	c->peer.data = c->timer.data = c;
	c->n_open = 2;
	c->listener = l;
	c->next = l->calls;
	l->calls = c;
	l->n_calls++;
	uv_timer_start(&c->timer, on_timeout, CALL_MS, 0);
	if (uv_accept((uv_stream_t *)&l->pipe, (uv_stream_t *)&c->peer) < 0 ||
	    uv_read_start((uv_stream_t *)&c->peer, on_alloc, on_read) < 0)
		end_call(c);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct token_listener *l = stream->data;

	if (status < 0)
		return;
	if (l->n_calls < CALLS_MAX)
		accept_one(l);
	else
		l->is_waiting = true; /* libuv takes no other before this one is accepted */
}

static void make_secret(char secret[AGENT_SECRET_SIZE + 1])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv"; /* 32: five bits each */
	uint8_t random[AGENT_SECRET_SIZE];

	/* 64 bytes never fail once the kernel's generator is seeded, and getrandom() waits for that. */
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		abort();
	for (int i = 0; i < AGENT_SECRET_SIZE; i++)
		secret[i] = digits[random[i] % 32];
	secret[AGENT_SECRET_SIZE] = '\0';
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct token_listener *l = handle->data;

	explicit_bzero(l->secret, sizeof(l->secret));
	free(l);
}

struct token_listener *token_listener_open(uv_loop_t *loop, const char *path, struct token_source *source, int *rc)
{
	struct token_listener *l = calloc(1, sizeof(*l));

	*rc = l ? uv_pipe_init(loop, &l->pipe, 0) : -ENOMEM;
	if (*rc < 0) {
		free(l);
		return NULL;
	}
	l->pipe.data = l;
	l->source = source;
	make_secret(l->secret);
	unlink(path); /* of an earlier hearthd */
	*rc = guest_listener_open(&l->pipe, path, BACKLOG, on_connection);
	if (*rc < 0) {
		token_listener_close(l);
		return NULL;
	}
	return l;
}

const char *token_listener_secret(const struct token_listener *l)
{
	return l->secret;
}

void token_listener_close(struct token_listener *l)
{
	if (!l || uv_is_closing((uv_handle_t *)&l->pipe))
		return;
	uv_close((uv_handle_t *)&l->pipe, on_listener_closed); /* unlinks the path */
	while (l->calls)
		end_call(l->calls);
}
