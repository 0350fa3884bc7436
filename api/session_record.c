#include "api/session_record.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	FORMAT = 1,
	TEXT_MAX = 4096,
};

int session_record_write(const struct session_record *r, const char *path)
{
	AUTO_FD int fd = -1;
	char text[TEXT_MAX], fresh[SNAPSHOT_PATH_MAX + 32], memory[96] = "";
	int length;

	if (r->snapshot_inode)
		snprintf(memory, sizeof(memory), "snapshot_inode=%" PRId64 "\nsnapshot_changed_ns=%" PRId64 "\n",
			 r->snapshot_inode, r->snapshot_changed_ns);
	/* What is always there comes last: a record that was cut off has not got it. */
	length = snprintf(text, sizeof(text),
			  "format=%d\nidentifier=%s\nguid=%s\npool=%s\ncreated_ms=%" PRId64
			  "\nwas_used=%d\nmemory_mib=%u\nvcpus=%u\n%s%ssnapshot=%s\n",
			  FORMAT, r->identifier, r->guid, r->pool, r->created_ms, r->was_used, r->shape.memory_mib,
			  r->shape.n_vcpus, r->shape.has_network ? "network=1\n" : "", memory, r->snapshot);
	if ((size_t)length >= sizeof(text) || (size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >= sizeof(fresh))
		return -ENAMETOOLONG;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)length) != length)
		return errno ? -errno : -EIO;
	return rename(fresh, path) < 0 ? -errno : 0;
}

static bool get_number(const char *value, int64_t lowest, int64_t highest, int64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoll(value, &end, 10);
	return *value && !*end && errno == 0 && *number >= lowest && *number <= highest;
}

static bool get_text(const char *value, size_t shortest, char *text, size_t size)
{
	size_t length = strlen(value);

	if (length < shortest || length >= size)
		return false;
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c == 0x7f)
			return false;
	memcpy(text, value, length + 1);
	return true;
}

/* The bit of the key that was taken, 0 for an unknown key, -1 for a wrong value. */
static int take_line(struct session_record *r, const char *key, const char *value)
{
	int64_t number;

	if (strcmp(key, "format") == 0)
		return get_number(value, FORMAT, FORMAT, &number) ? 1 << 0 : -1;
	if (strcmp(key, "identifier") == 0)
		return get_text(value, 1, r->identifier, sizeof(r->identifier)) ? 1 << 1 : -1;
	if (strcmp(key, "guid") == 0)
		return get_text(value, GUID_SIZE - 1, r->guid, sizeof(r->guid)) ? 1 << 2 : -1;
	if (strcmp(key, "pool") == 0)
		return get_text(value, 1, r->pool, sizeof(r->pool)) ? 1 << 3 : -1;
	if (strcmp(key, "created_ms") == 0)
		return get_number(value, 0, INT64_MAX, &r->created_ms) ? 1 << 4 : -1;
	if (strcmp(key, "snapshot") == 0)
		return get_text(value, 0, r->snapshot, sizeof(r->snapshot)) ? 1 << 5 : -1;
	if (strcmp(key, "was_used") == 0) {
		if (!get_number(value, 0, 1, &number))
			return -1;
		r->was_used = number != 0;
		return 1 << 6;
	}
	if (strcmp(key, "memory_mib") == 0) {
		if (!get_number(value, 1, 1 << 20, &number))
			return -1;
		r->shape.memory_mib = (uint32_t)number;
		return 1 << 7;
	}
	if (strcmp(key, "vcpus") == 0) {
		if (!get_number(value, 1, 1024, &number))
			return -1;
		r->shape.n_vcpus = (uint32_t)number;
		return 1 << 8;
	}
	if (strcmp(key, "snapshot_inode") == 0) /* these where there are some */
		return get_number(value, INT64_MIN, INT64_MAX, &r->snapshot_inode) ? 0 : -1;
	if (strcmp(key, "snapshot_changed_ns") == 0)
		return get_number(value, INT64_MIN, INT64_MAX, &r->snapshot_changed_ns) ? 0 : -1;
	if (strcmp(key, "network") == 0) {
		if (!get_number(value, 0, 1, &number))
			return -1;
		r->shape.has_network = number != 0;
	}
	return 0;
}

static int parse(struct session_record *r, char *text)
{
	enum { ALL = (1 << 9) - 1 };
	int found = 0;
	char *rest = text;

	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		char *equals = strchr(line, '=');
		int bit = 0;

		if (equals) {
			*equals = '\0';
			bit = take_line(r, line, equals + 1);
		}
		if (bit < 0 || (*line && !equals))
			return -EINVAL;
		found |= bit;
	}
	return found == ALL ? 0 : -EINVAL;
}

int session_record_read(struct session_record *r, const char *path, struct error *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[TEXT_MAX + 1];
	struct stat st;
	ssize_t n;

	*r = (struct session_record) { 0 };
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
	n = read(fd, text, TEXT_MAX);
	if (n < 0)
		return error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
	text[n] = '\0';
	if (strlen(text) != (size_t)n || parse(r, text) < 0)
		return error_set(err, EINVAL, "%s is no record of a session of this version", path);
	r->was_busy = st.st_mtim.tv_sec == 0;
	r->last_end_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	return 0;
}

void session_record_touch(const char *path, bool is_busy)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = is_busy ? 0 : UTIME_NOW } };

	/* A session without a record cannot be taken over; nothing else depends on it. */
	utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}
