#include "container_log.h"

#include <string.h>

enum { HEADER_SIZE = 3 };

/* Copies between the ring and memory, around its end. */
static void put(struct container_log *log, uint64_t at, const uint8_t *data, size_t size)
{
	size_t start = (size_t)(at % sizeof(log->ring));
	size_t first = size < sizeof(log->ring) - start ? size : sizeof(log->ring) - start;

	memcpy(log->ring + start, data, first);
	memcpy(log->ring, data + first, size - first);
}

static void get(const struct container_log *log, uint64_t at, uint8_t *data, size_t size)
{
	size_t start = (size_t)(at % sizeof(log->ring));
	size_t first = size < sizeof(log->ring) - start ? size : sizeof(log->ring) - start;

	memcpy(data, log->ring + start, first);
	memcpy(data + first, log->ring, size - first);
}

static size_t record_size(const struct container_log *log, uint64_t at, enum output_stream *stream)
{
	uint8_t header[HEADER_SIZE];

	get(log, at, header, sizeof(header));
	*stream = header[0];
	return (size_t)header[1] | (size_t)header[2] << 8;
}

static void forget_oldest(struct container_log *log)
{
	enum output_stream stream;
	size_t size = record_size(log, log->first, &stream);

	log->first += HEADER_SIZE + size;
	log->forgotten += size;
}

static void append_record(struct container_log *log, enum output_stream stream, const uint8_t *data, size_t size)
{
	const uint8_t header[HEADER_SIZE] = { (uint8_t)stream, (uint8_t)size, (uint8_t)(size >> 8) };

	while (log->end + HEADER_SIZE + size - log->first > sizeof(log->ring))
		forget_oldest(log);
	put(log, log->end, header, HEADER_SIZE);
	put(log, log->end + HEADER_SIZE, data, size);
	log->end += HEADER_SIZE + size;
}

void container_log_append(struct container_log *log, enum output_stream stream, const uint8_t *data, size_t size)
{
	while (size > 0) {
		size_t piece = size < CONTAINER_LOG_RECORD_MAX ? size : CONTAINER_LOG_RECORD_MAX;

		append_record(log, stream, data, piece);
		data += piece;
		size -= piece;
	}
}

bool container_log_has_more(const struct container_log *log, const struct container_log_reader *reader)
{
	return reader->at < log->end;
}

uint64_t container_log_skip_lost(const struct container_log *log, struct container_log_reader *reader)
{
	uint64_t lost = reader->at < log->first ? log->forgotten - reader->read : 0;

	if (lost) {
		reader->at = log->first;
		reader->read = log->forgotten;
	}
	return lost;
}

size_t container_log_read(const struct container_log *log, struct container_log_reader *reader,
			  enum output_stream *stream, uint8_t *data, size_t size)
{
	size_t total = 0;

	container_log_skip_lost(log, reader);
	while (reader->at < log->end) {
		enum output_stream next;
		size_t piece = record_size(log, reader->at, &next);

		if (piece > size - total || (total > 0 && next != *stream))
			break;
		*stream = next;
		get(log, reader->at + HEADER_SIZE, data + total, piece);
		total += piece;
		reader->at += HEADER_SIZE + piece;
		reader->read += piece;
	}
	return total;
}
