/* State files: what is written is read back; what is damaged, cut, foreign or too new is refused with its own words. */
#include "vmm/snapshot/state_file.h"

#include "common/crc32.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum { HEADER_SIZE = 52, CHECKED = 36, ROUNDS = 20000 };

static const uint8_t id[SNAPSHOT_ID_SIZE] = "0123456789abcde";

/* A file with two sections, malloc'd. */
static uint8_t *make_file(size_t *size)
{
	struct state_writer writer;
	struct error err = { 0 };
	int fd = memfd_create("state", 0);
	uint8_t *data;

	state_writer_init(&writer, id);
	state_section(&writer, STATE_MACHINE, 0);
	state_put_uint(&writer, 512, 4);
	state_section(&writer, STATE_VIRTIO, 7);
	state_put(&writer, "hello", 5);
	assert_int_equal(state_writer_finish(&writer, fd, &err), 0);
	state_writer_fini(&writer);
	*size = (size_t)lseek(fd, 0, SEEK_END);
	data = malloc(*size);
	assert_int_equal(pread(fd, data, *size, 0), *size);
	close(fd);
	return data;
}

static void put_u32(uint8_t *at, uint32_t value)
{
	struct bytes out = bytes_over(at, 4);

	bytes_put_u32(&out, value);
}

static void set_checksum(uint8_t *data, size_t size)
{
	put_u32(data + 32, crc32_of(0, data + CHECKED, size - CHECKED));
}

static void expect_refusal(uint8_t *data, size_t size, const char *words)
{
	struct state_reader reader;
	struct error err = { 0 };

	assert_true(state_reader_init(&reader, data, size, &err) < 0);
	assert_non_null(strstr(err.text, words));
	state_reader_fini(&reader);
}

static void the_checksum_is_the_usual_one(void **state)
{
	(void)state;
	assert_int_equal(crc32_of(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32_of(crc32_of(0, "1234", 4), "56789", 5), 0xcbf43926);
}

static void sections_are_read_back(void **state)
{
	size_t size;
	uint8_t *data = make_file(&size);
	struct state_reader reader;
	struct error err = { 0 };
	struct bytes in;

	(void)state;
	assert_int_equal(state_reader_init(&reader, data, size, &err), 0);
	assert_memory_equal(reader.id, id, sizeof(id));
	assert_true(state_find(&reader, STATE_VIRTIO, 6).failed);
	in = state_find(&reader, STATE_MACHINE, 0);
	assert_int_equal(bytes_get_u32(&in), 512);
	assert_int_equal(state_done(&in, "it", &err), 0);

	/* One that nobody has read is noticed. */
	assert_true(state_reader_finish(&reader, &err) < 0);
	assert_non_null(strstr(err.text, "foreign"));
	in = state_find(&reader, STATE_VIRTIO, 7);
	assert_memory_equal(bytes_take(&in, 5), "hello", 5);
	assert_int_equal(state_reader_finish(&reader, &err), 0);
	state_reader_fini(&reader);
}

static void a_section_must_be_there_and_be_read_to_its_end(void **state)
{
	size_t size;
	uint8_t *data = make_file(&size);
	struct state_reader reader;
	struct error err = { 0 };
	struct bytes in;

	(void)state;
	assert_int_equal(state_reader_init(&reader, data, size, &err), 0);
	in = state_find(&reader, STATE_SERIAL, 0);
	assert_int_equal(bytes_get_u32(&in), 0);
	assert_true(state_done(&in, "the serial port", &err) < 0);
	assert_non_null(strstr(err.text, "the serial port is missing or too short"));
	in = state_find(&reader, STATE_MACHINE, 0);
	bytes_get_u16(&in);
	assert_true(state_done(&in, "it", &err) < 0);
	assert_non_null(strstr(err.text, "too long"));
	state_reader_fini(&reader);
}

static void a_file_that_ends_anywhere_is_truncated(void **state)
{
	size_t size;
	uint8_t *whole = make_file(&size);

	(void)state;
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *data = malloc(cut + 1);

		memcpy(data, whole, cut);
		expect_refusal(data, cut, cut < 8 ? "not a state file" : "truncated");
	}
	free(whole);
}

static void each_wrong_header_has_its_words(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
		const char *words;
	} wrong[] = {
		{ 0, 0x464c457f, "not a state file" },
		{ 8, STATE_FILE_VERSION + 1, "newer hearth-vmm" },
		{ 8, STATE_FILE_VERSION - 1, "older hearth-vmm" },
		{ 12, 2, "another architecture" },
		{ 16, 65536, "another architecture" },
		{ 20, 3, "damaged" },
		{ 20, 1, "damaged" },
		{ 20, UINT32_MAX, "damaged" },
		{ 24, 60, "damaged" },
		{ 24, 6000, "truncated" },
		{ 32, 12345, "checksum" },
		{ HEADER_SIZE + 8, 5, "damaged" }, /* a section's length */
		{ HEADER_SIZE + 8, UINT32_MAX, "damaged" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		size_t size;
		uint8_t *data = make_file(&size);

		put_u32(data + wrong[i].offset, wrong[i].value);
		if (wrong[i].offset >= CHECKED)
			set_checksum(data, size);
		expect_refusal(data, size, wrong[i].words);
	}
}

static void a_section_that_is_there_twice_is_damage(void **state)
{
	size_t size;
	uint8_t *data = make_file(&size);

	(void)state;
	put_u32(data + HEADER_SIZE + 16, STATE_MACHINE);
	put_u32(data + HEADER_SIZE + 20, 0);
	set_checksum(data, size);
	expect_refusal(data, size, "there twice");
}

static void any_flipped_bit_is_found(void **state)
{
	(void)state;
	for (size_t bit = 0;; bit++) {
		size_t size;
		uint8_t *data = make_file(&size);
		struct state_reader reader;
		struct error err = { 0 };

		if (bit / 8 == size) {
			free(data);
			break;
		}
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(state_reader_init(&reader, data, size, &err) < 0);
		assert_true(err.text[0] != '\0');
		state_reader_fini(&reader);
	}
}

static void a_state_that_grows_without_end_fails_in_the_end(void **state)
{
	static const uint8_t chunk[4096];
	struct state_writer writer;
	struct error err = { 0 };

	(void)state;
	state_writer_init(&writer, id);
	state_section(&writer, STATE_MACHINE, 0);
	for (int i = 0; i < STATE_FILE_MAX / 4096 + 1; i++)
		state_put(&writer, chunk, sizeof(chunk));
	assert_true(state_writer_finish(&writer, -1, &err) < 0);
	assert_non_null(strstr(err.text, "does not fit"));
	state_writer_fini(&writer);
}

static void random_files_with_a_right_checksum_do_no_harm(void **state)
{
	uint64_t random = 0x853c49e6748fea9b;
	unsigned n_accepted = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t size;
		uint8_t *data = make_file(&size);
		struct state_reader reader;
		struct error err = { 0 };

		for (int i = 0; i < 3; i++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			data[20 + (random >> 33) % (size - 20)] = (uint8_t)(random >> 56);
		}
		set_checksum(data, size);
		if (state_reader_init(&reader, data, size, &err) == 0) {
			for (uint32_t i = 0; i < reader.n_sections; i++) {
				struct bytes in =
					state_find(&reader, reader.sections[i].type, reader.sections[i].instance);

				bytes_take(&in, bytes_left(&in));
			}
			n_accepted++;
		}
		state_reader_fini(&reader);
	}
	assert_true(n_accepted > 0); /* or the fuzzer never gets far */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checksum_is_the_usual_one),
		cmocka_unit_test(sections_are_read_back),
		cmocka_unit_test(a_section_must_be_there_and_be_read_to_its_end),
		cmocka_unit_test(a_file_that_ends_anywhere_is_truncated),
		cmocka_unit_test(each_wrong_header_has_its_words),
		cmocka_unit_test(a_section_that_is_there_twice_is_damage),
		cmocka_unit_test(any_flipped_bit_is_found),
		cmocka_unit_test(a_state_that_grows_without_end_fails_in_the_end),
		cmocka_unit_test(random_files_with_a_right_checksum_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
