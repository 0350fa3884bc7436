/* What a host or a driver says, as the agent hears it: frames from a stream, and the bundles in them. */
#include "common/agent_protocol.h"
#include "guest-agent/bundle.h"
#include "guest-agent/frame.h"
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_reader reader = { 0 };
	struct frame *frame;
	int fds[2];

	if (bundle_is_valid(data, size))
		FUZZ_CHECK(size > 2);
	FUZZ_CHECK(utf8_valid_length(data, size) <= size);
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
