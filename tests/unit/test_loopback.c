/* Connections within the guest: a port where nobody listens, whatever the kernel makes of it. */
#include "guest-agent/loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* A source, and whether it had its event. */
struct watched {
	struct loop_source source;
	bool is_told;
};

static void on_events(struct loop_source *source, uint32_t events)
{
	(void)events;
	((struct watched *)(void *)source)->is_told = true;
}

static int bind_somewhere(struct sockaddr_in *address)
{
	socklen_t size = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	assert_return_code(bind(fd, (struct sockaddr *)address, size), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)address, &size), errno);
	return fd;
}

static int connect_to(uint16_t port)
{
	struct watched watched = { .source = { .fd = -1, .on_events = on_events } };
	int problem;

	assert_int_equal(loopback_connect(&watched.source, port), 0);
	while (!watched.is_told)
		assert_int_equal(loop_turn(), 0);
	problem = loopback_problem(&watched.source);
	loop_close(&watched.source);
	return problem;
}

static void test_somebody_or_nobody_listens(void **state)
{
	struct sockaddr_in address;
	int fd = bind_somewhere(&address);

	(void)state;
	assert_int_equal(connect_to(ntohs(address.sin_port)), ECONNREFUSED);
	assert_return_code(listen(fd, 1), errno);
	assert_int_equal(connect_to(ntohs(address.sin_port)), 0);
	close(fd);
}

/* As happens by chance where the port is one of those that the kernel chooses from. */
static void test_a_socket_that_met_itself_has_found_nobody(void **state)
{
	struct sockaddr_in address;
	struct loop_source source = { .fd = bind_somewhere(&address) };
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_return_code(connect(source.fd, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_int_equal(loopback_problem(&source), ECONNREFUSED);
	loop_close(&source);
	/* And the server can have its port. */
	assert_return_code(bind(server, (struct sockaddr *)&address, sizeof(address)), errno);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_somebody_or_nobody_listens),
		cmocka_unit_test(test_a_socket_that_met_itself_has_found_nobody),
	};

	if (loop_open() < 0)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
