#include "vmm/virtio/vsock_flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { GUEST_WINDOW = 4096 };

#define BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

static struct vsock_header from_guest(uint16_t op, uint32_t length)
{
	return (struct vsock_header) {
		.source_cid = VSOCK_GUEST_CID,
		.destination_cid = VSOCK_HOST_CID,
		.source_port = 5000,
		.destination_port = 1025,
		.length = length,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = GUEST_WINDOW,
	};
}

static unsigned receive(struct vsock_flow *flow, uint16_t op, uint32_t length)
{
	const struct vsock_header header = from_guest(op, length);

	return vsock_flow_receive(flow, &header);
}

static unsigned receive_shutdown(struct vsock_flow *flow, uint32_t flags)
{
	struct vsock_header header = from_guest(VIRTIO_VSOCK_OP_SHUTDOWN, 0);

	header.flags = flags;
	return vsock_flow_receive(flow, &header);
}

static void receive_credit(struct vsock_flow *flow, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	struct vsock_header header = from_guest(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);

	header.buf_alloc = buf_alloc;
	header.fwd_cnt = fwd_cnt;
	assert_int_equal(vsock_flow_receive(flow, &header), 0);
}

/* The op of the packet that is due, or -1. */
static int next_op(struct vsock_flow *flow)
{
	struct vsock_header header;

	return vsock_flow_next(flow, &header) ? header.op : -1;
}

static struct vsock_flow accepted(void)
{
	const struct vsock_header request = from_guest(VIRTIO_VSOCK_OP_REQUEST, 0);
	struct vsock_flow flow;

	vsock_flow_accept(&flow, &request);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_RESPONSE);
	return flow;
}

static void send_bytes(struct vsock_flow *flow, uint32_t count)
{
	struct vsock_header header;

	vsock_flow_send(flow, count, &header);
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(header.length, count);
}

static void a_header_survives_the_wire(void **state)
{
	struct vsock_header in = from_guest(VIRTIO_VSOCK_OP_RW, 0x1234), out;
	uint8_t bytes[VSOCK_HEADER_SIZE];

	(void)state;
	in.flags = 0x01020304;
	in.fwd_cnt = 0xfffffff0;
	vsock_header_put(&in, bytes);
	assert_int_equal(bytes[0], VSOCK_GUEST_CID);
	assert_int_equal(bytes[24], 0x34);
	vsock_header_get(&out, bytes);
	assert_memory_equal(&in, &out, offsetof(struct vsock_header, fwd_cnt) + 4);
}

static void a_guest_is_accepted_with_our_window(void **state)
{
	const struct vsock_header request = from_guest(VIRTIO_VSOCK_OP_REQUEST, 0);
	struct vsock_flow flow;
	struct vsock_header header;

	(void)state;
	vsock_flow_accept(&flow, &request);
	assert_true(vsock_flow_next(&flow, &header));
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(header.source_port, 1025);
	assert_int_equal(header.destination_port, 5000);
	assert_int_equal(header.buf_alloc, VSOCK_WINDOW);
	assert_int_equal(next_op(&flow), -1);
	assert_int_equal(vsock_flow_room(&flow), GUEST_WINDOW);
}

static void the_host_asks_and_the_guest_answers(void **state)
{
	struct vsock_flow flow;

	(void)state;
	vsock_flow_request(&flow, 77, 1024);
	assert_int_equal(vsock_flow_room(&flow), 0);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RESPONSE, 0), VSOCK_ACTION_CONNECTED);
	assert_int_equal(flow.state, VSOCK_ESTABLISHED);
	assert_int_equal(vsock_flow_room(&flow), GUEST_WINDOW);
}

static void a_guest_that_refuses_ends_it(void **state)
{
	struct vsock_flow flow;

	(void)state;
	vsock_flow_request(&flow, 77, 1024);
	next_op(&flow);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RST, 0), VSOCK_ACTION_CLOSE);
	assert_int_equal(flow.state, VSOCK_CLOSED);
	assert_int_equal(next_op(&flow), -1);
}

static void an_answer_before_the_question_is_an_error(void **state)
{
	struct vsock_flow flow;

	(void)state;
	vsock_flow_request(&flow, 77, 1024);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RESPONSE, 0), VSOCK_ACTION_CLOSE);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_RST);
	assert_int_equal(flow.state, VSOCK_CLOSED);
}

static void data_instead_of_an_answer_is_an_error(void **state)
{
	struct vsock_flow flow;

	(void)state;
	vsock_flow_request(&flow, 77, 1024);
	next_op(&flow);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, 10), VSOCK_ACTION_CLOSE);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_RST);
}

static void ops_out_of_place_or_unknown_reset_it(void **state)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_INVALID, VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RESPONSE, 8,
					0xffff };

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct vsock_flow flow = accepted();

		assert_int_equal(receive(&flow, ops[i], 0), VSOCK_ACTION_CLOSE);
		assert_int_equal(flow.state, VSOCK_RESETTING);
		assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, 10), 0); /* nothing counts any more */
		assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_RST);
		assert_int_equal(flow.state, VSOCK_CLOSED);
	}
}

static void what_is_sent_uses_up_the_guests_window(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	send_bytes(&flow, 4000);
	assert_int_equal(vsock_flow_room(&flow), 96);
	send_bytes(&flow, 96);
	assert_int_equal(vsock_flow_room(&flow), 0);
	receive_credit(&flow, GUEST_WINDOW, 1000);
	assert_int_equal(vsock_flow_room(&flow), 1000);
}

static void credit_to_the_guest_wraps(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	flow.sent = flow.guest_forwarded = 0xfffffff0;
	send_bytes(&flow, 100);
	assert_int_equal(flow.sent, 84);
	assert_int_equal(vsock_flow_room(&flow), GUEST_WINDOW - 100);
	receive_credit(&flow, GUEST_WINDOW, 84);
	assert_int_equal(vsock_flow_room(&flow), GUEST_WINDOW);
}

static void a_guest_that_lies_about_credit_gets_nothing(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	send_bytes(&flow, 100);
	receive_credit(&flow, GUEST_WINDOW, 101); /* more than it got */
	assert_int_equal(vsock_flow_room(&flow), 0);
	receive_credit(&flow, 99, 0); /* a window smaller than what is in flight */
	assert_int_equal(vsock_flow_room(&flow), 0);
	receive_credit(&flow, 0, 100);
	assert_int_equal(vsock_flow_room(&flow), 0);
	receive_credit(&flow, GUEST_WINDOW, 100);
	assert_int_equal(vsock_flow_room(&flow), GUEST_WINDOW);
}

static void a_starved_sender_asks_once(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	vsock_flow_starved(&flow);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	vsock_flow_starved(&flow);
	assert_int_equal(next_op(&flow), -1);
	receive_credit(&flow, 0, 0);
	vsock_flow_starved(&flow);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_CREDIT_REQUEST);
}

static void data_is_delivered_and_credit_given_back_when_it_was_forwarded(void **state)
{
	struct vsock_flow flow = accepted();
	struct vsock_header header;

	(void)state;
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, VSOCK_WINDOW_UPDATE), VSOCK_ACTION_DELIVER);
	assert_int_equal(vsock_flow_backlog(&flow), VSOCK_WINDOW_UPDATE);
	vsock_flow_forward(&flow, VSOCK_WINDOW_UPDATE - 1);
	assert_int_equal(next_op(&flow), -1);
	vsock_flow_forward(&flow, 1);
	assert_true(vsock_flow_next(&flow, &header));
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(header.fwd_cnt, VSOCK_WINDOW_UPDATE);
}

static void any_packet_carries_the_credit_that_was_due(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	receive(&flow, VIRTIO_VSOCK_OP_RW, VSOCK_WINDOW_UPDATE);
	vsock_flow_forward(&flow, VSOCK_WINDOW_UPDATE);
	send_bytes(&flow, 10);
	assert_int_equal(next_op(&flow), -1);
}

static void a_credit_request_is_answered(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0), 0);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

static void a_guest_may_fill_our_window_but_not_more(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, VSOCK_PAYLOAD_MAX), VSOCK_ACTION_DELIVER);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, VSOCK_WINDOW - VSOCK_PAYLOAD_MAX), VSOCK_ACTION_DELIVER);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, 0), 0);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, 1), VSOCK_ACTION_CLOSE);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_RST);
}

static void counts_from_the_guest_wrap(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	flow.received = flow.forwarded = flow.forwarded_told = 0xffffff00;
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, 0x200), VSOCK_ACTION_DELIVER);
	assert_int_equal(vsock_flow_backlog(&flow), 0x200);
	vsock_flow_forward(&flow, 0x200);
	assert_int_equal(flow.forwarded, 0x100);
	assert_int_equal(vsock_flow_backlog(&flow), 0);
}

static void half_close_by_the_host_end_leaves_the_other_way_open(void **state)
{
	struct vsock_flow flow = accepted();
	struct vsock_header header;

	(void)state;
	vsock_flow_host_done(&flow, VIRTIO_VSOCK_SHUTDOWN_SEND);
	assert_true(vsock_flow_next(&flow, &header));
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(header.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	assert_int_equal(vsock_flow_room(&flow), 0);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, 100), VSOCK_ACTION_DELIVER);

	vsock_flow_host_done(&flow, VIRTIO_VSOCK_SHUTDOWN_SEND); /* nothing new */
	assert_int_equal(next_op(&flow), -1);
	vsock_flow_host_done(&flow, VIRTIO_VSOCK_SHUTDOWN_RCV);
	assert_true(vsock_flow_next(&flow, &header));
	assert_int_equal(header.flags, BOTH);
}

static void half_close_by_the_guest_leaves_the_other_way_open(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	assert_int_equal(receive_shutdown(&flow, VIRTIO_VSOCK_SHUTDOWN_SEND), VSOCK_ACTION_GUEST_DONE);
	assert_int_equal(receive_shutdown(&flow, VIRTIO_VSOCK_SHUTDOWN_SEND), 0);
	assert_int_equal(vsock_flow_room(&flow), GUEST_WINDOW);
	assert_false(vsock_flow_finish(&flow));
	/* It said that it would not. */
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RW, 1), VSOCK_ACTION_CLOSE);
}

static void a_guest_that_will_not_receive_is_sent_nothing(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	receive_shutdown(&flow, VIRTIO_VSOCK_SHUTDOWN_RCV);
	assert_int_equal(vsock_flow_room(&flow), 0);
	vsock_flow_starved(&flow);
	assert_int_equal(next_op(&flow), -1);
}

static void a_closed_connection_ends_when_its_last_bytes_were_forwarded(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	receive(&flow, VIRTIO_VSOCK_OP_RW, 100);
	receive_shutdown(&flow, BOTH);
	assert_false(vsock_flow_finish(&flow));
	vsock_flow_forward(&flow, 100);
	assert_true(vsock_flow_finish(&flow));
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_RST);
	assert_int_equal(flow.state, VSOCK_CLOSED);
}

static void last_bytes_outlive_a_reset_after_a_close(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	receive(&flow, VIRTIO_VSOCK_OP_RW, 100);
	receive_shutdown(&flow, BOTH);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RST, 0), 0);
	assert_int_equal(flow.state, VSOCK_LINGERING);
	assert_int_equal(next_op(&flow), -1);
	vsock_flow_forward(&flow, 100);
	assert_int_equal(next_op(&flow), -1); /* no credit for who is gone */
}

static void a_reset_in_mid_stream_drops_what_waits(void **state)
{
	struct vsock_flow flow = accepted();

	(void)state;
	receive(&flow, VIRTIO_VSOCK_OP_RW, 100);
	assert_int_equal(receive(&flow, VIRTIO_VSOCK_OP_RST, 0), VSOCK_ACTION_CLOSE);
	assert_int_equal(flow.state, VSOCK_CLOSED);
}

static void packets_go_out_in_their_order(void **state)
{
	struct vsock_flow flow;
	const struct vsock_header request = from_guest(VIRTIO_VSOCK_OP_REQUEST, 0);

	(void)state;
	vsock_flow_accept(&flow, &request);
	receive(&flow, VIRTIO_VSOCK_OP_RW, VSOCK_WINDOW_UPDATE);
	vsock_flow_forward(&flow, VSOCK_WINDOW_UPDATE);
	vsock_flow_host_done(&flow, VIRTIO_VSOCK_SHUTDOWN_SEND);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(next_op(&flow), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(next_op(&flow), -1); /* the credit went with the response */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_survives_the_wire),
		cmocka_unit_test(a_guest_is_accepted_with_our_window),
		cmocka_unit_test(the_host_asks_and_the_guest_answers),
		cmocka_unit_test(a_guest_that_refuses_ends_it),
		cmocka_unit_test(an_answer_before_the_question_is_an_error),
		cmocka_unit_test(data_instead_of_an_answer_is_an_error),
		cmocka_unit_test(ops_out_of_place_or_unknown_reset_it),
		cmocka_unit_test(what_is_sent_uses_up_the_guests_window),
		cmocka_unit_test(credit_to_the_guest_wraps),
		cmocka_unit_test(a_guest_that_lies_about_credit_gets_nothing),
		cmocka_unit_test(a_starved_sender_asks_once),
		cmocka_unit_test(data_is_delivered_and_credit_given_back_when_it_was_forwarded),
		cmocka_unit_test(any_packet_carries_the_credit_that_was_due),
		cmocka_unit_test(a_credit_request_is_answered),
		cmocka_unit_test(a_guest_may_fill_our_window_but_not_more),
		cmocka_unit_test(counts_from_the_guest_wrap),
		cmocka_unit_test(half_close_by_the_host_end_leaves_the_other_way_open),
		cmocka_unit_test(half_close_by_the_guest_leaves_the_other_way_open),
		cmocka_unit_test(a_guest_that_will_not_receive_is_sent_nothing),
		cmocka_unit_test(a_closed_connection_ends_when_its_last_bytes_were_forwarded),
		cmocka_unit_test(last_bytes_outlive_a_reset_after_a_close),
		cmocka_unit_test(a_reset_in_mid_stream_drops_what_waits),
		cmocka_unit_test(packets_go_out_in_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
