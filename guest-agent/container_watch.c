#include "container_watch.h"

#include "common/bytes.h"

#include <stdio.h>
#include <string.h>

enum {
	WAITING_MAX = 64 << 10, /* bytes that are on their way to one host */
	STATE_HEADER_SIZE = 8,
	EXITED_HEADER_SIZE = 16,
};

static enum agent_container_state state;
static char state_sentence[512];
static struct container_log output;
static const struct container_exit *container_end;
static struct container_watch *watches;

static struct frame *make_state(uint64_t request)
{
	size_t length = strlen(state_sentence);
	struct frame *frame = frame_create(AGENT_CONTAINER_STATE, request, (uint32_t)(STATE_HEADER_SIZE + length));

	if (!frame)
		return NULL;
	memset(frame_body(frame), 0, STATE_HEADER_SIZE);
	frame_body(frame)[0] = (uint8_t)state;
	memcpy(frame_body(frame) + STATE_HEADER_SIZE, state_sentence, length);
	return frame;
}

static struct frame *make_exited(uint64_t request)
{
	size_t length = strlen(container_end->sentence);
	struct frame *frame = frame_create(AGENT_CONTAINER_EXITED, request, (uint32_t)(EXITED_HEADER_SIZE + length));
	struct bytes b;

	if (!frame)
		return NULL;
	b = bytes_over(frame_body(frame), frame->length);
	bytes_put_u32(&b, container_end->status);
	bytes_put_u32(&b, container_end->signal);
	bytes_put_u64(&b, container_end->ran_us);
	bytes_put(&b, container_end->sentence, length);
	return frame;
}

static struct frame *make_dropped(uint64_t request, uint64_t count)
{
	struct frame *frame = frame_create(AGENT_CONTAINER_DROPPED, request, sizeof(count));
	struct bytes b;

	if (!frame)
		return NULL;
	b = bytes_over(frame_body(frame), frame->length);
	bytes_put_u64(&b, count);
	return frame;
}

static void send_output(struct container_watch *watch)
{
	enum output_stream stream = OUTPUT_STDOUT;
	struct frame *frame = frame_create(AGENT_STDOUT, watch->request, AGENT_STREAM_CHUNK_MAX);
	size_t size;

	if (!frame)
		return;
	size = container_log_read(&output, &watch->reader, &stream, frame_body(frame), AGENT_STREAM_CHUNK_MAX);
	frame->type = stream == OUTPUT_STDERR ? AGENT_STDERR : AGENT_STDOUT;
	frame_truncate(frame, (uint32_t)size);
	watch->host->send(watch->host, frame);
}

static bool is_full(const struct container_watch *watch)
{
	return watch->host->waiting(watch->host) >= WAITING_MAX;
}

static bool end_is_due(const struct container_watch *watch)
{
	return container_end && !watch->end_is_told;
}

bool container_watch_has_more(const struct container_watch *watch)
{
	return watch->host &&
	       (watch->state_is_due || container_log_has_more(&output, &watch->reader) || end_is_due(watch));
}

/* A state that a host does not take is replaced by the one after it. */
static void send_state(struct container_watch *watch)
{
	watch->state_is_due = is_full(watch);
	if (!watch->state_is_due)
		watch->host->send(watch->host, make_state(watch->request));
}

void container_watch_go_on(struct container_watch *watch)
{
	if (!watch->host)
		return;
	if (watch->state_is_due)
		send_state(watch);
	while (container_log_has_more(&output, &watch->reader)) {
		uint64_t lost;

		if (is_full(watch))
			return;
		lost = container_log_skip_lost(&output, &watch->reader);
		if (lost)
			watch->host->send(watch->host, make_dropped(watch->request, lost));
		send_output(watch);
	}
	if (end_is_due(watch) && !watch->state_is_due) {
		watch->end_is_told = true;
		watch->host->send(watch->host, make_exited(watch->request));
	}
}

void container_watch_all_go_on(void)
{
	for (struct container_watch *watch = watches; watch; watch = watch->next)
		container_watch_go_on(watch);
}

void container_watch_log(enum output_stream stream, const uint8_t *data, size_t size)
{
	container_log_append(&output, stream, data, size);
}

void container_watch_tell_state(enum agent_container_state next, const char *sentence)
{
	state = next;
	snprintf(state_sentence, sizeof(state_sentence), "%s", sentence);
	for (struct container_watch *watch = watches; watch; watch = watch->next)
		send_state(watch);
}

void container_watch_answer(struct execution_host *host, uint64_t request)
{
	host->send(host, make_state(request));
}

void container_watch_tell_exit(const struct container_exit *end)
{
	container_end = end;
	container_watch_all_go_on();
}

void container_watch_detach(struct container_watch *watch)
{
	for (struct container_watch **link = &watches; *link; link = &(*link)->next)
		if (*link == watch) {
			*link = watch->next;
			break;
		}
	*watch = (struct container_watch) { 0 };
}

void container_watch_attach(struct container_watch *watch, struct execution_host *host, uint64_t request)
{
	container_watch_detach(watch);
	*watch = (struct container_watch) { .next = watches, .host = host, .request = request };
	watches = watch;
}
