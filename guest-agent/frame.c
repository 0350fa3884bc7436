#include "frame.h"

#include "common/agent_protocol.h"
#include "common/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READER_STEP = 64 << 10 }; /* bytes by which a reader's buffer grows at first */

static void write_header(struct frame *frame)
{
	struct bytes header = bytes_over(frame->wire, AGENT_HEADER_SIZE);

	bytes_put_u32(&header, frame->length);
	bytes_put_u16(&header, frame->type);
	bytes_put_u16(&header, 0);
	bytes_put_u64(&header, frame->request);
}

static struct frame *allocate(size_t wire_size)
{
	struct frame *frame = malloc(sizeof(*frame) + wire_size);

	if (!frame)
		return NULL;
	frame->next = NULL;
	frame->wire = (uint8_t *)(frame + 1);
	return frame;
}

struct frame *frame_create(uint16_t type, uint64_t request, uint32_t length)
{
	struct frame *frame = allocate(AGENT_HEADER_SIZE + (size_t)length);

	if (!frame)
		return NULL;
	frame->type = type;
	frame->request = request;
	frame->length = length;
	write_header(frame);
	return frame;
}

struct frame *frame_create_text(uint16_t type, uint64_t request, const char *text)
{
	size_t length = strlen(text);
	struct frame *frame = frame_create(type, request, (uint32_t)length);

	if (frame)
		memcpy(frame_body(frame), text, length);
	return frame;
}

void frame_destroy(struct frame *frame)
{
	free(frame);
}

uint8_t *frame_body(const struct frame *frame)
{
	return frame->wire + AGENT_HEADER_SIZE;
}

void frame_set_request(struct frame *frame, uint64_t request)
{
	frame->request = request;
	write_header(frame);
}

void frame_truncate(struct frame *frame, uint32_t length)
{
	frame->length = length;
	write_header(frame);
}

/* Room for `capacity` bytes of frame; grows the allocation and keeps what is in it. */
static int reserve(struct frame_reader *reader, size_t capacity)
{
	struct frame *grown = realloc(reader->frame, sizeof(*grown) + capacity);

	if (!grown)
		return -ENOMEM;
	grown->wire = (uint8_t *)(grown + 1);
	reader->frame = grown;
	reader->capacity = capacity;
	return 0;
}

/* Makes room for the next bytes of the body: twice what has arrived, at most the whole frame. */
static int grow(struct frame_reader *reader, size_t wire_size)
{
	size_t wanted = reader->received * 2;

	if (reader->received < reader->capacity)
		return 0;
	if (wanted < READER_STEP)
		wanted = READER_STEP;
	return reserve(reader, wanted < wire_size ? wanted : wire_size);
}

static int begin_frame(struct frame_reader *reader)
{
	struct bytes header = bytes_from(reader->header, AGENT_HEADER_SIZE);
	uint32_t length = bytes_get_u32(&header);
	uint16_t type = bytes_get_u16(&header);
	uint16_t flags = bytes_get_u16(&header);

	if (length > AGENT_FRAME_MAX || flags != 0)
		return -EPROTO;
	if (reserve(reader, AGENT_HEADER_SIZE) < 0)
		return -ENOMEM;
	memcpy(reader->frame->wire, reader->header, AGENT_HEADER_SIZE);
	reader->frame->next = NULL;
	reader->frame->length = length;
	reader->frame->type = type;
	reader->frame->request = bytes_get_u64(&header);
	return 0;
}

static ssize_t read_some(int fd, uint8_t *to, size_t size)
{
	ssize_t count = read(fd, to, size);

	if (count > 0)
		return count;
	return count == 0 ? -EPIPE : -errno;
}

int frame_reader_next(struct frame_reader *reader, int fd, struct frame **frame)
{
	for (;;) {
		size_t wire_size = AGENT_HEADER_SIZE;
		uint8_t *to = reader->header;
		ssize_t count;

		if (reader->frame) {
			wire_size += reader->frame->length;
			if (reader->received == wire_size) {
				*frame = reader->frame;
				*reader = (struct frame_reader) { 0 };
				return 1;
			}
			if (grow(reader, wire_size) < 0)
				return -ENOMEM;
			to = reader->frame->wire;
			wire_size = reader->capacity;
		}
		count = read_some(fd, to + reader->received, wire_size - reader->received);
		if (count < 0)
			return count == -EAGAIN || count == -EINTR ? 0 : (int)count;
		reader->received += (size_t)count;
		if (!reader->frame && reader->received == AGENT_HEADER_SIZE) {
			int result = begin_frame(reader);

			if (result < 0)
				return result;
		}
	}
}

void frame_reader_fini(struct frame_reader *reader)
{
	free(reader->frame);
	*reader = (struct frame_reader) { 0 };
}

void outbox_init(struct outbox *outbox)
{
	*outbox = (struct outbox) { .last = &outbox->first };
}

void outbox_fini(struct outbox *outbox)
{
	while (outbox->first) {
		struct frame *frame = outbox->first;

		outbox->first = frame->next;
		frame_destroy(frame);
	}
	outbox_init(outbox);
}

void outbox_push(struct outbox *outbox, struct frame *frame)
{
	if (!frame)
		return;
	frame->next = NULL;
	*outbox->last = frame;
	outbox->last = &frame->next;
	outbox->bytes += AGENT_HEADER_SIZE + frame->length;
}

int outbox_flush(struct outbox *outbox, int fd)
{
	while (outbox->first) {
		struct frame *frame = outbox->first;
		size_t size = AGENT_HEADER_SIZE + frame->length;
		ssize_t count = send(fd, frame->wire + outbox->sent, size - outbox->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (count < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		outbox->sent += (size_t)count;
		outbox->bytes -= (size_t)count;
		if (outbox->sent < size)
			continue;
		outbox->sent = 0;
		outbox->first = frame->next;
		if (!outbox->first)
			outbox->last = &outbox->first;
		frame_destroy(frame);
	}
	return 0;
}
