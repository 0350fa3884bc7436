/* Memory files: bases and layers are mapped back page for page; chains that do not fit and damaged files are refused. */
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/working_set.h"

#include "vmm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { PAGE = MACHINE_PAGE_SIZE, SIZE = 8 << 20, N_FILES = 9, TRAILER_SIZE = 68, ROUNDS = 3000 };

struct fixture {
	char directory[32];
	char paths[N_FILES][64];
	const char *list[N_FILES];
	struct memory_chain chain;
};

static int setup(void **state)
{
	static struct fixture f;
	char directory[sizeof(f.directory)];

	memset(&f, 0, sizeof(f));
	snprintf(f.directory, sizeof(f.directory), "/tmp/memory-XXXXXX");
	assert_non_null(mkdtemp(f.directory));
	memcpy(directory, f.directory, sizeof(directory));
	for (int i = 0; i < N_FILES; i++) {
		snprintf(f.paths[i], sizeof(f.paths[i]), "%s/%d", directory, i);
		f.list[i] = f.paths[i];
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < N_FILES; i++)
		unlink(f->paths[i]);
	return rmdir(f->directory);
}

static uint8_t *page(const struct guest_memory *memory, unsigned index)
{
	return guest_memory_get(memory, (gpa_t)index * PAGE, PAGE);
}

/* Writes the next file of the chain. */
static void save(struct fixture *f, const struct guest_memory *memory)
{
	uint8_t id[SNAPSHOT_ID_SIZE] = { (uint8_t)(f->chain.n_files + 1) };
	int fd = open(f->paths[f->chain.n_files], O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct error err = { 0 };

	assert_int_equal(memory_file_write(fd, memory, &f->chain, id, &err), 0);
	close(fd);
	memcpy(f->chain.ids[f->chain.n_files++], id, sizeof(id));
}

static struct guest_memory restore_of_size(struct fixture *f, uint64_t size)
{
	struct guest_memory memory;
	struct error err = { 0 };

	assert_int_equal(guest_memory_init(&memory, size), 0);
	assert_int_equal(memory_file_map(f->list, f->chain.n_files, &f->chain, &memory, &err), 0);
	return memory;
}

static struct guest_memory restore(struct fixture *f)
{
	return restore_of_size(f, SIZE);
}

static void save_base(struct fixture *f)
{
	struct guest_memory memory;

	assert_int_equal(guest_memory_init(&memory, SIZE), 0);
	memset(page(&memory, 3), 'a', PAGE);
	memset(page(&memory, 4), 'b', PAGE);
	memset(page(&memory, SIZE / PAGE - 1), 'z', PAGE);
	page(&memory, 100)[0] = 0; /* touched, and zero all the same */
	save(f, &memory);
	guest_memory_fini(&memory);
}

static void expect_refusal(struct fixture *f, unsigned n_paths, const char *words)
{
	struct guest_memory memory;
	struct error err = { 0 };

	assert_int_equal(guest_memory_init(&memory, SIZE), 0);
	assert_true(memory_file_map(f->list, n_paths, &f->chain, &memory, &err) < 0);
	assert_non_null(strstr(err.text, words));
	guest_memory_fini(&memory);
}

/* On a tmpfs, where a page of a hole that is touched through a mapping is one of the file from then on. */
static void a_clone_takes_no_room_in_holes(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory;
	struct stat before, after;
	char path[] = "/dev/shm/memory-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0)
		skip();
	close(fd);
	snprintf(f->paths[0], sizeof(f->paths[0]), "%s", path);
	save_base(f);
	assert_int_equal(stat(path, &before), 0);
	memory = restore(f);
	for (unsigned i = 5; i < SIZE / PAGE - 1; i++)
		page(&memory, i)[0] = 'c';
	assert_int_equal(page(&memory, 3)[0], 'a');
	assert_int_equal(page(&memory, SIZE / PAGE - 1)[PAGE - 1], 'z');
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_blocks, before.st_blocks);
	guest_memory_fini(&memory);
}

static void a_base_holds_what_is_not_zero(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory;
	struct stat status;

	save_base(f);
	assert_int_equal(stat(f->paths[0], &status), 0);
	assert_true(status.st_blocks * 512 <= 8 * PAGE); /* three pages and the trailer; the rest are holes */
	memory = restore(f);
	assert_int_equal(page(&memory, 3)[17], 'a');
	assert_int_equal(page(&memory, 4)[PAGE - 1], 'b');
	assert_int_equal(page(&memory, SIZE / PAGE - 1)[PAGE - 1], 'z');
	assert_int_equal(page(&memory, 5)[0], 0);
	guest_memory_fini(&memory);
}

static void clones_do_not_see_what_others_write(void **state)
{
	struct fixture *f = *state;
	struct guest_memory one, other;

	save_base(f);
	one = restore(f);
	other = restore(f);
	page(&one, 3)[0] = '1';
	assert_int_equal(page(&other, 3)[0], 'a');
	guest_memory_fini(&one);
	guest_memory_fini(&other);
	one = restore(f);
	assert_int_equal(page(&one, 3)[0], 'a');
	guest_memory_fini(&one);
}

static void layers_hold_what_was_written_and_stack_up(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory;
	struct stat status;

	save_base(f);
	for (unsigned layer = 1; layer <= 4; layer++) {
		memory = restore(f);
		memset(page(&memory, 10 + layer), (int)layer, PAGE);
		memset(page(&memory, 4), 'B' + (int)layer, PAGE); /* in every layer: the newest counts */
		if (layer == 3)
			memset(page(&memory, 3), 0, PAGE); /* zero now, and that has to be kept */
		save(f, &memory);
		guest_memory_fini(&memory);
		assert_int_equal(stat(f->paths[layer], &status), 0);
		assert_true(status.st_blocks * 512 <= 8 * PAGE);
	}
	memory = restore(f);
	for (unsigned layer = 1; layer <= 4; layer++)
		assert_int_equal(page(&memory, 10 + layer)[9], layer);
	assert_int_equal(page(&memory, 4)[0], 'B' + 4);
	assert_int_equal(page(&memory, 3)[0], 0);
	assert_int_equal(page(&memory, SIZE / PAGE - 1)[0], 'z');
	guest_memory_fini(&memory);
}

/* Writes every second page from that of run `first` on. */
static void write_runs(const struct guest_memory *memory, unsigned first, unsigned n)
{
	for (unsigned run = first; run < first + n; run++)
		*(uint32_t *)page(memory, 2 * run) = run;
}

/* Two layers have more runs together than Linux gives a process mappings. In memory: a disk would take minutes. */
static void layers_in_too_many_pieces_are_restored(void **state)
{
	enum { N_RUNS = 33000, LARGE_SIZE = 2 * N_RUNS * PAGE, N_LAYERS = 3 };
	struct fixture *f = *state;
	struct guest_memory memory;
	int fds[1 + N_LAYERS];

	for (unsigned i = 0; i < 1 + N_LAYERS; i++) {
		fds[i] = memfd_create("memory", 0);
		snprintf(f->paths[i], sizeof(f->paths[i]), "/proc/self/fd/%d", fds[i]);
	}
	assert_int_equal(guest_memory_init(&memory, LARGE_SIZE), 0);
	page(&memory, 1)[0] = 'a';
	for (unsigned layer = 0; layer < N_LAYERS; layer++) {
		save(f, &memory);
		guest_memory_fini(&memory);
		memory = restore_of_size(f, LARGE_SIZE);
		/* The last layer gets what the clone before it read, and nothing else. */
		if (layer < 2)
			write_runs(&memory, layer * N_RUNS / 2, N_RUNS / 2);
	}
	save(f, &memory);
	guest_memory_fini(&memory);
	memory = restore_of_size(f, LARGE_SIZE);
	assert_int_equal(page(&memory, 1)[0], 'a');
	for (unsigned run = 0; run < N_RUNS; run++)
		assert_int_equal(*(uint32_t *)page(&memory, 2 * run), run);
	guest_memory_fini(&memory);
	for (unsigned i = 0; i < 1 + N_LAYERS; i++)
		close(fds[i]);
}

static void a_chain_has_a_greatest_length(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory;
	uint8_t id[SNAPSHOT_ID_SIZE] = { 99 };
	struct error err = { 0 };
	int fd = open(f->paths[8], O_RDWR | O_CREAT, 0600);

	save_base(f);
	for (unsigned layer = 1; layer < MEMORY_CHAIN_MAX; layer++) {
		memory = restore(f);
		save(f, &memory);
		guest_memory_fini(&memory);
	}
	memory = restore(f);
	assert_int_equal(memory_file_write(fd, &memory, &f->chain, id, &err), -EMLINK);
	assert_non_null(strstr(err.text, "stands on 8 files already"));
	guest_memory_fini(&memory);
	close(fd);
}

static void a_chain_must_be_the_snapshots_own(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory;
	const char *first;

	save_base(f);
	for (int layer = 1; layer <= 2; layer++) {
		memory = restore(f);
		save(f, &memory);
		guest_memory_fini(&memory);
	}
	expect_refusal(f, 2, "stands on 3 memory files, 2 were given");
	first = f->list[1];
	f->list[1] = f->list[2];
	f->list[2] = first;
	expect_refusal(f, 3, "does not belong at place 2");
	f->list[2] = f->list[1];
	f->list[1] = first;
	f->chain.ids[2][0] ^= 1;
	expect_refusal(f, 3, "does not belong at place 3");
	f->chain.ids[2][0] ^= 1;
	f->list[1] = "/no/such/file";
	expect_refusal(f, 3, "/no/such/file: cannot be opened");
}

static void damage_has_its_words(void **state)
{
	struct fixture *f = *state;
	struct stat status;
	int fd;

	save_base(f);
	assert_int_equal(stat(f->paths[0], &status), 0);
	fd = open(f->paths[0], O_RDWR);
	assert_int_equal(pwrite(fd, "X", 1, SIZE + 30), 1); /* in the id */
	expect_refusal(f, 1, "checksum");
	assert_int_equal(pwrite(fd, "X", 1, SIZE), 1);
	expect_refusal(f, 1, "not a memory file");
	assert_int_equal(ftruncate(fd, status.st_size - 1), 0);
	assert_int_equal(pwrite(fd, "H", 1, SIZE), 1);
	expect_refusal(f, 1, "truncated or damaged");
	assert_int_equal(ftruncate(fd, SIZE / 2), 0);
	expect_refusal(f, 1, "truncated, or of a smaller guest");
	close(fd);
}

/* The trailer and the extents of a layer, with anything in them but a right checksum: never more than a refusal. */
static void random_trailers_do_no_harm(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory;
	uint64_t random = 0x853c49e6748fea9b;
	uint8_t saved[TRAILER_SIZE + 32];
	int fd;

	save_base(f);
	memory = restore(f);
	memset(page(&memory, 7), 'x', PAGE);
	memset(page(&memory, 70), 'x', PAGE);
	save(f, &memory);
	fd = open(f->paths[1], O_RDWR);
	assert_int_equal(pread(fd, saved, sizeof(saved), SIZE), sizeof(saved));
	for (int round = 0; round < ROUNDS; round++) {
		uint8_t trailer[sizeof(saved)];
		struct error err = { 0 };

		memcpy(trailer, saved, sizeof(saved));
		for (int i = 0; i < 2; i++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			trailer[(random >> 33) % sizeof(trailer)] ^= (uint8_t)(1 << (random >> 61));
		}
		assert_int_equal(pwrite(fd, trailer, sizeof(trailer), SIZE), sizeof(trailer));
		if (memory_file_map(f->list, 2, &f->chain, &memory, &err) == 0)
			assert_memory_equal(trailer, saved, sizeof(saved)); /* two flips of one bit */
	}
	close(fd);
	guest_memory_fini(&memory);
}

/* ---- working sets ------------------------------------------------------------------------------------------------ */

static void record(struct fixture *f, const struct guest_memory *memory)
{
	uint32_t pages[] = { 4, 3, 9, 200 };
	bool is_written[SIZE / PAGE] = { [9] = true, [200] = true };
	struct working_set_recorder recorder = {
		.memory = memory, .pages = pages, .n_pages = 4, .is_written = is_written
	};
	struct error err = { 0 };

	assert_int_equal(working_set_write(&recorder, &f->chain, f->paths[8], &err), 0);
}

static void a_working_set_is_read_back_in_order(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory;
	struct working_set set;
	struct error err = { 0 };

	save_base(f);
	memory = restore(f);
	record(f, &memory);
	assert_int_equal(working_set_open(&set, f->paths[8], &f->chain, &memory, &err), 0);
	assert_int_equal(set.n_written, 2);
	assert_int_equal(set.n_pages, 4);
	assert_int_equal(set.pages[0], 9);
	assert_int_equal(set.pages[1], 200);
	assert_int_equal(set.pages[2], 3);
	working_set_copy(&set, &memory, 0, 9);
	assert_int_equal(page(&memory, 3)[0], 'a');
	working_set_close(&set);
	guest_memory_fini(&memory);
}

static void a_working_set_serves_what_stands_on_its_snapshot(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory;
	struct working_set set;
	struct error err = { 0 };

	save_base(f);
	memory = restore(f);
	record(f, &memory);
	save(f, &memory);
	assert_int_equal(working_set_open(&set, f->paths[8], &f->chain, &memory, &err), 0);
	working_set_close(&set);
	guest_memory_fini(&memory);
}

static void a_working_set_that_does_not_fit_is_refused(void **state)
{
	static const struct {
		off_t offset;
		char byte;
		const char *words;
	} wrong[] = {
		{ 0, 'X', "not a working set" },
		{ 8, 9, "not a working set" },
		{ 12, 9, "truncated or damaged" },
		{ 16, 9, "truncated or damaged" },
		{ 20, 9, "of another snapshot" },
		{ 36, 9, "checksum" },
		{ 4096, 9, "" },
		{ 4099, 9, "checksum" },
	};
	struct fixture *f = *state;
	struct guest_memory memory;
	struct working_set set;

	save_base(f);
	memory = restore(f);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct error err = { 0 };
		int fd, status;

		record(f, &memory);
		fd = open(f->paths[8], O_RDWR);
		assert_int_equal(pwrite(fd, &wrong[i].byte, 1, wrong[i].offset), 1);
		close(fd);
		status = working_set_open(&set, f->paths[8], &f->chain, &memory, &err);
		assert_int_equal(status < 0, *wrong[i].words != '\0'); /* one is what stands there anyway */
		assert_non_null(strstr(err.text, wrong[i].words));
		working_set_close(&set);
	}
	guest_memory_fini(&memory);
}

static void a_working_set_outside_of_memory_is_refused(void **state)
{
	struct fixture *f = *state;
	struct guest_memory memory, small;
	struct working_set set;
	struct error err = { 0 };

	save_base(f);
	memory = restore(f);
	record(f, &memory);
	assert_int_equal(guest_memory_init(&small, 100 * PAGE), 0);
	assert_true(working_set_open(&set, f->paths[8], &f->chain, &small, &err) < 0);
	assert_non_null(strstr(err.text, "page 0xc8 is not within memory"));
	guest_memory_fini(&small);
	guest_memory_fini(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_base_holds_what_is_not_zero),
		TEST(a_clone_takes_no_room_in_holes),
		TEST(clones_do_not_see_what_others_write),
		TEST(layers_hold_what_was_written_and_stack_up),
		TEST(layers_in_too_many_pieces_are_restored),
		TEST(a_chain_has_a_greatest_length),
		TEST(a_chain_must_be_the_snapshots_own),
		TEST(damage_has_its_words),
		TEST(random_trailers_do_no_harm),
		TEST(a_working_set_is_read_back_in_order),
		TEST(a_working_set_serves_what_stands_on_its_snapshot),
		TEST(a_working_set_that_does_not_fit_is_refused),
		TEST(a_working_set_outside_of_memory_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
