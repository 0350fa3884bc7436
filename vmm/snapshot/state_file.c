#include "vmm/snapshot/state_file.h"

#include "common/cleanup.h"
#include "common/crc32.h"
#include "vmm/host_file.h"
#include "vmm/machine.h"
#include "vmm/snapshot/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
	MAGIC_SIZE = 8,
	ARCHITECTURE_X86_64 = 1,
	OFFSET_COUNT = 20,
	OFFSET_LENGTH = 24,
	OFFSET_CHECKSUM = 32,
	OFFSET_CHECKED = 36, /* from here on all bytes are in the checksum */
	HEADER_SIZE = OFFSET_CHECKED + SNAPSHOT_ID_SIZE,
	SECTION_HEADER_SIZE = 12,
};

static const char magic[MAGIC_SIZE + 1] = "HEARTHVM";

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Room for `size` more bytes, or NULL. */
static uint8_t *grow(struct state_writer *writer, size_t size)
{
	if (writer->failed || size > STATE_FILE_MAX - writer->size) {
		writer->failed = true;
		return NULL;
	}
	if (writer->size + size > writer->capacity) {
		size_t capacity = 2 * (writer->size + size);
		uint8_t *data = realloc(writer->data, capacity);

		if (!data) {
			writer->failed = true;
			return NULL;
		}
		writer->data = data;
		writer->capacity = capacity;
	}
	writer->size += size;
	return writer->data + writer->size - size;
}

void state_put(struct state_writer *writer, const void *data, size_t size)
{
	uint8_t *to = grow(writer, size);

	if (to && size)
		memcpy(to, data, size);
}

void state_put_uint(struct state_writer *writer, uint64_t value, size_t width)
{
	uint8_t *to = grow(writer, width);
	struct bytes out = bytes_over(to, to ? width : 0);

	bytes_put_uint(&out, value, width);
}

static void put_at(struct state_writer *writer, size_t offset, uint64_t value, size_t width)
{
	struct bytes out = bytes_over(writer->data + offset, width);

	bytes_put_uint(&out, value, width);
}

void state_writer_init(struct state_writer *writer, const uint8_t id[SNAPSHOT_ID_SIZE])
{
	*writer = (struct state_writer) { 0 };
	state_put(writer, magic, MAGIC_SIZE);
	state_put_uint(writer, STATE_FILE_VERSION, 4);
	state_put_uint(writer, ARCHITECTURE_X86_64, 4);
	state_put_uint(writer, MACHINE_PAGE_SIZE, 4);
	state_put_uint(writer, 0, 4); /* count, length and checksum come at the end */
	state_put_uint(writer, 0, 8);
	state_put_uint(writer, 0, 4);
	state_put(writer, id, SNAPSHOT_ID_SIZE);
}

void state_writer_fini(struct state_writer *writer)
{
	free(writer->data);
	*writer = (struct state_writer) { 0 };
}

static void end_section(struct state_writer *writer)
{
	if (writer->section && !writer->failed)
		put_at(writer, writer->section + 8, writer->size - writer->section - SECTION_HEADER_SIZE, 4);
}

void state_section(struct state_writer *writer, uint32_t type, uint32_t instance)
{
	end_section(writer);
	if (++writer->n_sections > STATE_FILE_SECTIONS_MAX)
		writer->failed = true;
	writer->section = writer->size;
	state_put_uint(writer, type, 4);
	state_put_uint(writer, instance, 4);
	state_put_uint(writer, 0, 4);
}

int state_writer_finish(struct state_writer *writer, int fd, struct error *err)
{
	int status;

	end_section(writer);
	if (writer->failed)
		return error_set(err, ENOMEM, "the VM's state does not fit: out of memory, or more than %d bytes",
				 STATE_FILE_MAX);
	put_at(writer, OFFSET_COUNT, writer->n_sections, 4);
	put_at(writer, OFFSET_LENGTH, writer->size, 8);
	put_at(writer, OFFSET_CHECKSUM, crc32_of(0, writer->data + OFFSET_CHECKED, writer->size - OFFSET_CHECKED), 4);
	status = file_write_at(fd, writer->data, writer->size, 0);
	if (status < 0)
		return error_set(err, -status, "cannot write the state file: %s", strerror(-status));
	if (fdatasync(fd) < 0 && errno != EINVAL && errno != EROFS)
		return error_set(err, errno, "cannot sync the state file: %s", strerror(errno));
	return 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int check_header(struct state_reader *reader, struct bytes *in, size_t size, uint32_t *n_sections,
			struct error *err)
{
	const uint8_t *found = bytes_take(in, MAGIC_SIZE);
	const uint32_t version = bytes_get_u32(in), architecture = bytes_get_u32(in), page_size = bytes_get_u32(in);
	const uint8_t *id;
	uint32_t checksum;
	uint64_t length;

	*n_sections = bytes_get_u32(in);
	length = bytes_get_u64(in);
	checksum = bytes_get_u32(in);
	id = bytes_take(in, SNAPSHOT_ID_SIZE);
	if (!found || memcmp(found, magic, MAGIC_SIZE) != 0)
		return error_set(err, EINVAL, "not a state file of hearth-vmm");
	if (in->failed)
		return error_set(err, EINVAL, "truncated: it ends in its header");
	if (version > STATE_FILE_VERSION)
		return error_set(err, EINVAL, "made by a newer hearth-vmm: format %u, this one reads %d", version,
				 STATE_FILE_VERSION);
	if (version < STATE_FILE_VERSION)
		return error_set(err, EINVAL, "made by an older hearth-vmm: format %u, this one reads %d; make it anew",
				 version, STATE_FILE_VERSION);
	if (architecture != ARCHITECTURE_X86_64 || page_size != MACHINE_PAGE_SIZE)
		return error_set(err, EINVAL, "made on another architecture (%u, pages of %u bytes)", architecture,
				 page_size);
	if (length > size)
		return error_set(err, EINVAL, "truncated: %zu bytes of %llu are there", size,
				 (unsigned long long)length);
	if (length < size)
		return error_set(err, EINVAL, "damaged: it has %zu bytes, not %llu", size, (unsigned long long)length);
	if (crc32_of(0, in->data + OFFSET_CHECKED, size - OFFSET_CHECKED) != checksum)
		return error_set(err, EINVAL, "damaged: its checksum is wrong");
	memcpy(reader->id, id, SNAPSHOT_ID_SIZE);
	return 0;
}

static struct state_section_entry *find(const struct state_reader *reader, uint32_t type, uint32_t instance)
{
	for (uint32_t i = 0; i < reader->n_sections; i++)
		if (reader->sections[i].type == type && reader->sections[i].instance == instance)
			return (struct state_section_entry *)&reader->sections[i];
	return NULL;
}

static int read_sections(struct state_reader *reader, struct bytes *in, uint32_t n_sections, struct error *err)
{
	if (n_sections > STATE_FILE_SECTIONS_MAX)
		return error_set(err, EINVAL, "damaged: %u sections", n_sections);
	for (uint32_t i = 0; i < n_sections; i++) {
		struct state_section_entry *entry = &reader->sections[i];
		const uint32_t type = bytes_get_u32(in), instance = bytes_get_u32(in);
		const bool is_twice = find(reader, type, instance) != NULL;

		entry->type = type;
		entry->instance = instance;
		entry->length = bytes_get_u32(in);
		entry->data = bytes_take(in, entry->length);
		if (in->failed || is_twice)
			return error_set(err, EINVAL, "damaged: section %u is %s", i, is_twice ? "there twice" : "cut");
		reader->n_sections++;
	}
	return bytes_left(in) ? error_set(err, EINVAL, "damaged: bytes behind its last section") : 0;
}

int state_reader_init(struct state_reader *reader, uint8_t *data, size_t size, struct error *err)
{
	struct bytes in = bytes_from(data, size);
	uint32_t n_sections;
	int status;

	*reader = (struct state_reader) { .data = data };
	status = check_header(reader, &in, size, &n_sections, err);
	return status < 0 ? status : read_sections(reader, &in, n_sections, err);
}

int state_reader_open(struct state_reader *reader, const char *path, struct error *err)
{
	AUTO_FD int fd = host_file_open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE uint8_t *data = NULL;
	struct stat status;
	int result;

	*reader = (struct state_reader) { 0 };
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(err, errno, "snapshot %s: cannot open it: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode) || status.st_size > STATE_FILE_MAX)
		return error_set(err, EINVAL, "snapshot %s: not a state file of hearth-vmm", path);
	data = malloc((size_t)status.st_size + 1);
	if (!data)
		return error_set(err, ENOMEM, "snapshot %s: out of memory", path);
	result = file_read_at(fd, data, (size_t)status.st_size, 0);
	if (result < 0)
		return error_set(err, -result, "snapshot %s: cannot read it: %s", path, strerror(-result));
	if (state_reader_init(reader, STEAL(&data), (size_t)status.st_size, err) < 0)
		return error_wrap(err, "snapshot %s", path);
	return 0;
}

void state_reader_fini(struct state_reader *reader)
{
	free(reader->data);
	reader->data = NULL;
	reader->n_sections = 0;
}

struct bytes state_find(struct state_reader *reader, uint32_t type, uint32_t instance)
{
	struct state_section_entry *entry = find(reader, type, instance);
	struct bytes none = { .failed = true };

	if (!entry)
		return none;
	entry->was_read = true;
	return bytes_from(entry->data, entry->length);
}

int state_done(const struct bytes *in, const char *what, struct error *err)
{
	if (in->failed)
		return error_set(err, EINVAL, "damaged: the state of %s is missing or too short", what);
	if (bytes_left(in))
		return error_set(err, EINVAL, "damaged: the state of %s is too long", what);
	return 0;
}

int state_reader_finish(const struct state_reader *reader, struct error *err)
{
	for (uint32_t i = 0; i < reader->n_sections; i++)
		if (!reader->sections[i].was_read)
			return error_set(err, EINVAL,
					 "foreign: it has a section (%u, %u) that this machine has no part for",
					 reader->sections[i].type, reader->sections[i].instance);
	return 0;
}
