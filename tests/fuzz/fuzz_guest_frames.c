/* What a host or a driver says, as the agent hears it: frames from a stream, the bundles in them, commands. */
#include "common/agent_protocol.h"
#include "guest-agent/bundle.h"
#include "guest-agent/frame.h"
#include "guest-agent/shell_order.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A command is taken apart by its NULs alone: there are as many as it says, and none beyond. */
static void check_order(const uint8_t *data, size_t size)
{
	struct shell_order order;
	const char *text;

	if (shell_order_decode(&order, data, size))
		return;
	text = order.texts;
	FUZZ_CHECK(order.n_texts >= 1 && order.n_texts <= AGENT_SHELL_ARGUMENTS_MAX);
	for (size_t i = 0; i < order.n_texts; i++)
		text += strlen(text) + 1;
	FUZZ_CHECK(text == (const char *)data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_reader reader = { 0 };
	struct frame *frame;
	int fds[2];

	if (bundle_is_valid(data, size))
		FUZZ_CHECK(size > 2);
	FUZZ_CHECK(utf8_valid_length(data, size) <= size);
	check_order(data, size);
	if (size > 32768 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		return 0;
	FUZZ_CHECK(send(fds[0], data, size, 0) == (ssize_t)size);
	close(fds[0]);
	while (frame_reader_next(&reader, fds[1], &frame) == 1) {
		FUZZ_CHECK(frame->length <= size);
		bundle_is_valid(frame_body(frame), frame->length);
		frame_destroy(frame);
	}
	frame_reader_fini(&reader);
	close(fds[1]);
	return 0;
}
