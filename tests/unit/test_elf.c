#include "vmm/elf.h"
#include "vmm/machine.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum {
	MEMORY_SIZE = 16 << 20,
	FIRST = 1 << 20,
	SEGMENT_OFFSET = 0x1000,
	SEGMENT_SIZE = 0x800,
	LOADED_AT = 2 << 20,
};

/* A kernel that is right; tests spoil it. */
struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segments[3];
};

static struct guest_memory memory;

static struct image good(void)
{
	struct image image = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = LOADED_AT + 16,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3,
		},
		.segments = {
			{ .p_type = PT_NOTE, .p_offset = UINT64_MAX, .p_filesz = UINT64_MAX },
			{ .p_type = PT_LOAD, .p_offset = SEGMENT_OFFSET, .p_filesz = SEGMENT_SIZE, .p_memsz = 0x3000,
			  .p_paddr = LOADED_AT, .p_vaddr = 0xffffffff81000000 },
			{ .p_type = PT_LOAD, .p_offset = SEGMENT_OFFSET, .p_filesz = 16, .p_memsz = 16,
			  .p_paddr = LOADED_AT + 0x3000 },
		},
	};

	return image;
}

static int load_bytes(const void *image, size_t size, gpa_t *entry, struct error *err)
{
	uint8_t content[SEGMENT_SIZE];
	int fd = memfd_create("kernel", MFD_CLOEXEC);
	int status;

	memset(content, 0x5a, sizeof(content));
	assert_int_equal(pwrite(fd, content, sizeof(content), SEGMENT_OFFSET), sizeof(content));
	assert_int_equal(pwrite(fd, image, size, 0), size);
	assert_int_equal(guest_memory_init(&memory, MEMORY_SIZE), 0);
	status = elf_load(fd, &memory, FIRST, MEMORY_SIZE, entry, err);
	close(fd);
	return status;
}

static void refused(const struct image *image, const char *why)
{
	struct error err = { 0 };
	gpa_t entry;

	assert_true(load_bytes(image, sizeof(*image), &entry, &err) < 0);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
	guest_memory_fini(&memory);
}

static void a_kernel_is_loaded_to_its_physical_addresses(void **state)
{
	const struct image image = good();
	struct error err = { 0 };
	gpa_t entry;
	const uint8_t *at;

	(void)state;
	assert_int_equal(load_bytes(&image, sizeof(image), &entry, &err), 0);
	assert_int_equal(entry, LOADED_AT + 16);
	at = guest_memory_get(&memory, LOADED_AT, 0x4000);
	assert_int_equal(at[0], 0x5a);
	assert_int_equal(at[SEGMENT_SIZE - 1], 0x5a);
	assert_int_equal(at[SEGMENT_SIZE], 0); /* the rest of the segment is zero */
	assert_int_equal(at[0x3000], 0x5a);
	guest_memory_fini(&memory);
}

static void other_files_are_refused(void **state)
{
	struct image image = good();

	(void)state;
	image.header.e_ident[0] = 'M';
	refused(&image, "not an ELF file");
	image = good();
	image.header.e_ident[EI_CLASS] = ELFCLASS32;
	refused(&image, "not for x86-64");
	image = good();
	image.header.e_ident[EI_DATA] = ELFDATA2MSB;
	refused(&image, "not for x86-64");
	image = good();
	image.header.e_machine = EM_AARCH64;
	refused(&image, "not for x86-64");
	image = good();
	image.header.e_type = ET_DYN;
	refused(&image, "not a linked kernel");
}

static void a_short_file_is_refused(void **state)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	struct error err = { 0 };
	gpa_t entry;

	(void)state;
	assert_int_equal(guest_memory_init(&memory, MEMORY_SIZE), 0);
	assert_true(elf_load(fd, &memory, FIRST, MEMORY_SIZE, &entry, &err) < 0);
	assert_int_equal(write(fd, ELFMAG, SELFMAG), SELFMAG);
	assert_true(elf_load(fd, &memory, FIRST, MEMORY_SIZE, &entry, &err) < 0);
	assert_non_null(strstr(err.text, "ends too early"));
	guest_memory_fini(&memory);
	close(fd);
}

static void a_table_of_segments_that_makes_no_sense_is_refused(void **state)
{
	struct image image = good();

	(void)state;
	image.header.e_phnum = 0;
	refused(&image, "not sensible");
	image.header.e_phnum = 0xffff;
	refused(&image, "not sensible");
	image = good();
	image.header.e_phentsize = 0;
	refused(&image, "not sensible");
	image = good();
	image.header.e_phoff = UINT64_MAX;
	refused(&image, "outside of the file");
	image.header.e_phoff = UINT64_MAX - sizeof(Elf64_Phdr) + 1;
	refused(&image, "outside of the file");
	image.header.e_phoff = SEGMENT_OFFSET + SEGMENT_SIZE - 1;
	refused(&image, "outside of the file");
}

static void segments_outside_of_the_file_are_refused(void **state)
{
	struct image image = good();

	(void)state;
	image.segments[1].p_offset = SEGMENT_OFFSET + 1;
	refused(&image, "outside of the file");
	image.segments[1].p_offset = UINT64_MAX - 10;
	refused(&image, "outside of the file");
	image = good();
	image.segments[1].p_filesz = image.segments[1].p_memsz + 1;
	refused(&image, "more bytes in the file than in memory");
}

static void segments_outside_of_memory_are_refused(void **state)
{
	static const struct {
		uint64_t address, size;
	} wrong[] = {
		{ 0, 0x3000 }, /* over the boot structures */
		{ FIRST - 1, 0x3000 },
		{ MEMORY_SIZE, 0x3000 },
		{ MEMORY_SIZE - 0x2fff, 0x3000 },
		{ UINT64_MAX - 0x1000, 0x3000 },
		{ LOADED_AT, UINT64_MAX },
		{ LOADED_AT, UINT64_MAX - LOADED_AT + 1 },
		{ 0xffffffff81000000, 0x3000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct image image = good();

		image.segments[1].p_paddr = wrong[i].address;
		image.segments[1].p_memsz = wrong[i].size;
		refused(&image, "does not fit");
	}
}

static void overlapping_segments_are_refused(void **state)
{
	struct image image = good();

	(void)state;
	image.segments[2].p_paddr = LOADED_AT + 0x2fff;
	refused(&image, "overlap");
}

static void an_entry_outside_of_what_is_loaded_is_refused(void **state)
{
	struct image image = good();

	(void)state;
	image.header.e_entry = LOADED_AT + 0x3010;
	refused(&image, "entry point");
	image.header.e_entry = LOADED_AT - 1;
	refused(&image, "entry point");
	image.header.e_entry = 0xffffffff81000010;
	refused(&image, "entry point");
}

static void a_file_with_nothing_to_load_is_refused(void **state)
{
	struct image image = good();

	(void)state;
	image.segments[1].p_type = image.segments[2].p_type = PT_NOTE;
	refused(&image, "nothing in it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_is_loaded_to_its_physical_addresses),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(a_short_file_is_refused),
		cmocka_unit_test(a_table_of_segments_that_makes_no_sense_is_refused),
		cmocka_unit_test(segments_outside_of_the_file_are_refused),
		cmocka_unit_test(segments_outside_of_memory_are_refused),
		cmocka_unit_test(overlapping_segments_are_refused),
		cmocka_unit_test(an_entry_outside_of_what_is_loaded_is_refused),
		cmocka_unit_test(a_file_with_nothing_to_load_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
