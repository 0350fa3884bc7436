#include "vmm/elf.h"

#include "vmm/snapshot/file_io.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { SEGMENTS_MAX = 64 };

static int read_at(int fd, void *data, uint64_t size, uint64_t offset, struct error *err)
{
	const int status = file_read_at(fd, data, size, offset);

	return status < 0 ? error_set(err, -status, "cannot read it: %s", strerror(-status)) : 0;
}

static int check_header(const Elf64_Ehdr *header, uint64_t file_size, struct error *err)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return error_set(err, ENOEXEC, "not an ELF file; an uncompressed vmlinux is needed, not a bzImage");
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != EM_X86_64)
		return error_set(err, ENOEXEC, "not for x86-64");
	if (header->e_type != ET_EXEC)
		return error_set(err, ENOEXEC, "an ELF file, but not a linked kernel (its type is %u)", header->e_type);
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 || header->e_phnum > SEGMENTS_MAX)
		return error_set(err, ENOEXEC, "its table of segments is not sensible");
	if (header->e_phoff > file_size || header->e_phnum * sizeof(Elf64_Phdr) > file_size - header->e_phoff)
		return error_set(err, ENOEXEC, "its table of segments lies outside of the file");
	return 0;
}

static int check_segment(const Elf64_Phdr *segment, uint64_t file_size, gpa_t first, gpa_t end, struct error *err)
{
	if (segment->p_filesz > segment->p_memsz)
		return error_set(err, ENOEXEC, "a segment has more bytes in the file than in memory");
	if (segment->p_offset > file_size || segment->p_filesz > file_size - segment->p_offset)
		return error_set(err, ENOEXEC, "a segment lies outside of the file");
	if (segment->p_paddr < first || segment->p_paddr >= end || segment->p_memsz > end - segment->p_paddr)
		return error_set(err, ENOEXEC, "a segment of %llu bytes at 0x%llx does not fit into [0x%llx, 0x%llx)",
				 (unsigned long long)segment->p_memsz, (unsigned long long)segment->p_paddr,
				 (unsigned long long)first, (unsigned long long)end);
	return 0;
}

static bool overlap(const Elf64_Phdr *a, const Elf64_Phdr *b)
{
	return a->p_paddr < b->p_paddr + b->p_memsz && b->p_paddr < a->p_paddr + a->p_memsz;
}

/* Drops what is not loaded, checks the rest. The number of segments to load, or negative. */
static int select_segments(Elf64_Phdr *segments, unsigned n_segments, uint64_t file_size, gpa_t first, gpa_t end,
			   struct error *err)
{
	unsigned n_loaded = 0;

	for (unsigned i = 0; i < n_segments; i++) {
		const Elf64_Phdr segment = segments[i];
		int status;

		if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
			continue;
		status = check_segment(&segment, file_size, first, end, err);
		if (status < 0)
			return status;
		for (unsigned j = 0; j < n_loaded; j++)
			if (overlap(&segment, &segments[j]))
				return error_set(err, ENOEXEC, "two of its segments overlap");
		segments[n_loaded++] = segment;
	}
	if (n_loaded == 0)
		return error_set(err, ENOEXEC, "nothing in it is to be loaded");
	return (int)n_loaded;
}

static bool contains(const Elf64_Phdr *segments, int n_segments, gpa_t address)
{
	for (int i = 0; i < n_segments; i++)
		if (address >= segments[i].p_paddr && address - segments[i].p_paddr < segments[i].p_memsz)
			return true;
	return false;
}

int elf_load(int fd, const struct guest_memory *memory, gpa_t first, gpa_t end, gpa_t *entry, struct error *err)
{
	Elf64_Ehdr header = { 0 };
	Elf64_Phdr segments[SEGMENTS_MAX] = { 0 };
	struct stat file;
	int status, n_segments;

	if (fstat(fd, &file) < 0)
		return error_set(err, errno, "cannot read it: %s", strerror(errno));
	if (!S_ISREG(file.st_mode))
		return error_set(err, ENOEXEC, "not a regular file");
	if ((uint64_t)file.st_size < sizeof(header))
		return error_set(err, ENOEXEC, "the file ends too early");
	status = read_at(fd, &header, sizeof(header), 0, err);
	if (status == 0)
		status = check_header(&header, (uint64_t)file.st_size, err);
	if (status == 0)
		status = read_at(fd, segments, header.e_phnum * sizeof(segments[0]), header.e_phoff, err);
	if (status < 0)
		return status;
	n_segments = select_segments(segments, header.e_phnum, (uint64_t)file.st_size, first, end, err);
	if (n_segments < 0)
		return n_segments;
	if (!contains(segments, n_segments, header.e_entry))
		return error_set(err, ENOEXEC, "its entry point is not in a loaded segment");

	for (int i = 0; i < n_segments; i++) {
		void *host = guest_memory_get(memory, segments[i].p_paddr, segments[i].p_memsz);

		if (!host)
			return error_set(err, ENOEXEC, "a segment does not lie in the guest's memory");
		status = read_at(fd, host, segments[i].p_filesz, segments[i].p_offset, err);
		if (status < 0)
			return status;
	}
	*entry = header.e_entry;
	return 0;
}
