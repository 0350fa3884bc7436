/*
 * The state file of a snapshot: everything of a VM but its memory. A header, then sections, each with a type, an
 * instance (which vCPU, which device) and a length. Knows what a section is, not what is in it.
 *
 *     char[8] magic     "HEARTHVM"
 *     u32     version   STATE_FILE_VERSION
 *     u32     architecture   1: x86-64
 *     u32     page size of the guest's memory file
 *     u32     number of sections
 *     u64     length of the whole file
 *     u32     CRC-32 of all that follows this field
 *     u8[16]  id of the snapshot, random
 *     sections: u32 type, u32 instance, u32 length, the bytes
 *
 * All integers are little-endian. A file may come from anywhere: whatever is wrong with it is refused with a sentence
 * that says which it is, damaged, truncated, foreign or too new.
 */
#ifndef HEARTH_VMM_SNAPSHOT_STATE_FILE_H
#define HEARTH_VMM_SNAPSHOT_STATE_FILE_H

#include "common/bytes.h"
#include "common/error.h"

#include <stdint.h>

enum {
	STATE_FILE_VERSION = 2,
	STATE_FILE_MAX = 4 << 20, /* bytes; a VM with 16 vCPUs needs 300 KiB */
	STATE_FILE_SECTIONS_MAX = 512,
	SNAPSHOT_ID_SIZE = 16,
};

/* What the sections hold is known where they are made: machine, arch, devices. */
enum state_section {
	STATE_MACHINE = 1,
	STATE_MEMORY_CHAIN, /* ids of the memory files, base first */
	STATE_SERIAL,
	STATE_VIRTIO,          /* instance: device; transport and queues */
	STATE_VIRTIO_DEVICE,   /* instance: device; its own */
	STATE_ARCH_FIRST = 64, /* from here on the architecture's */
};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* One growing buffer. The first failure (memory, a limit) sticks, so that it is looked at once, in the end. */
struct state_writer {
	uint8_t *data;
	size_t size, capacity;
	size_t section; /* offset of the open section's header */
	uint32_t n_sections;
	bool failed;
};

/* Begins a file for the snapshot `id`. state_writer_fini() in any case. */
void state_writer_init(struct state_writer *writer, const uint8_t id[SNAPSHOT_ID_SIZE]);
void state_writer_fini(struct state_writer *writer);

/* Begins a section and ends the one before; what is put then belongs to it. */
void state_section(struct state_writer *writer, uint32_t type, uint32_t instance);
void state_put(struct state_writer *writer, const void *data, size_t size);
void state_put_uint(struct state_writer *writer, uint64_t value, size_t width);

/* Completes the header and writes the file at the start of `fd`, synced. 0, or negative with *err set. */
int state_writer_finish(struct state_writer *writer, int fd, struct error *err);

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct state_section_entry {
	uint32_t type, instance, length;
	const uint8_t *data;
	bool was_read;
};

struct state_reader {
	uint8_t *data;
	uint8_t id[SNAPSHOT_ID_SIZE];
	struct state_section_entry sections[STATE_FILE_SECTIONS_MAX];
	uint32_t n_sections;
};

/* Takes `data` (malloc'd, `size` bytes) over and checks its form. state_reader_fini() in any case. */
int state_reader_init(struct state_reader *reader, uint8_t *data, size_t size, struct error *err);

/* Reads a whole file. The same. */
int state_reader_open(struct state_reader *reader, const char *path, struct error *err);
void state_reader_fini(struct state_reader *reader);

/*
 * The bytes of a section, to be read to their end (state_done()). A section that is missing gives a cursor that has
 * failed.
 */
struct bytes state_find(struct state_reader *reader, uint32_t type, uint32_t instance);

/* 0 if all of the section was read and was enough; else negative, with *err naming `what`. */
int state_done(const struct bytes *in, const char *what, struct error *err);

/* After all parts were restored: 0, or negative with *err set if the file has a section that nobody read. */
int state_reader_finish(const struct state_reader *reader, struct error *err);

#endif
