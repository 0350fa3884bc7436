/* A guest kernel: what it loads lies within the range that it was given. */
#include "tests/fuzz/fuzz.h"
#include "vmm/elf.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMORY_SIZE = 4 << 20, FIRST = 1 << 20, END = 3 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);
	struct guest_memory memory;
	struct error err = { 0 };
	gpa_t entry;

	FUZZ_CHECK(guest_memory_init(&memory, MEMORY_SIZE) == 0);
	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (elf_load(fd, &memory, FIRST, END, &entry, &err) == 0)
		FUZZ_CHECK(entry >= FIRST && entry < END);
	else
		FUZZ_CHECK(*err.text);
	close(fd);
	guest_memory_fini(&memory);
	return 0;
}
