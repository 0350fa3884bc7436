#include "api/container_log.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE_MAX = 4096,             /* so that not too much goes at once */
	ROOM = CONTAINER_LOG_MAX / 8, /* that is made at a time */
	SAID_MAX = 512,               /* bytes of the last words in a reason */
};

struct header {
	uint32_t size;
	bool is_stderr;
};

static struct header header_at(const struct container_log *log, size_t offset)
{
	struct header h;

	memcpy(&h, log->data + offset, sizeof(h));
	return h;
}

/*
 * Makes room for `size` bytes more, and for some of what comes after them: a container that writes byte by byte must not
 * have all of the others moved for each.
 */
static void forget_oldest(struct container_log *log, size_t size)
{
	size_t offset = 0;

	if (log->size + size <= CONTAINER_LOG_MAX)
		return;
	while (offset < log->size && log->size - offset + size > CONTAINER_LOG_MAX - ROOM) {
		struct header h = header_at(log, offset);

		offset += sizeof(h) + h.size;
		log->n_forgotten += h.size;
	}
	memmove(log->data, log->data + offset, log->size - offset);
	log->size -= offset;
	log->first += offset;
}

void container_log_append(struct container_log *log, bool is_stderr, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	if (!log->data)
		log->data = malloc(CONTAINER_LOG_MAX);
	while (size) {
		struct header h = { .size = (uint32_t)(size < PIECE_MAX ? size : PIECE_MAX), .is_stderr = is_stderr };

		if (log->data) {
			forget_oldest(log, sizeof(h) + h.size);
			memcpy(log->data + log->size, &h, sizeof(h));
			memcpy(log->data + log->size + sizeof(h), bytes, h.size);
			log->size += sizeof(h) + h.size;
		} else {
			log->n_dropped += h.size;
		}
		bytes += h.size;
		size -= h.size;
	}
}

void container_log_note_dropped(struct container_log *log, uint64_t n_bytes)
{
	log->n_dropped += n_bytes;
}

bool container_log_next(const struct container_log *log, struct container_log_reader *reader,
			struct container_log_piece *piece)
{
	struct header h;
	size_t offset;

	if (reader->position < log->first) {
		reader->position = log->first;
		reader->n_missed += log->n_forgotten - reader->n_passed;
		reader->n_passed = log->n_forgotten;
	}
	offset = (size_t)(reader->position - log->first);
	if (offset >= log->size)
		return false;
	h = header_at(log, offset);
	*piece = (struct container_log_piece) {
		.is_stderr = h.is_stderr,
		.text = (const char *)log->data + offset + sizeof(h),
		.size = h.size,
	};
	reader->position += sizeof(h) + h.size;
	reader->n_passed += h.size;
	return true;
}

uint64_t container_log_missed(const struct container_log *log, const struct container_log_reader *reader)
{
	return log->n_dropped + reader->n_missed;
}

size_t container_log_tail(const struct container_log *log, char *text, size_t size)
{
	struct container_log_piece piece;
	struct container_log_reader reader = { 0 };
	size_t n = 0;
	bool is_cut = log->first != 0;
	const char *line;

	while (container_log_next(log, &reader, &piece)) {
		size_t more = piece.size < size ? piece.size : size;
		size_t kept = n < size - more ? n : size - more;

		is_cut |= kept < n || more < piece.size;
		memmove(text, text + n - kept, kept);
		memcpy(text + kept, piece.text + piece.size - more, more);
		n = kept + more;
	}
	line = is_cut ? memchr(text, '\n', n) : NULL;
	if (!line || line + 1 == text + n)
		return n;
	n -= (size_t)(line + 1 - text);
	memmove(text, line + 1, n);
	return n;
}

void container_log_explain(const struct container_log *log, const char *reason, char text[CONTAINER_REASON_SIZE])
{
	char said[SAID_MAX], quoted[2 * SAID_MAX];
	size_t n = log ? container_log_tail(log, said, sizeof(said) - 1) : 0;

	said[n] = '\0';
	snprintf(text, CONTAINER_REASON_SIZE, "%.512s%s%.900s", reason, n ? "; it wrote last: " : "",
		 n ? log_quote(quoted, sizeof(quoted), said) : "");
}

void container_log_fini(struct container_log *log)
{
	free(log->data);
	*log = (struct container_log) { 0 };
}
