#include "api/container_log.h"

#include <stdlib.h>
#include <string.h>

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

/* Until `size` bytes more have room. */
static void drop_oldest(struct container_log *log, size_t size)
{
	size_t offset = 0;

	while (offset < log->size && log->size - offset + size > CONTAINER_LOG_MAX) {
		struct header h = header_at(log, offset);

		offset += sizeof(h) + h.size;
		log->n_dropped += h.size;
	}
	memmove(log->data, log->data + offset, log->size - offset);
	log->size -= offset;
	log->first += offset;
}

void container_log_append(struct container_log *log, bool is_stderr, const void *data, size_t size)
{
	enum { PIECE_MAX = 4096 }; /* so that not too much goes at once */
	const uint8_t *bytes = data;

	if (!log->data)
		log->data = malloc(CONTAINER_LOG_MAX);
	while (size) {
		struct header h = { .size = (uint32_t)(size < PIECE_MAX ? size : PIECE_MAX), .is_stderr = is_stderr };

		if (log->data) {
			drop_oldest(log, sizeof(h) + h.size);
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

bool container_log_next(const struct container_log *log, uint64_t *position, struct container_log_piece *piece)
{
	struct header h;
	size_t offset;

	if (*position < log->first)
		*position = log->first;
	offset = (size_t)(*position - log->first);
	if (offset >= log->size)
		return false;
	h = header_at(log, offset);
	*piece = (struct container_log_piece) {
		.is_stderr = h.is_stderr,
		.text = (const char *)log->data + offset + sizeof(h),
		.size = h.size,
	};
	*position += sizeof(h) + h.size;
	return true;
}

size_t container_log_tail(const struct container_log *log, char *text, size_t size)
{
	struct container_log_piece piece;
	uint64_t position = 0;
	size_t n = 0;
	bool is_cut = log->first != 0;
	const char *line;

	while (container_log_next(log, &position, &piece)) {
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

void container_log_fini(struct container_log *log)
{
	free(log->data);
	*log = (struct container_log) { 0 };
}
