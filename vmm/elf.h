/*
 * Loads an ELF kernel (an uncompressed vmlinux) to the physical addresses of its segments. The file is a user's: every
 * number in it is checked against the file's size and the guest's memory.
 */
#ifndef HEARTH_VMM_ELF_H
#define HEARTH_VMM_ELF_H

#include "common/error.h"
#include "vmm/guest_memory.h"

/*
 * Loads from `fd` into [first, end) of the guest, which must be zero there: what a segment does not have in the file
 * stays as it is. *entry is the physical address to start at, inside a loaded segment. Negative with *err set if the
 * file is not such a kernel or does not fit.
 */
int elf_load(int fd, const struct guest_memory *memory, gpa_t first, gpa_t end, gpa_t *entry, struct error *err);

#endif
