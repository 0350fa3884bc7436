#include "files.h"

#include "file_tree.h"
#include "common/agent_protocol.h"
#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/file_piece.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WAITING_MAX = 128 << 10, /* bytes that the host has not taken, before more is read for it */
	INFO_PREFIX = 24,        /* bytes of FILE_INFO before the path */
	DONE_PREFIX = 8,
	LIST_PREFIX = 8,
	READ_PREFIX = 16,
	WRITE_PREFIX = 8,
};

static int root = -1;
static uid_t owner = (uid_t)-1;
static gid_t owner_group = (gid_t)-1;

int files_open(const char *folder, uid_t uid, gid_t gid)
{
	root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	owner = uid;
	owner_group = gid;
	return root < 0 ? -errno : 0;
}

bool files_is_about(uint16_t type)
{
	return type >= AGENT_FILE_LIST && type <= AGENT_FILE_COMMIT;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void send_info(struct execution_host *host, uint64_t request, const char *path, const struct stat *stat)
{
	size_t length = strlen(path);
	struct frame *frame = frame_create(AGENT_FILE_INFO, request, (uint32_t)(INFO_PREFIX + length));
	struct bytes b;

	if (!frame)
		return;
	b = bytes_over(frame_body(frame), frame->length);
	bytes_put_u8(&b, S_ISDIR(stat->st_mode) ? AGENT_FILE_FOLDER : AGENT_FILE_REGULAR);
	bytes_put(&b, "\0\0\0\0\0\0\0", 7);
	bytes_put_u64(&b, (uint64_t)stat->st_size);
	/* A file may be dated before 1970; nobody asks when exactly. */
	bytes_put_u64(&b, stat->st_mtim.tv_sec < 0
				  ? 0
				  : (uint64_t)stat->st_mtim.tv_sec * 1000000000 + (uint64_t)stat->st_mtim.tv_nsec);
	bytes_put(&b, path, length);
	host->send(host, frame);
}

static void send_done(struct execution_host *host, uint64_t request, enum agent_file_status status,
		      const char *sentence)
{
	size_t length = strlen(sentence);
	struct frame *frame = frame_create(AGENT_FILE_DONE, request, (uint32_t)(DONE_PREFIX + length));
	struct bytes b;

	if (!frame)
		return;
	b = bytes_over(frame_body(frame), frame->length);
	bytes_put_u32(&b, status);
	bytes_put_u32(&b, 0);
	bytes_put(&b, sentence, length);
	host->send(host, frame);
}

static enum agent_file_status status_of(int error)
{
	switch (error) {
	case 0:
		return AGENT_FILE_OK;
	case ENOENT:
		return AGENT_FILE_NOT_FOUND;
	case EISDIR:
		return AGENT_FILE_IS_FOLDER;
	case ENOTDIR:
		return AGENT_FILE_NOT_FOLDER;
	case EXDEV: /* the way out */
	case ELOOP:
	case EINVAL:
	case ENAMETOOLONG:
	case ENXIO: /* a socket or a pipe */
		return AGENT_FILE_INVALID;
	case EFBIG:
		return AGENT_FILE_TOO_LARGE;
	case ENOSPC:
	case EDQUOT:
		return AGENT_FILE_NO_SPACE;
	default:
		return AGENT_FILE_FAILED;
	}
}

/* `result` is 0 or -errno. */
static void send_result(struct execution_host *host, uint64_t request, int result)
{
	send_done(host, request, status_of(-result), result ? strerror(-result) : "");
}

/* ---- what is over at once ---------------------------------------------------------------------------------------- */

struct listing {
	struct execution_host *host;
	uint64_t request;
};

static void tell_entry(void *data, const char *path, const struct stat *stat)
{
	struct listing *listing = data;

	send_info(listing->host, listing->request, path, stat);
}

static void list(struct execution_host *host, uint64_t request, const char *path, bool is_recursive)
{
	struct listing listing = { host, request };
	int result = file_tree_list(root, path, is_recursive, AGENT_FILE_ENTRIES_MAX, tell_entry, &listing);

	if (result == 1)
		send_done(host, request, AGENT_FILE_CUT, "");
	else
		send_result(host, request, result);
}

static int look(int fd, struct stat *stat)
{
	if (fd < 0)
		return fd;
	if (fstat(fd, stat) < 0)
		return -errno;
	return S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode) ? 0 : -EINVAL;
}

static void tell(struct execution_host *host, uint64_t request, const char *path)
{
	AUTO_FD int fd = file_tree_open(root, path, O_PATH);
	struct stat stat;
	int result = look(fd, &stat);

	if (result == 0)
		send_info(host, request, path, &stat);
	send_result(host, request, result);
}

/* A link is deleted, not what it leads to. */
static int remove_file(const char *path)
{
	const char *name;
	AUTO_FD int folder = file_tree_open_parent(root, path, false, owner, owner_group, &name);

	if (folder < 0)
		return folder;
	return unlinkat(folder, name, 0) < 0 ? -errno : 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void end(struct file_transfer *t, enum file_transfer_state state)
{
	if (t->state == FILE_TRANSFER_READING || t->state == FILE_TRANSFER_WRITING)
		close(t->fd);
	if (t->state == FILE_TRANSFER_WRITING)
		close(t->folder);
	free(STEAL(&t->path));
	t->state = state;
}

/* `offset` and `length` as in AGENT_FILE_READ. */
static void begin_reading(struct file_transfer *t, struct execution_host *host, uint64_t request, const char *path,
			  uint64_t offset, uint64_t length)
{
	AUTO_FD int fd = file_tree_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat stat;
	uint64_t start, n = 0;
	int result = look(fd, &stat);

	if (result == 0 && S_ISDIR(stat.st_mode))
		result = -EISDIR;
	if (result == 0) {
		n = file_piece((uint64_t)stat.st_size, offset, length, &start);
		result = lseek(fd, (off_t)start, SEEK_SET) < 0 ? -errno : 0;
	}
	if (result < 0) {
		send_result(host, request, result);
		return;
	}
	*t = (struct file_transfer) {
		.state = FILE_TRANSFER_READING,
		.request = request,
		.fd = steal_fd(&fd),
		.left = n,
	};
	send_info(host, request, path, &stat);
	if (t->left == 0) {
		end(t, FILE_TRANSFER_NONE);
		send_result(host, request, 0);
	}
}

bool files_has_more(const struct file_transfer *t)
{
	return t->state == FILE_TRANSFER_READING;
}

void files_go_on(struct file_transfer *t, struct execution_host *host)
{
	size_t size = t->left < AGENT_FILE_CHUNK_MAX ? (size_t)t->left : AGENT_FILE_CHUNK_MAX;
	struct frame *frame;
	ssize_t n;

	if (t->state != FILE_TRANSFER_READING || host->waiting(host) >= WAITING_MAX)
		return;
	frame = frame_create(AGENT_FILE_DATA, t->request, (uint32_t)size);
	n = frame ? read(t->fd, frame_body(frame), size) : -1;
	if (n <= 0) {
		frame_destroy(frame);
		end(t, FILE_TRANSFER_NONE);
		send_done(host, t->request, AGENT_FILE_FAILED, n ? "it cannot be read" : "it became shorter");
		return;
	}
	frame_truncate(frame, (uint32_t)n);
	t->left -= (uint64_t)n;
	if (t->left == 0)
		end(t, FILE_TRANSFER_NONE);
	host->send(host, frame);
	if (t->state == FILE_TRANSFER_NONE)
		send_result(host, t->request, 0);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* A file without a name in the folder that it will be in: it vanishes with its descriptor. */
static int create_nameless(int folder, const char *name)
{
	struct stat stat;
	int fd;

	if (fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(stat.st_mode))
		return -EISDIR;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	fd = openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

static void begin_writing(struct file_transfer *t, struct execution_host *host, uint64_t request, const char *path,
			  uint64_t size_max)
{
	const char *name;
	AUTO_FD int folder = file_tree_open_parent(root, path, true, owner, owner_group, &name);
	int fd = folder < 0 ? folder : create_nameless(folder, name);
	char *copy = fd < 0 ? NULL : strdup(path);

	*t = (struct file_transfer) { .state = FILE_TRANSFER_REFUSED, .request = request };
	if (fd < 0 || !copy) {
		if (fd >= 0)
			close(fd);
		send_result(host, request, fd < 0 ? fd : -ENOMEM);
		return;
	}
	*t = (struct file_transfer) {
		.state = FILE_TRANSFER_WRITING,
		.request = request,
		.fd = fd,
		.folder = steal_fd(&folder),
		.path = copy,
		.left = size_max,
	};
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static void take_data(struct file_transfer *t, struct execution_host *host, const struct frame *frame)
{
	int result = -EFBIG;

	if (frame->length <= t->left)
		result = write_all(t->fd, frame_body(frame), frame->length);
	if (result == 0) {
		t->left -= frame->length;
		return;
	}
	end(t, FILE_TRANSFER_REFUSED);
	send_result(host, t->request, result);
}

/* linkat() does not replace what is there: the file gets a name of its own first, for the moment of two system calls. */
static int give_name(const struct file_transfer *t, struct stat *stat)
{
	static unsigned int counter;
	const char *slash = strrchr(t->path, '/'), *name = slash ? slash + 1 : t->path;
	char link[48], temporary[48];
	int result = 0;

	if (owner != (uid_t)-1 && fchown(t->fd, owner, owner_group) < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", t->fd);
	do
		snprintf(temporary, sizeof(temporary), ".hearth-upload-%u", counter++);
	while (linkat(AT_FDCWD, link, t->folder, temporary, AT_SYMLINK_FOLLOW) < 0 && (result = -errno) == -EEXIST);
	if (result < 0 && result != -EEXIST)
		return result;
	if (renameat(t->folder, temporary, t->folder, name) < 0) {
		result = -errno;
		unlinkat(t->folder, temporary, 0);
		return result;
	}
	return fstat(t->fd, stat) < 0 ? -errno : 0;
}

static void commit(struct file_transfer *t, struct execution_host *host)
{
	struct stat stat = { 0 };
	int result = give_name(t, &stat);

	if (result == 0)
		send_info(host, t->request, t->path, &stat);
	end(t, FILE_TRANSFER_NONE);
	send_result(host, t->request, result);
}

void files_abandon(struct file_transfer *t)
{
	end(t, FILE_TRANSFER_NONE);
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

/* What belongs to a write that goes on, or did until it failed. */
static bool take_piece(struct file_transfer *t, struct execution_host *host, const struct frame *frame)
{
	bool is_commit = frame->type == AGENT_FILE_COMMIT;

	if ((t->state != FILE_TRANSFER_WRITING && t->state != FILE_TRANSFER_REFUSED) || frame->request != t->request ||
	    frame->length > (is_commit ? 0 : AGENT_FILE_CHUNK_MAX))
		return false;
	if (t->state == FILE_TRANSFER_REFUSED)
		t->state = is_commit ? FILE_TRANSFER_NONE : FILE_TRANSFER_REFUSED;
	else if (is_commit)
		commit(t, host);
	else
		take_data(t, host, frame);
	return true;
}

static size_t prefix_of(uint16_t type)
{
	switch (type) {
	case AGENT_FILE_LIST:
		return LIST_PREFIX;
	case AGENT_FILE_READ:
		return READ_PREFIX;
	case AGENT_FILE_WRITE:
		return WRITE_PREFIX;
	default:
		return 0;
	}
}

/* False if there is none: too long, or with a NUL. */
static bool read_path(struct bytes *b, char path[AGENT_FILE_PATH_MAX + 1])
{
	size_t length = bytes_left(b);
	const uint8_t *bytes = length <= AGENT_FILE_PATH_MAX ? bytes_take(b, length) : NULL;

	if (!bytes || memchr(bytes, '\0', length))
		return false;
	memcpy(path, bytes, length);
	path[length] = '\0';
	return true;
}

static void begin(struct file_transfer *t, struct execution_host *host, const struct frame *frame,
		  const uint64_t numbers[2], const char *path)
{
	switch (frame->type) {
	case AGENT_FILE_LIST:
		list(host, frame->request, path, numbers[0] == 1);
		break;
	case AGENT_FILE_STAT:
		tell(host, frame->request, path);
		break;
	case AGENT_FILE_READ:
		begin_reading(t, host, frame->request, path, numbers[0], numbers[1]);
		break;
	case AGENT_FILE_WRITE:
		begin_writing(t, host, frame->request, path, numbers[0]);
		break;
	default:
		send_result(host, frame->request, remove_file(path));
	}
}

bool files_take(struct file_transfer *t, struct execution_host *host, const struct frame *frame)
{
	struct bytes b = bytes_from(frame_body(frame), frame->length);
	char path[AGENT_FILE_PATH_MAX + 1];
	uint64_t numbers[2] = { 0 };

	if (frame->type == AGENT_FILE_DATA || frame->type == AGENT_FILE_COMMIT)
		return take_piece(t, host, frame);
	if (t->state != FILE_TRANSFER_NONE)
		return false;
	for (size_t i = 0; i < prefix_of(frame->type) / sizeof(numbers[0]); i++)
		numbers[i] = bytes_get_u64(&b);
	if (b.failed || (frame->type == AGENT_FILE_LIST && numbers[0] > 1))
		return false;
	if (root >= 0 && read_path(&b, path)) {
		begin(t, host, frame, numbers, path);
		return true;
	}
	if (frame->type == AGENT_FILE_WRITE)
		*t = (struct file_transfer) { .state = FILE_TRANSFER_REFUSED, .request = frame->request };
	if (root < 0)
		send_done(host, frame->request, AGENT_FILE_FAILED, "there is no data folder");
	else
		send_done(host, frame->request, AGENT_FILE_INVALID, "the path is too long or has a NUL");
	return true;
}
