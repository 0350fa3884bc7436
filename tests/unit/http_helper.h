/*
 * hearthd's REST surface over a real connection, for tests: server, router, pools and their store. MicroVMs cannot start
 * here (the VMM is /bin/false): what a microVM does is for the end-to-end tests.
 */
#ifndef HEARTH_TESTS_UNIT_HTTP_HELPER_H
#define HEARTH_TESTS_UNIT_HTTP_HELPER_H

#include "api/http_server.h"
#include "api/router.h"
#include "api/stored_pools.h"
#include "api/timestamp.h"
#include "api/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN      "0123456789abcdef"
#define AUTHORIZED "Authorization: Bearer " TOKEN "\r\n"

static uv_loop_t loop;
static struct microvm_host host;
static struct service service;
static struct http_server *server;
static char folder[] = "/tmp/test-http-XXXXXX";
static char paths[3][64];
enum { RUNTIME, TEMPLATES, DATABASE };

static char answer[512 << 10];
static size_t n_answer;

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static inline int connect_to_server(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons((uint16_t)atoi(strrchr(http_server_address(server), ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static inline void run_loop_for(unsigned int rounds)
{
	while (rounds--) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

/* Sends bytes while the loop runs, since the server reads only then. */
static inline void send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		uv_run(&loop, UV_RUN_NOWAIT);
		if (n < 0)
			continue;
		data += n;
		size -= (size_t)n;
	}
}

/* True once the answer's headers and as many bytes as Content-Length says are there. */
static inline bool is_complete(void)
{
	const char *end = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "\r\nContent-Length: ");

	return end && (!length || strlen(end + 4) >= strtoul(length + 18, NULL, 10));
}

static inline void receive(int fd)
{
	n_answer = 0;
	answer[0] = '\0';
	for (int i = 0; i < 5000 && !is_complete(); i++) {
		ssize_t n = recv(fd, answer + n_answer, sizeof(answer) - 1 - n_answer, MSG_DONTWAIT);

		if (n == 0)
			return;
		if (n > 0)
			answer[n_answer += (size_t)n] = '\0';
		uv_run(&loop, UV_RUN_NOWAIT);
		if (n < 0 && i > 20)
			usleep(1000);
	}
}

/* Sends a whole request on a connection of its own; `answer` holds what came back. Returns its status. */
static inline int ask(const char *request)
{
	int fd = connect_to_server();

	send_all(fd, request, strlen(request));
	receive(fd);
	close(fd);
	run_loop_for(5);
	return n_answer > 12 ? atoi(answer + 9) : 0;
}

static inline int request(const char *method, const char *target, const char *headers, const char *body)
{
	static char text[64 << 10];

	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: here:1\r\n%sContent-Length: %zu\r\n\r\n%s", method,
		 target, headers, strlen(body), body);
	return ask(text);
}

static inline void check_has(const char *part)
{
	if (!strstr(answer, part))
		fail_msg("\"%s\" is not in \"%s\"", part, answer);
}

static inline void check_has_not(const char *part)
{
	if (strstr(answer, part))
		fail_msg("\"%s\" is in \"%s\"", part, answer);
}

/* ---- the service ------------------------------------------------------------------------------------------------- */

static inline void on_templates_changed(void *data)
{
	(void)data;
}

static inline void start_pools(void)
{
	const struct usage_settings usage = { .interval_ms = 60000 };
	struct pools_settings settings = {
		.sessions = { .max_queued = 4, .start_grace_ms = 1000, .answer_grace_ms = 1000, .used = usage_take },
		.refill_concurrency = 1,
	};
	struct pool_definition standard = pool_definition_default(POOL_DEFAULT_NAME);
	struct error err = { 0 };

	service.store = pool_store_open(paths[DATABASE], &err);
	assert_non_null(service.store);
	service.usage_store = usage_store_open(paths[DATABASE], &err);
	assert_non_null(service.usage_store);
	service.usage = usage_create(&loop, service.usage_store, &usage);
	assert_non_null(service.usage);
	settings.sessions.used_data = service.usage;
	service.auth.keys = api_keys_open(paths[DATABASE], &err);
	assert_non_null(service.auth.keys);
	service.mcp_keys = mcp_keys_open(paths[DATABASE], &service.auth, &err);
	assert_non_null(service.mcp_keys);
	service.templates = templates_create(&host, paths[TEMPLATES], on_templates_changed, NULL, &err);
	assert_non_null(service.templates);
	service.pools = pools_create(&host, service.templates, &settings);
	assert_non_null(service.pools);
	standard.max_concurrent_sessions = 2;
	standard.ready_session_instances = 0;
	assert_int_equal(stored_pools_start(service.pools, service.store, &standard, &err), 0);
	pools_adopt(service.pools);
	usage_watch(service.usage, service.pools);
}

static inline int set_up(void **state)
{
	static const char *const names[] = { "run", "templates", "hearth.db" };
	const struct http_handler handler = { router_begin, router_complete, router_over, &service };
	const struct http_server_settings http = {
		.listen = "127.0.0.1:0",
		.max_connections = 50,
		.idle_timeout_s = 1,
		.body_budget = 64 << 20,
	};
	struct error err;

	(void)state;
	uv_loop_init(&loop);
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < 3; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, names[i]);
	assert_int_equal(mkdir(paths[RUNTIME], 0700), 0);
	host = (struct microvm_host) {
		.loop = &loop,
		.runtime_directory = paths[RUNTIME],
		.vmm = "/bin/false",
		.kernel = "k",
		.image = "i",
		.kernel_arguments = "",
		.boot_timeout_ms = 5000,
	};
	service = (struct service) {
		.loop = &loop,
		.pool_limits = { .min_cooldown_s = POOL_COOLDOWN_MIN_S },
		.default_timeout_s = 1,
		.max_timeout_s = 2,
		.output_limit = 4096,
		.file_size_max = 1 << 20,
		.started_ms = timestamp_now_ms(),
	};
	strcpy(service.auth.token, TOKEN);
	service.auth.token_size = strlen(TOKEN);
	start_pools();
	server = http_server_create(&loop, &http, &handler, &err);
	return server ? 0 : -1;
}

static inline int tear_down(void **state)
{
	static const char *const left[] = { "templates/user", "templates", "run" }; /* and nothing in them */
	char path[80];

	(void)state;
	pools_stop(service.pools);
	http_server_destroy(server);
	usage_destroy(service.usage);
	uv_run(&loop, UV_RUN_DEFAULT);
	pools_destroy(service.pools);
	templates_destroy(service.templates);
	usage_store_close(service.usage_store);
	mcp_keys_close(service.mcp_keys);
	api_keys_close(service.auth.keys);
	pool_store_close(service.store);
	assert_int_equal(uv_loop_close(&loop), 0);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, left[i]);
		assert_int_equal(rmdir(path), 0);
	}
	assert_int_equal(unlink(paths[DATABASE]), 0);
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

#endif
