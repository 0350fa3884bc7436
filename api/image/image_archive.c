#include "api/image/image_archive.h"

#include "common/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_SIZE = 64 * 1024 };

/* Of what libarchive knows, those that are used; for some others it would start programs. */
static void support_compression(struct archive *archive)
{
	archive_read_support_filter_gzip(archive);
	archive_read_support_filter_bzip2(archive);
	archive_read_support_filter_xz(archive);
	archive_read_support_filter_zstd(archive);
}

struct archive *image_archive_open(const char *path, bool is_raw, struct error *err)
{
	struct archive *archive = archive_read_new();

	if (!archive) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	support_compression(archive);
	if (is_raw)
		archive_read_support_format_raw(archive);
	else
		archive_read_support_format_tar(archive);
	if (archive_read_open_filename(archive, path, BLOCK_SIZE) == ARCHIVE_OK)
		return archive;
	error_set(err, EINVAL, "it is damaged: %s", archive_error_string(archive));
	archive_read_free(archive);
	return NULL;
}

const char *image_archive_member(struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);

	if (!name)
		return "";
	return text_begins_with(name, "./") ? name + 2 : name;
}

/* libarchive gives the bytes of holes as well: what is counted is what is written. */
int image_archive_copy(struct archive *archive, int fd, uint64_t size_max, uint64_t *total, struct error *err)
{
	char block[BLOCK_SIZE];
	la_ssize_t size;

	while ((size = archive_read_data(archive, block, sizeof(block))) > 0) {
		*total += (uint64_t)size;
		if (*total > size_max)
			return error_set(err, EINVAL,
					 "it is larger than %llu MiB when uncompressed: --max-size allows more",
					 (unsigned long long)(size_max >> 20));
		for (ssize_t done = 0, n; done < size; done += n)
			if ((n = write(fd, block + done, (size_t)(size - done))) < 0)
				return error_set(err, errno, "cannot uncompress it: %s", strerror(errno));
	}
	return size == 0 ? 0 : error_set(err, EINVAL, "it is damaged: %s", archive_error_string(archive));
}
