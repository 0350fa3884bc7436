#include "vmm/snapshot/file_io.h"

#include <errno.h>
#include <unistd.h>

int file_write_at(int fd, const void *data, size_t size, uint64_t offset)
{
	const uint8_t *from = data;

	while (size > 0) {
		ssize_t n = pwrite(fd, from, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int file_read_at(int fd, void *data, size_t size, uint64_t offset)
{
	uint8_t *to = data;

	while (size > 0) {
		ssize_t n = pread(fd, to, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		to += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}
