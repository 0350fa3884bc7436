/* All of some bytes at a place of a file, in as many calls as it takes. */
#ifndef HEARTH_VMM_SNAPSHOT_FILE_IO_H
#define HEARTH_VMM_SNAPSHOT_FILE_IO_H

#include <stddef.h>
#include <stdint.h>

/* 0 or -errno. */
int file_write_at(int fd, const void *data, size_t size, uint64_t offset);

/* 0 or -errno; -EIO if the file ends before. */
int file_read_at(int fd, void *data, size_t size, uint64_t offset);

#endif
