/* The answer of a container on its way to the client; or, after 101, whatever both say. */
#include "api/http_fields.h"
#include "api/ingress_idle.h"
#include "api/proxy_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
	HELD_MAX = 256 << 10, /* bytes of an answer that began before the request was over */
	STALL_MS = 120000,    /* without a sign of the client, while its answer waits for it */
};

/* ---- to the client ----------------------------------------------------------------------------------------------- */

static void on_stall(uv_timer_t *timer)
{
	proxy_fail(timer->data, 504, "ContainerTimedOut", "Nothing moved for too long.");
}

static void add_header(struct http_request *r, const char *name, const char *text,
		       void (*add)(struct http_request *r, const char *name, const char *value))
{
	char *value = strdup(text), *tab = value;

	/* The library drops a header with a tab in its value. */
	while (tab && (tab = strchr(tab, '\t')))
		*tab = ' ';
	if (value)
		add(r, name, value);
	free(value);
}

static void add_headers(struct proxy *p, void (*add)(struct http_request *r, const char *name, const char *value))
{
	struct buffer connection = { 0 };

	for (size_t i = 0; i < p->parser.n_headers; i++) {
		if (strcasecmp(p->parser.headers[i].name, "Connection") != 0)
			continue;
		buffer_put_text(&connection, p->parser.headers[i].value);
		buffer_put_text(&connection, ",");
	}
	buffer_put(&connection, "", 1);
	for (size_t i = 0; connection.data && i < p->parser.n_headers; i++)
		if (proxy_passes_header(p->parser.headers[i].name, connection.data))
			add_header(p->http, p->parser.headers[i].name, p->parser.headers[i].value, add);
	buffer_fini(&connection);
}

static void note_backlog(struct proxy *p)
{
	if (http_stream_backlog(p->http) <= PROXY_BACKLOG_HIGH)
		return;
	ingress_pause(p->ingress, true);
	uv_timer_start(&p->timer, on_stall, STALL_MS, STALL_MS);
}

/* As it is told to the client. The library would end a body of unknown length also where none may be. */
static uint64_t told_length(const struct proxy *p)
{
	bool is_unknown_304 = p->status == 304 && p->length == RESPONSE_LENGTH_UNKNOWN && !p->request.is_to_head;

	return p->status == 204 || is_unknown_304 ? 0 : p->length;
}

void proxy_answer_begin(struct proxy *p)
{
	p->is_streaming = true;
	uv_timer_stop(&p->timer);
	http_stream_begin_sized(p->http, p->status, NULL, told_length(p));
	if (p->held.size)
		http_stream_write(p->http, p->held.data, p->held.size);
	buffer_fini(&p->held);
	ingress_pause(p->ingress, false);
	note_backlog(p);
}

static void on_upgraded(struct http_request *r, int fd, const char *sent, size_t n_sent);

/* 101: only to what the client has offered. */
static void switch_protocols(struct proxy *p, const char *data, size_t size)
{
	const char *upgrade = response_header(&p->parser, "Upgrade");

	if (!p->request.upgrade || !upgrade || !http_list_has(p->request.upgrade, upgrade)) {
		proxy_fail(p, 502, "ContainerAnswerInvalid",
			   "The container switches to a protocol that it was not asked for.");
		return;
	}
	add_headers(p, http_add_header);
	http_add_header(p->http, "Upgrade", upgrade);
	buffer_put(&p->held, data, size);
	ingress_pause(p->ingress, true);
	uv_timer_stop(&p->timer);
	p->is_switching = true;
	http_upgrade(p->http, on_upgraded);
}

/*
 * The library answers when the request is complete, and not before. What comes earlier is held; a whole answer ends the
 * request, whose rest is not passed on.
 */
static void take_head(struct proxy *p)
{
	p->has_head = true;
	p->status = p->parser.status;
	p->length = p->parser.length;
	add_headers(p, http_add_header);
	if (p->is_complete)
		proxy_answer_begin(p);
}

static void take_data(struct proxy *p)
{
	if (p->is_streaming) {
		http_stream_write(p->http, p->parser.data, p->parser.n_data);
		note_backlog(p);
		return;
	}
	buffer_put(&p->held, p->parser.data, p->parser.n_data);
	if (p->held.failed)
		proxy_fail_memory(p);
	else if (p->held.size > HELD_MAX)
		ingress_pause(p->ingress, true);
}

/* `is_clean`: nothing came behind it, and the connection is open. */
static void take_end(struct proxy *p, bool is_clean)
{
	if (!p->is_streaming)
		proxy_answer_begin(p);
	add_headers(p, http_add_trailer);
	http_stream_end(proxy_take_request(p));
	if (is_clean && p->is_sent && p->parser.is_kept_alive && ingress_backlog(p->ingress) == 0) {
		ingress_idle_put(p->service->loop, &p->use, p->ingress);
		p->ingress = NULL;
	}
	proxy_end(p);
}

static void refuse_answer(struct proxy *p)
{
	char message[256];

	snprintf(message, sizeof(message), "The container's answer %s.", p->parser.problem);
	proxy_fail_with_log(p, 502, "ContainerAnswerInvalid", message);
}

/* ---- from the container ------------------------------------------------------------------------------------------ */

void proxy_answer_take(struct proxy *p, const char *data, size_t size)
{
	while (!p->is_closing) {
		switch (response_parser_next(&p->parser, &data, &size)) {
		case RESPONSE_MORE:
			return;
		case RESPONSE_HEAD:
			if (p->parser.status == 101) {
				switch_protocols(p, data, size);
				return;
			}
			take_head(p);
			break;
		case RESPONSE_DATA:
			take_data(p);
			break;
		case RESPONSE_END:
			take_end(p, size == 0);
			return;
		case RESPONSE_INVALID:
			refuse_answer(p);
			return;
		}
	}
}

void proxy_answer_ended(struct proxy *p, bool is_broken)
{
	/* What is read up to the close is complete only if that was one. */
	if (is_broken) {
		p->parser.problem = "ends before it is complete";
		refuse_answer(p);
	} else if (response_parser_close(&p->parser) == RESPONSE_END) {
		take_end(p, false);
	} else {
		refuse_answer(p);
	}
}

void proxy_answer_drained(struct http_request *r)
{
	struct proxy *p = r->owner;

	if (http_stream_backlog(r) >= PROXY_BACKLOG_LOW) {
		if (uv_is_active((uv_handle_t *)&p->timer))
			uv_timer_again(&p->timer);
		return;
	}
	uv_timer_stop(&p->timer);
	ingress_pause(p->ingress, false);
}

/* ---- another protocol -------------------------------------------------------------------------------------------- */

static void on_tunnel_over(void *owner)
{
	struct proxy *p = owner;

	p->tunnel = NULL;
	http_upgrade_end(proxy_take_request(p));
	proxy_end(p);
}

static void on_upgraded(struct http_request *r, int fd, const char *sent, size_t n_sent)
{
	struct proxy *p = r->owner;
	struct buffer held = p->held;

	p->held = (struct buffer) { 0 };
	p->tunnel = tunnel_start(p->service->loop, p->ingress, fd, on_tunnel_over, p);
	if (p->tunnel) {
		struct tunnel *t = p->tunnel;

		p->ingress = NULL;
		tunnel_send_client(t, held.data, held.size);
		tunnel_send_container(t, sent, n_sent);
	} else {
		close(fd);
		on_tunnel_over(p);
	}
	buffer_fini(&held);
}
