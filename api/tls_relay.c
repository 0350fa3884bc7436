#include "api/tls_relay.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RECORD_MAX = 16 << 10, /* of TLS: nothing of a record that was read stays in the session */
	ROUNDS_MAX = 16,       /* before others have their turn */
	LINGER_MS = 10000,     /* for a client that does not take the last bytes, from one to the next */
};

/* What goes one way: bytes that were read and are not written yet. */
struct way {
	char data[RECORD_MAX];
	size_t begin, end;
	bool has_ended; /* nothing more is read */
	bool is_told;   /* … and the other side knows */
};

struct tls_relay {
	uv_poll_t client, plain;
	uv_timer_t timer;
	unsigned int n_open; /* handles */
	int client_fd, plain_fd;
	gnutls_session_t session;
	void (*over)(void *owner);
	void *owner;
	bool is_reading; /* the session's bytes are read by us and not by the library */
	bool is_broken, is_finishing, is_closing;
	struct way up, down; /* from the client, to the client */
};

/* ---- the session ------------------------------------------------------------------------------------------------- */

/* The library goes on to look for bytes in the session. It finds none. */
static ssize_t pull(gnutls_transport_ptr_t context, void *data, size_t size)
{
	struct tls_relay *r = context;

	if (r && r->is_reading)
		return recv(r->client_fd, data, size, 0);
	errno = EAGAIN;
	return -1;
}

static void attach(struct tls_relay *r, struct tls_relay *reader)
{
	gnutls_transport_ptr_t receive, send;

	gnutls_transport_get_ptr2(r->session, &receive, &send);
	gnutls_transport_set_ptr2(r->session, reader, send);
}

static bool is_empty(const struct way *w)
{
	return w->begin == w->end;
}

/* True if it did something, so that there may be more to do. */
static bool read_client(struct tls_relay *r)
{
	struct way *w = &r->up;
	ssize_t n;

	if (!is_empty(w) || w->has_ended)
		return false;
	r->is_reading = true;
	n = gnutls_record_recv(r->session, w->data, sizeof(w->data));
	r->is_reading = false;
	if (n > 0) {
		w->begin = 0;
		w->end = (size_t)n;
	} else if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION) {
		/* Many clients just close: what they wrote before counts, as it does without TLS. */
		w->has_ended = true;
	} else if (gnutls_error_is_fatal((int)n)) {
		r->is_broken = true;
	} else {
		return n != GNUTLS_E_AGAIN;
	}
	return true;
}

static bool write_client(struct tls_relay *r)
{
	struct way *w = &r->down;
	ssize_t n;

	if (is_empty(w) && (!w->has_ended || w->is_told))
		return false;
	if (is_empty(w))
		n = gnutls_bye(r->session, GNUTLS_SHUT_WR);
	else
		n = gnutls_record_send(r->session, w->data + w->begin, w->end - w->begin);
	if (n < 0) {
		r->is_broken = gnutls_error_is_fatal((int)n);
		return n != GNUTLS_E_AGAIN;
	}
	w->is_told = is_empty(w);
	w->begin += (size_t)n;
	return true;
}

/* ---- the plain end ----------------------------------------------------------------------------------------------- */

static bool read_plain(struct tls_relay *r)
{
	struct way *w = &r->down;
	ssize_t n;

	if (!is_empty(w) || w->has_ended)
		return false;
	n = recv(r->plain_fd, w->data, sizeof(w->data), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	w->begin = 0;
	w->end = n > 0 ? (size_t)n : 0;
	w->has_ended = n <= 0;
	return true;
}

static bool write_plain(struct tls_relay *r)
{
	struct way *w = &r->up;
	ssize_t n;

	if (is_empty(w)) {
		if (!w->has_ended || w->is_told)
			return false;
		shutdown(r->plain_fd, SHUT_WR);
		w->is_told = true;
		return true;
	}
	n = send(r->plain_fd, w->data + w->begin, w->end - w->begin, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0) {
		/* Nobody is there who would take it. */
		w->begin = w->end;
		w->has_ended = w->is_told = true;
		return true;
	}
	w->begin += (size_t)n;
	return true;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void dispose(struct tls_relay *r)
{
	close(r->client_fd);
	close(r->plain_fd);
	free(r);
}

static void on_closed(uv_handle_t *handle)
{
	struct tls_relay *r = handle->data;

	if (--r->n_open == 0)
		dispose(r);
}

void tls_relay_kill(struct tls_relay *r)
{
	if (!r || r->is_closing)
		return;
	r->is_closing = true;
	attach(r, NULL);
	uv_close((uv_handle_t *)&r->client, on_closed);
	uv_close((uv_handle_t *)&r->plain, on_closed);
	uv_close((uv_handle_t *)&r->timer, on_closed);
}

static void end(struct tls_relay *r)
{
	void (*over)(void *owner) = r->over;
	void *owner = r->owner;

	tls_relay_kill(r);
	over(owner);
}

static void on_timer(uv_timer_t *timer)
{
	end(timer->data);
}

static bool is_done(const struct tls_relay *r)
{
	return r->is_broken || (r->is_finishing && r->down.is_told);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void wait_for(uv_poll_t *poll, bool readable, bool writable)
{
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

	if (events)
		uv_poll_start(poll, events, on_poll);
	else
		uv_poll_stop(poll);
}

static void wait(struct tls_relay *r)
{
	bool is_full_up = !is_empty(&r->up), is_full_down = !is_empty(&r->down);

	wait_for(&r->client, !is_full_up && !r->up.has_ended, is_full_down || (r->down.has_ended && !r->down.is_told));
	wait_for(&r->plain, !is_full_down && !r->down.has_ended, is_full_up || (r->up.has_ended && !r->up.is_told));
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct tls_relay *r = poll->data;
	bool has_moved = false, moves = true;

	(void)events;
	for (unsigned int n = 0; n < ROUNDS_MAX && moves && !is_done(r); n++) {
		moves = read_client(r);
		moves |= write_plain(r);
		moves |= read_plain(r);
		moves |= write_client(r);
		has_moved |= moves;
	}
	/* Of an error that nothing tells of it would hear for ever. */
	if (is_done(r) || (status < 0 && !has_moved)) {
		end(r);
		return;
	}
	if (r->is_finishing && has_moved)
		uv_timer_again(&r->timer);
	wait(r);
}

void tls_relay_finish(struct tls_relay *r)
{
	if (r->is_closing)
		return;
	r->is_finishing = true;
	r->up.begin = r->up.end;
	r->up.has_ended = r->up.is_told = true;
	uv_timer_start(&r->timer, on_timer, is_done(r) ? 0 : LINGER_MS, LINGER_MS);
	wait(r);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* What the session has decrypted, which the library would take for itself. */
static void take_pending(struct tls_relay *r)
{
	if (gnutls_record_check_pending(r->session))
		read_client(r);
}

static struct tls_relay *create(int socket, int *fd)
{
	struct tls_relay *r = calloc(1, sizeof(*r));
	AUTO_FD int copy = fcntl(socket, F_DUPFD_CLOEXEC, 0);
	int pair[2];

	if (!r || copy < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		free(r);
		return NULL;
	}
	r->client_fd = steal_fd(&copy);
	r->plain_fd = pair[0];
	*fd = pair[1];
	return r;
}

struct tls_relay *tls_relay_start(uv_loop_t *loop, gnutls_session_t session, int socket, int *fd,
				  void (*over)(void *owner), void *owner)
{
	struct tls_relay *r = create(socket, fd);

	if (!r)
		return NULL;
	r->session = session;
	r->over = over;
	r->owner = owner;
	r->client.data = r->plain.data = r->timer.data = r;
	if (uv_poll_init(loop, &r->client, r->client_fd) < 0)
		goto no_client;
	if (uv_poll_init(loop, &r->plain, r->plain_fd) < 0)
		goto no_plain;
	uv_timer_init(loop, &r->timer);
	r->n_open = 3;
	attach(r, r);
	gnutls_transport_set_pull_function(session, pull);
	take_pending(r);
	wait(r);
	return r;
no_plain:
	r->n_open = 1;
	uv_close((uv_handle_t *)&r->client, on_closed);
	close(*fd);
	return NULL;
no_client:
	dispose(r);
	close(*fd);
	return NULL;
}
