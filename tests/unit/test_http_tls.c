/* Streams over TLS: what is written piece by piece arrives whole, and who hangs up is noticed. */
#include "api/cli/certificate.h"
#include "api/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	N_PIECES = 400,
	PIECE = 20000,
	BACKLOG_MAX = 1 << 20,
};

static uv_loop_t loop;
static uv_timer_t timer;
static struct http_server *server;
static char folder[] = "/tmp/test-http-tls-XXXXXX";
static struct http_request *streaming; /* NULL: none, or its client is gone */
static int n_written, n_gone;

/* ---- the server -------------------------------------------------------------------------------------------------- */

static void begin(void *data, struct http_request *r)
{
	(void)data;
	r->body_max = 1000;
}

static void on_gone(struct http_request *r)
{
	(void)r;
	streaming = NULL;
	n_gone++;
}

static void complete(void *data, struct http_request *r)
{
	(void)data;
	assert_true(r->has_tls);
	r->gone = on_gone;
	streaming = r;
	n_written = 0;
	http_stream_begin(r, 200, "text/plain");
}

/* Now a piece, now a pause, so that the connection is suspended and resumed many times. */
static void on_timer(uv_timer_t *t)
{
	static char piece[PIECE];

	(void)t;
	for (int i = 0; streaming && i < 7 && n_written < N_PIECES; i++) {
		if (http_stream_backlog(streaming) > BACKLOG_MAX)
			return;
		memset(piece, 'a' + n_written % 26, PIECE);
		http_stream_write(streaming, piece, PIECE);
		if (++n_written == N_PIECES) {
			http_stream_end(streaming);
			streaming = NULL;
		}
	}
}

static int set_up(void **state)
{
	static const char *const hosts[] = { "127.0.0.1" };
	const struct http_handler handler = { .begin = begin, .complete = complete };
	struct http_server_settings settings = {
		.listen = "127.0.0.1:0",
		.max_connections = 10,
		.idle_timeout_s = 5,
		.body_budget = 1 << 20,
	};
	struct certificate_order order = { folder, hosts, 1, 1 };
	char certificate[80], key[80];
	struct error err = { 0 };
	struct tls_pair tls;

	(void)state;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(certificate_make(&order, &err), 0);
	snprintf(certificate, sizeof(certificate), "%s/server.pem", folder);
	snprintf(key, sizeof(key), "%s/server-key.pem", folder);
	assert_int_equal(tls_pair_load(&tls, certificate, key, &err), 0);
	settings.tls = &tls;
	uv_loop_init(&loop);
	server = http_server_create(&loop, &settings, &handler, &err);
	tls_pair_fini(&tls); /* the server needs it no more */
	assert_non_null(server);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, on_timer, 1, 2);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "ca.pem", "ca-key.pem", "server.pem", "server-key.pem" };
	char path[80];

	(void)state;
	http_server_destroy(server);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(folder), 0);
	curl_global_cleanup();
	return uv_loop_close(&loop);
}

/* ---- the client, in a thread ------------------------------------------------------------------------------------- */

struct client {
	size_t n_received, stop_after; /* bytes; 0: never */
	bool is_wrong;
	CURLcode result;
	uv_async_t done;
};

static size_t on_data(char *data, size_t one, size_t size, void *context)
{
	struct client *c = context;

	for (size_t i = 0; i < size; i++, c->n_received++)
		c->is_wrong |= data[i] != (char)('a' + c->n_received / PIECE % 26);
	if (c->stop_after && c->n_received >= c->stop_after)
		return 0;
	usleep(200);
	return one * size;
}

static void *run_client(void *context)
{
	struct client *c = context;
	CURL *easy = curl_easy_init();
	char url[128], authority[80];

	snprintf(url, sizeof(url), "https://%s/", http_server_address(server));
	snprintf(authority, sizeof(authority), "%s/ca.pem", folder);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_CAINFO, authority);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
	c->result = curl_easy_perform(easy);
	curl_easy_cleanup(easy);
	uv_async_send(&c->done);
	return NULL;
}

static void on_done(uv_async_t *async)
{
	uv_close((uv_handle_t *)async, NULL);
	uv_stop(&loop);
}

static struct client run(size_t stop_after)
{
	static struct client c;
	pthread_t thread;

	c = (struct client) { .stop_after = stop_after };
	uv_async_init(&loop, &c.done, on_done);
	assert_int_equal(pthread_create(&thread, NULL, run_client, &c), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	return c;
}

static void a_stream_arrives_whole(void **state)
{
	struct client c = run(0);

	(void)state;
	assert_int_equal(c.result, CURLE_OK);
	assert_int_equal(c.n_received, (size_t)N_PIECES * PIECE);
	assert_false(c.is_wrong);
	assert_int_equal(n_gone, 0);
}

static void a_client_that_hangs_up_is_noticed(void **state)
{
	struct client c = run(100000);

	(void)state;
	assert_int_equal(c.result, CURLE_WRITE_ERROR);
	for (int i = 0; i < 2000 && !n_gone; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_int_equal(n_gone, 1);
	assert_null(streaming);
	assert_int_equal(run(0).result, CURLE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_arrives_whole),
		cmocka_unit_test(a_client_that_hangs_up_is_noticed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
