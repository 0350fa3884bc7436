/*
 * A snapshot's files, as they may come from anywhere. Magic words and checksums are put right, so that what is behind them
 * is reached: state goes into real devices, extents and page lists are mapped.
 */
#include "common/crc32.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/virtio_driver.h"
#include "vmm/console.h"
#include "vmm/machine.h"
#include "vmm/serial.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/working_set.h"
#include "vmm/virtio/blk.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	MEMORY_SIZE = 1 << 20,
	STATE_CHECKSUM = 32,
	STATE_CHECKED = 36,
	STATE_HEADER = STATE_CHECKED + SNAPSHOT_ID_SIZE,
	TRAILER_CHECKED = 64,
	TRAILER_SIZE = 68,
	LIST_HEADER_CHECKED = 36,
	LIST_OFFSET = 4096,
};

static void put(uint8_t *to, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

/* ---- the state file ---------------------------------------------------------------------------------------------- */

/* A driver goes on with what was restored, be it that the last step of its start was still to come. */
static void restore_device(struct state_reader *reader, uint32_t instance, const struct choices *driver)
{
	static struct virtio_driver f;
	uint32_t driver_ok = 0xf;
	struct error err = { 0 };
	struct virtio_device *device;
	int fd;

	FUZZ_CHECK(virtio_driver_open(&f));
	if (instance == 0) {
		device = virtio_driver_open_vsock(&f);
	} else if (instance == 2) {
		device = virtio_driver_open_net(&f);
	} else {
		fd = memfd_create("disk", MFD_CLOEXEC);
		FUZZ_CHECK(ftruncate(fd, 1 << 20) == 0);
		device = virtio_blk_create_over(fd, 2048, false, 0);
	}
	virtio_driver_attach(&f, device);
	if (virtio_mmio_restore(&f.mmio, instance, reader, &err) == 0) {
		virtio_mmio_restored(&f.mmio);
		virtio_mmio_access(&f.mmio, 0x70, (uint8_t *)&driver_ok, sizeof(driver_ok), true);
		f.choices = *driver;
		while (!choices_are_over(&f.choices))
			virtio_driver_do(&f);
	} else {
		FUZZ_CHECK(*err.text);
	}
	virtio_driver_close(&f);
}

static void restore_serial(struct state_reader *reader)
{
	static struct console console;
	static struct serial serial;
	struct error err = { 0 };

	serial_init(&serial, &console, -1);
	if (serial_restore(&serial, reader, &err) < 0)
		FUZZ_CHECK(*err.text);
}

static void fuzz_state(struct choices *c)
{
	const uint32_t n_sections = choose_below(c, 16);
	uint8_t *file = calloc(1, STATE_HEADER + c->size);
	static struct state_reader reader;
	struct error err = { 0 };
	const size_t size = STATE_HEADER + c->size;

	FUZZ_CHECK(file);
	memcpy(file, "HEARTHVM", 8);
	put(file + 8, STATE_FILE_VERSION, 4);
	put(file + 12, 1, 4);
	put(file + 16, MACHINE_PAGE_SIZE, 4);
	put(file + 20, n_sections, 4);
	put(file + 24, size, 8);
	if (c->size)
		memcpy(file + STATE_HEADER, c->data, c->size);
	put(file + STATE_CHECKSUM, crc32_of(0, file + STATE_CHECKED, size - STATE_CHECKED), 4);
	if (state_reader_init(&reader, file, size, &err) == 0) {
		for (uint32_t instance = 0; instance < 3; instance++)
			restore_device(&reader, instance, c);
		restore_serial(&reader);
	} else {
		FUZZ_CHECK(*err.text);
	}
	state_reader_fini(&reader);
}

/* ---- memory files and working sets ------------------------------------------------------------------------------- */

static void use_file(const uint8_t *data, size_t size, size_t offset, bool is_working_set)
{
	const struct memory_chain chain = { .n_files = 1 };
	int fd = memfd_create("snapshot", MFD_CLOEXEC);
	struct guest_memory memory;
	struct working_set set = { 0 };
	struct error err = { 0 };
	char path[32];
	const char *paths[] = { path };

	FUZZ_CHECK(fd >= 0 && pwrite(fd, data, size, (off_t)offset) == (ssize_t)size);
	FUZZ_CHECK(guest_memory_init(&memory, MEMORY_SIZE) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!is_working_set) {
		if (memory_file_map(paths, 1, &chain, &memory, &err) == 0)
			FUZZ_CHECK(*(volatile uint8_t *)guest_memory_get(&memory, MEMORY_SIZE - 1, 1) == 0);
	} else if (working_set_open(&set, path, &chain, &memory, &err) == 0) {
		working_set_copy(&set, &memory, 0, working_set_n_early(&set));
	}
	working_set_close(&set);
	guest_memory_fini(&memory);
	close(fd);
}

static void fuzz_memory_file(struct choices *c)
{
	const size_t n_extents = c->size / 16, size = TRAILER_SIZE + 16 * n_extents;
	uint8_t *trailer = calloc(1, size);

	FUZZ_CHECK(trailer);
	memcpy(trailer, "HEARTHRM", 8);
	put(trailer + 8, MEMORY_FILE_VERSION, 4);
	put(trailer + 12, MACHINE_PAGE_SIZE, 4);
	put(trailer + 16, MEMORY_SIZE, 8);
	put(trailer + 56, n_extents, 8);
	if (n_extents)
		memcpy(trailer + TRAILER_SIZE, c->data, 16 * n_extents);
	put(trailer + TRAILER_CHECKED,
	    crc32_of(crc32_of(0, trailer, TRAILER_CHECKED), trailer + TRAILER_SIZE, 16 * n_extents), 4);
	use_file(trailer, size, MEMORY_SIZE, false);
	free(trailer);
}

static void fuzz_working_set(struct choices *c)
{
	const uint32_t n_written = (uint32_t)choose(c, 2);
	const size_t n_pages = c->size / 4, size = LIST_OFFSET + 4 * n_pages;
	uint8_t *list = calloc(1, size);

	FUZZ_CHECK(list);
	memcpy(list, "HEARTHWS", 8);
	put(list + 8, WORKING_SET_VERSION, 4);
	put(list + 12, n_written, 4);
	put(list + 16, n_pages, 4);
	if (n_pages)
		memcpy(list + LIST_OFFSET, c->data, 4 * n_pages);
	put(list + LIST_HEADER_CHECKED,
	    crc32_of(crc32_of(0, list, LIST_HEADER_CHECKED), list + LIST_OFFSET, 4 * n_pages), 4);
	use_file(list, size, 0, true);
	free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };

	switch (choose_below(&c, 4)) {
	case 0:
		fuzz_memory_file(&c);
		break;
	case 1:
		fuzz_working_set(&c);
		break;
	default:
		fuzz_state(&c);
		break;
	}
	return 0;
}
