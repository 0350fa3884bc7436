#include "api/agent_frames.h"

#include "common/agent_container.h"
#include "common/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FILE_INFO_PREFIX = 24, /* bytes of the body before the path */
};

/* The longest body that the host takes of each type; 0 for what an agent does not send. */
static size_t longest_body(uint16_t type)
{
	switch (type) {
	case AGENT_READY:
	case AGENT_STARTED:
		return 64;
	case AGENT_STDOUT:
	case AGENT_STDERR:
		return AGENT_STREAM_CHUNK_MAX;
	case AGENT_DISPLAY:
	case AGENT_RESULT:
		return AGENT_FRAME_MAX;
	case AGENT_DONE:
	case AGENT_SETTLED:
	case AGENT_ADOPTED:
	case AGENT_FILE_DONE:
	case AGENT_CONTAINER_STATE:
	case AGENT_CONTAINER_REFUSED:
	case AGENT_CONTAINER_EXITED:
		return 64 << 10;
	case AGENT_CONTAINER_DROPPED:
		return 8;
	case AGENT_FILE_INFO:
		return FILE_INFO_PREFIX + AGENT_FILE_PATH_MAX;
	case AGENT_FILE_DATA:
		return AGENT_FILE_CHUNK_MAX;
	default:
		return 0;
	}
}

static int begin_body(struct agent_frames *f)
{
	struct bytes b = bytes_from(f->header, sizeof(f->header));

	f->size = bytes_get_u32(&b);
	f->type = bytes_get_u16(&b);
	if (bytes_get_u16(&b) != 0)
		return -EPROTO;
	f->request = bytes_get_u64(&b);
	if (longest_body(f->type) == 0 || f->size > longest_body(f->type))
		return -EPROTO;
	f->n_body = 0;
	f->body = malloc(f->size ? f->size : 1);
	return f->body ? 0 : -ENOMEM;
}

static size_t take(uint8_t *to, size_t wanted, const uint8_t **data, size_t *size)
{
	size_t n = wanted < *size ? wanted : *size;

	if (n)
		memcpy(to, *data, n);
	*data += n;
	*size -= n;
	return n;
}

int agent_frames_feed(struct agent_frames *f, const uint8_t **data, size_t *size)
{
	int rc;

	if (f->body && f->n_body == f->size)
		agent_frames_fini(f);
	if (!f->body) {
		f->n_header += take(f->header + f->n_header, sizeof(f->header) - f->n_header, data, size);
		if (f->n_header < sizeof(f->header))
			return 0;
		rc = begin_body(f);
		if (rc < 0)
			return rc;
	}
	f->n_body += take(f->body + f->n_body, f->size - f->n_body, data, size);
	return f->n_body == f->size ? 1 : 0;
}

void agent_frames_fini(struct agent_frames *f)
{
	free(f->body);
	*f = (struct agent_frames) { 0 };
}

int agent_ready_decode(struct agent_ready *ready, const void *body, size_t size)
{
	struct bytes b = bytes_from(body, size);
	uint32_t version = bytes_get_u32(&b);

	ready->began_us = bytes_get_u64(&b);
	ready->listens_us = bytes_get_u64(&b);
	if (b.failed || bytes_left(&b) || ready->listens_us < ready->began_us)
		return -EPROTO;
	return version == AGENT_PROTOCOL_VERSION ? 0 : -EPROTONOSUPPORT;
}

int agent_done_decode(struct agent_done *done, const void *body, size_t size)
{
	struct bytes b = bytes_from(body, size);
	uint8_t outcome = bytes_get_u8(&b);
	uint8_t state_lost = bytes_get_u8(&b);
	uint16_t exit_status = bytes_get_u16(&b);
	size_t length;

	done->ran_us = bytes_get_u64(&b);
	done->stdout_cut_bytes = bytes_get_u64(&b);
	done->stderr_cut_bytes = bytes_get_u64(&b);
	if (b.failed || outcome > AGENT_REFUSED || state_lost > 1 || exit_status > UINT8_MAX)
		return -EPROTO;
	done->outcome = (enum agent_outcome)outcome;
	done->state_lost = state_lost;
	done->exit_status = (uint8_t)exit_status;
	length = bytes_left(&b) < AGENT_SENTENCE_MAX ? bytes_left(&b) : AGENT_SENTENCE_MAX;
	memcpy(done->sentence, bytes_take(&b, length), length);
	done->sentence[length] = '\0';
	return 0;
}

void agent_sentence_decode(char sentence[AGENT_SENTENCE_MAX + 1], const void *body, size_t size)
{
	snprintf(sentence, AGENT_SENTENCE_MAX + 1, "%.*s", (int)(size < AGENT_SENTENCE_MAX ? size : AGENT_SENTENCE_MAX),
		 (const char *)body);
}

static void put_header(struct bytes *b, size_t length, enum agent_frame_type type, uint64_t request)
{
	bytes_put_u32(b, (uint32_t)length);
	bytes_put_u16(b, (uint16_t)type);
	bytes_put_u16(b, 0);
	bytes_put_u64(b, request);
}

int agent_file_info_decode(struct agent_file_info *info, const void *body, size_t size)
{
	struct bytes b = bytes_from(body, size);
	uint8_t kind = bytes_get_u8(&b);
	size_t length;

	bytes_take(&b, 7);
	info->size = bytes_get_u64(&b);
	info->changed_ns = bytes_get_u64(&b);
	length = bytes_left(&b);
	if (b.failed || (kind != AGENT_FILE_REGULAR && kind != AGENT_FILE_FOLDER) || length > AGENT_FILE_PATH_MAX)
		return -EPROTO;
	info->kind = (enum agent_file_kind)kind;
	memcpy(info->path, bytes_take(&b, length), length);
	info->path[length] = '\0';
	return strlen(info->path) == length ? 0 : -EPROTO;
}

int agent_file_done_decode(enum agent_file_status *status, char sentence[AGENT_SENTENCE_MAX + 1], const void *body,
			   size_t size)
{
	struct bytes b = bytes_from(body, size);
	uint32_t value = bytes_get_u32(&b);
	size_t length;

	bytes_get_u32(&b);
	if (b.failed || value > AGENT_FILE_CUT)
		return -EPROTO;
	*status = (enum agent_file_status)value;
	length = bytes_left(&b);
	agent_sentence_decode(sentence, bytes_take(&b, length), length);
	return 0;
}

int agent_container_state_decode(enum agent_container_state *state, char sentence[AGENT_SENTENCE_MAX + 1],
				 const void *body, size_t size)
{
	static const uint8_t zeros[7];
	struct bytes b = bytes_from(body, size);
	uint8_t value = bytes_get_u8(&b);
	const uint8_t *padding = bytes_take(&b, sizeof(zeros));
	size_t length = bytes_left(&b);

	if (b.failed || value > AGENT_CONTAINER_ENDED || memcmp(padding, zeros, sizeof(zeros)) != 0)
		return -EPROTO;
	*state = value;
	agent_sentence_decode(sentence, bytes_take(&b, length), length);
	return 0;
}

int agent_container_exit_decode(struct agent_container_exit *exit, const void *body, size_t size)
{
	struct bytes b = bytes_from(body, size);
	size_t length;

	exit->status = bytes_get_u32(&b);
	exit->signal = bytes_get_u32(&b);
	exit->ran_us = bytes_get_u64(&b);
	length = bytes_left(&b);
	if (b.failed || exit->signal > AGENT_SIGNAL_MAX)
		return -EPROTO;
	agent_sentence_decode(exit->sentence, bytes_take(&b, length), length);
	return 0;
}

void agent_header_encode(uint8_t out[AGENT_HEADER_SIZE], enum agent_frame_type type, uint64_t request, size_t size)
{
	struct bytes b = bytes_over(out, AGENT_HEADER_SIZE);

	put_header(&b, size, type, request);
}

void agent_execute_encode(uint8_t out[AGENT_HEADER_SIZE + AGENT_EXECUTE_PREFIX], uint64_t request,
			  enum agent_language language, uint8_t flags, uint32_t timeout_ms, uint64_t output_limit,
			  size_t code_size)
{
	struct bytes b = bytes_over(out, AGENT_HEADER_SIZE + AGENT_EXECUTE_PREFIX);

	put_header(&b, AGENT_EXECUTE_PREFIX + code_size, AGENT_EXECUTE, request);
	bytes_put_u8(&b, (uint8_t)language);
	bytes_put_u8(&b, flags);
	bytes_put_u16(&b, 0);
	bytes_put_u32(&b, timeout_ms);
	bytes_put_u64(&b, output_limit);
}

void agent_empty_encode(uint8_t out[AGENT_HEADER_SIZE], enum agent_frame_type type, uint64_t request)
{
	struct bytes b = bytes_over(out, AGENT_HEADER_SIZE);

	put_header(&b, 0, type, request);
}

void agent_offer_tokens_encode(uint8_t *out, const char *secret)
{
	struct bytes b = bytes_over(out, AGENT_HEADER_SIZE + AGENT_SECRET_SIZE);

	put_header(&b, AGENT_SECRET_SIZE, AGENT_OFFER_TOKENS, 0);
	bytes_put(&b, secret, AGENT_SECRET_SIZE);
}

void agent_limit_encode(uint8_t out[AGENT_LIMIT_SIZE], uint32_t n_processes, uint64_t disk_bytes)
{
	struct bytes b = bytes_over(out, AGENT_LIMIT_SIZE);

	put_header(&b, AGENT_LIMIT_SIZE - AGENT_HEADER_SIZE, AGENT_LIMIT, 0);
	bytes_put_u32(&b, n_processes);
	bytes_put_u32(&b, 0);
	bytes_put_u64(&b, disk_bytes);
}

size_t agent_adopt_encode(uint8_t out[AGENT_ADOPT_MAX], uint64_t request, const struct agent_adoption *adoption)
{
	struct bytes b = bytes_over(out, AGENT_ADOPT_MAX);
	size_t length = strnlen(adoption->host_name, AGENT_HOST_NAME_MAX);

	put_header(&b, AGENT_ADOPT_PREFIX + length, AGENT_ADOPT, request);
	bytes_put_u64(&b, adoption->realtime_ns);
	bytes_put_u8(&b, (uint8_t)adoption->identity);
	for (int i = 0; i < 7; i++)
		bytes_put_u8(&b, 0);
	bytes_put(&b, adoption->entropy, sizeof(adoption->entropy));
	bytes_put(&b, adoption->host_name, length);
	return b.position;
}
