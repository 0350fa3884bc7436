#include "vmm/network/connection_log.h"
#include "vmm/network/flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

static struct flows flows;
static const int64_t second = 1000000000;

static void a_full_table_takes_no_more(void **state)
{
	struct flow *flow;

	(void)state;
	memset(&flows, 0, sizeof(flows));
	for (unsigned i = 0; i < FLOWS_UDP_MAX; i++)
		assert_non_null(flows_add(&flows, PROTOCOL_UDP, (uint16_t)i, 1, 53, 0));
	assert_null(flows_add(&flows, PROTOCOL_UDP, 9999, 1, 53, 0));
	for (unsigned i = 0; i < FLOWS_MAX - FLOWS_UDP_MAX; i++)
		assert_non_null(flows_add(&flows, PROTOCOL_TCP, (uint16_t)i, i % 3, 80, 0));
	assert_null(flows_add(&flows, PROTOCOL_TCP, 9999, 1, 53, 0));
	for (unsigned i = 0; i < FLOWS_MAX - FLOWS_UDP_MAX; i++) {
		flow = flows_find(&flows, PROTOCOL_TCP, (uint16_t)i, i % 3, 80);
		assert_non_null(flow);
		assert_int_equal(flow->port, i);
		flows_remove(&flows, flow);
		assert_null(flows_find(&flows, PROTOCOL_TCP, (uint16_t)i, i % 3, 80));
	}
	assert_int_equal(flows.n, FLOWS_UDP_MAX);
	assert_non_null(flows_add(&flows, PROTOCOL_TCP, 9999, 1, 53, 0));
	assert_int_equal(flows.n_used, FLOWS_MAX); /* places are taken again */
}

static void flows_end_when_nothing_happens(void **state)
{
	struct flow tcp = { .protocol = PROTOCOL_TCP }, udp = { .protocol = PROTOCOL_UDP };

	(void)state;
	assert_false(flow_is_over(&udp, 60 * second));
	assert_true(flow_is_over(&udp, 61 * second));
	assert_true(flow_is_over(&tcp, 131 * second));
	tcp.is_established = true;
	assert_false(flow_is_over(&tcp, 7200 * second));
	tcp.has_peer_ended = true;
	assert_true(flow_is_over(&tcp, 301 * second));
	tcp.has_guest_ended = true;
	assert_true(flow_is_over(&tcp, 6 * second));
}

static size_t read_lines(int fd, char *text, size_t size, unsigned *n)
{
	const ssize_t got = read(fd, text, size - 1);

	*n = 0;
	text[got > 0 ? got : 0] = '\0';
	for (const char *c = text; *c; c++)
		*n += *c == '\n';
	return strlen(text);
}

static void the_log_leaves_out_and_counts(void **state)
{
	struct log_entry entry = { .protocol = "tcp",
				   .destination = 0x01020304,
				   .port = 80,
				   .domain = "a.example",
				   .verdict = denied(REASON_PRIVATE) };
	struct connection_log log;
	static char text[65536];
	unsigned n;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	connection_log_open(&log, ends[1]);
	for (int i = 0; i < 5; i++)
		connection_log_denied(&log, &entry, second);
	read_lines(ends[0], text, sizeof(text), &n);
	assert_int_equal(n, 1);
	assert_non_null(strstr(
		text,
		"\"protocol\":\"tcp\",\"destination\":\"1.2.3.4\",\"port\":80,\"domain\":\"a.example\",\"sent\":0,"
		"\"received\":0,\"seconds\":0.000,\"verdict\":\"denied\",\"reason\":\"private\"}\n"));
	for (uint16_t i = 100; i < 1100; i++) {
		entry.port = i;
		connection_log_denied(&log, &entry, second);
	}
	read_lines(ends[0], text, sizeof(text), &n);
	assert_int_equal(n, LOG_DENIED_AT_ONCE - 1);
	assert_non_null(strstr(text, "\"left_out\":4}"));
	entry.verdict = allowed(REASON_DEFAULT);
	connection_log_write(&log, &entry);
	read_lines(ends[0], text, sizeof(text), &n);
	assert_non_null(strstr(text, "\"left_out\":941}"));
	close(ends[0]);
	close(ends[1]);
}

static void each_reason_has_a_word(void **state)
{
	(void)state;
	for (enum reason reason = 0; reason < REASON_COUNT; reason++)
		assert_non_null(reason_name(reason));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_table_takes_no_more),
		cmocka_unit_test(flows_end_when_nothing_happens),
		cmocka_unit_test(each_reason_has_a_word),
		cmocka_unit_test(the_log_leaves_out_and_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
