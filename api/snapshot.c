#include "api/snapshot.h"

#include "api/folder.h"
#include "common/cleanup.h"
#include "common/hex.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define UNFINISHED "unfinished-"

/* All that are open: one folder is one snapshot, whoever opens it. */
static struct snapshot *open_snapshots;

/* ---- the files --------------------------------------------------------------------------------------------------- */

static int join(char *path, size_t size, const char *folder, const char *name)
{
	return (size_t)snprintf(path, size, "%s/%s", folder, name) < size ? 0 : -ENAMETOOLONG;
}

static bool find_file(const char *folder, const char *name, struct stat *st)
{
	char path[SNAPSHOT_PATH_MAX + 32];

	return join(path, sizeof(path), folder, name) == 0 && stat(path, st) == 0 && S_ISREG(st->st_mode);
}

static bool has_file(const char *folder, const char *name)
{
	struct stat st;

	return find_file(folder, name, &st);
}

static bool find_memory(struct snapshot *s, const char *folder)
{
	struct stat st;

	if (!find_file(folder, "memory", &st))
		return false;
	s->memory_inode = (int64_t)st.st_ino;
	s->memory_changed_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	return true;
}

int file_identity(const char *path, char *text, size_t size, struct error *err)
{
	AUTO_FREE char *real = realpath(path, NULL);
	struct stat st;
	int length;

	if (!real || stat(real, &st) < 0)
		return error_set(err, errno, "cannot look at %s: %s", path, strerror(errno));
	length = snprintf(text, size, "%s inode=%llu size=%lld changed=%lld.%09ld", real, (unsigned long long)st.st_ino,
			  (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if ((size_t)length >= size || strchr(real, '\n'))
		return error_set(err, EINVAL, "the path %s is too long, or no path for a file of settings", real);
	return 0;
}

static int write_machine(const char *folder, const struct snapshot_machine *machine)
{
	char path[SNAPSHOT_PATH_MAX + 32];
	FILE *file;
	int rc = join(path, sizeof(path), folder, "machine");

	if (rc < 0)
		return rc;
	file = fopen(path, "wxe");
	if (!file)
		return -errno;
	fprintf(file, "memory_mib=%u\nvcpus=%u\nnetwork=%d\ndisk=%s\n", machine->shape.memory_mib,
		machine->shape.n_vcpus, machine->shape.has_network, machine->disk);
	rc = fflush(file) == 0 && fsync(fileno(file)) == 0 ? 0 : -errno;
	fclose(file);
	return rc;
}

static int read_machine(const char *folder, struct snapshot_machine *machine)
{
	char path[SNAPSHOT_PATH_MAX + 32], line[SNAPSHOT_DISK_MAX + 64];
	FILE *file;
	unsigned int found = 0;

	if (join(path, sizeof(path), folder, "machine") < 0)
		return -ENAMETOOLONG;
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "memory_mib=", 11) == 0)
			machine->shape.memory_mib = (uint32_t)strtoul(line + 11, NULL, 10);
		else if (strncmp(line, "vcpus=", 6) == 0)
			machine->shape.n_vcpus = (uint32_t)strtoul(line + 6, NULL, 10);
		else if (strncmp(line, "disk=", 5) == 0)
			snprintf(machine->disk, sizeof(machine->disk), "%.*s", SNAPSHOT_DISK_MAX - 1, line + 5);
		else {
			/* Older ones do not say. */
			machine->shape.has_network |= strcmp(line, "network=1") == 0;
			continue;
		}
		found++;
	}
	fclose(file);
	return found == 3 && machine->shape.memory_mib && machine->shape.n_vcpus ? 0 : -EINVAL;
}

/* ---- one that is there ------------------------------------------------------------------------------------------- */

/* How many files kind.0, kind.1 … there are. */
static unsigned int count_files(const char *folder, const char *kind, unsigned int max)
{
	char name[16];
	unsigned int n = 0;

	for (;; n++) {
		snprintf(name, sizeof(name), "%s.%u", kind, n);
		if (n == max || !has_file(folder, name))
			return n;
	}
}

struct snapshot *snapshot_find_open(const char *folder)
{
	for (struct snapshot *s = open_snapshots; s; s = s->next)
		if (strcmp(s->folder, folder) == 0)
			return s;
	return NULL;
}

struct snapshot *snapshot_open(uv_loop_t *loop, const char *folder, struct error *err)
{
	struct snapshot *there = snapshot_find_open(folder);
	AUTO_FREE struct snapshot *s = there ? NULL : calloc(1, sizeof(*s));
	int rc;

	if (there)
		return snapshot_hold(there);
	rc = s ? read_machine(folder, &s->machine) : -ENOMEM;
	if (rc == 0 && (!has_file(folder, "state") || !find_memory(s, folder)))
		rc = -ENOENT;
	if (rc == 0)
		rc = (size_t)snprintf(s->folder, sizeof(s->folder), "%s", folder) < sizeof(s->folder) ? 0
												      : -ENAMETOOLONG;
	if (rc < 0) {
		error_set(err, -rc, "%s holds no whole snapshot: %s", folder, strerror(-rc));
		return NULL;
	}
	s->n_layers = count_files(folder, "base", SNAPSHOT_LAYERS_MAX) + 1;
	s->n_disks = count_files(folder, "disk", SNAPSHOT_DISKS_MAX);
	s->has_working_set = has_file(folder, "working-set");
	s->n_holders = 1;
	s->loop = loop;
	s->next = open_snapshots;
	open_snapshots = s;
	return STEAL(&s);
}

struct snapshot *snapshot_hold(struct snapshot *s)
{
	s->n_holders++;
	return s;
}

void snapshot_release(struct snapshot *s)
{
	struct snapshot **link = &open_snapshots;

	if (!s || --s->n_holders)
		return;
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	if (s->is_temporary)
		folder_remove_later(s->loop, s->folder);
	free(s);
}

void snapshot_remove(uv_loop_t *loop, const char *folder)
{
	struct snapshot *s = snapshot_find_open(folder);

	if (s)
		s->is_temporary = true;
	else
		folder_remove_later(loop, folder);
}

int snapshot_rename(const char *from, const char *to)
{
	struct snapshot *s = snapshot_find_open(from);

	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
		return -errno;
	if (s)
		snprintf(s->folder, sizeof(s->folder), "%s", to);
	return 0;
}

void snapshot_memory_path(const struct snapshot *s, unsigned int layer, char *path, size_t size)
{
	if (layer + 1 == s->n_layers)
		snprintf(path, size, "%s/memory", s->folder);
	else
		snprintf(path, size, "%s/base.%u", s->folder, layer);
}

void snapshot_disk_path(const struct snapshot *s, unsigned int i, char *path, size_t size)
{
	snprintf(path, size, "%s/disk.%u", s->folder, i);
}

uint64_t snapshot_own_bytes(const struct snapshot *s)
{
	static const char *const own[] = { "state", "memory", "working-set" };
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		char path[SNAPSHOT_PATH_MAX + 32];
		struct stat st;

		if (join(path, sizeof(path), s->folder, own[i]) == 0 && stat(path, &st) == 0)
			n += (uint64_t)st.st_blocks * 512;
	}
	return n;
}

/* ---- one that is written ----------------------------------------------------------------------------------------- */

bool snapshot_is_unfinished(const char *name)
{
	return strncmp(name, UNFINISHED, sizeof(UNFINISHED) - 1) == 0;
}

static int make_folder(struct snapshot_writer *w, const char *root)
{
	uint8_t random[6];
	char name[32] = UNFINISHED;
	int rc;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -errno;
	hex_write(name + sizeof(UNFINISHED) - 1, random, sizeof(random));
	rc = join(w->folder, sizeof(w->folder), root, name);
	if (rc == 0 && mkdir(w->folder, 0700) < 0)
		rc = -errno;
	if (rc < 0)
		w->folder[0] = '\0';
	return rc;
}

static int make_file(const char *folder, const char *name)
{
	char path[SNAPSHOT_PATH_MAX + 32];
	int fd;

	if (join(path, sizeof(path), folder, name) < 0)
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int link_bases(const char *folder, const struct snapshot *parent)
{
	for (unsigned int i = 0; i < parent->n_layers; i++) {
		char from[SNAPSHOT_PATH_MAX + 32], to[SNAPSHOT_PATH_MAX + 32];

		snapshot_memory_path(parent, i, from, sizeof(from));
		snprintf(to, sizeof(to), "%s/base.%u", folder, i);
		if (link(from, to) < 0)
			return -errno;
	}
	return 0;
}

/* Where it cannot be a hard link it is a symbolic one: it does not stay then if the file is removed. */
int snapshot_writer_add_disk(const struct snapshot_writer *w, unsigned int i, const char *path)
{
	AUTO_FREE char *real = realpath(path, NULL);
	char to[SNAPSHOT_PATH_MAX + 32];

	snprintf(to, sizeof(to), "%s/disk.%u", w->folder, i);
	if (!real)
		return -errno;
	if (link(real, to) == 0)
		return 0;
	return symlink(real, to) < 0 ? -errno : 0;
}

static int add_disks(const struct snapshot_writer *w, const struct snapshot *parent)
{
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < parent->n_disks; i++) {
		char from[SNAPSHOT_PATH_MAX + 32];

		snapshot_disk_path(parent, i, from, sizeof(from));
		rc = snapshot_writer_add_disk(w, i, from);
	}
	return rc;
}

/* Its parent's, which tells well enough what a session touches. One that cannot be linked is done without. */
static void link_working_set(const char *folder, const struct snapshot *parent)
{
	char from[SNAPSHOT_PATH_MAX + 32], to[SNAPSHOT_PATH_MAX + 32];

	if (parent->has_working_set && join(from, sizeof(from), parent->folder, "working-set") == 0 &&
	    join(to, sizeof(to), folder, "working-set") == 0 && link(from, to) < 0)
		log_debug("%s: %s", to, strerror(errno));
}

static void close_files(struct snapshot_writer *w)
{
	cleanup_fd(&w->state_fd);
	cleanup_fd(&w->memory_fd);
	w->state_fd = w->memory_fd = -1;
}

int snapshot_writer_open(struct snapshot_writer *w, const char *root, const struct snapshot *parent,
			 const struct snapshot_machine *machine, struct error *err)
{
	int rc = 0;

	*w = (struct snapshot_writer) { .state_fd = -1, .memory_fd = -1 };
	if (parent && parent->n_layers + 1 > SNAPSHOT_LAYERS_MAX)
		return error_set(
			err, EMLINK,
			"its memory is a chain of %u snapshots already, and %d are the most: run the code anew "
			"in a fresh session",
			parent->n_layers, SNAPSHOT_LAYERS_MAX);
	rc = make_folder(w, root);
	if (rc == 0 && parent)
		rc = link_bases(w->folder, parent);
	if (rc == 0 && parent)
		rc = add_disks(w, parent);
	if (rc == 0 && parent)
		link_working_set(w->folder, parent);
	if (rc == 0)
		rc = write_machine(w->folder, machine);
	if (rc == 0)
		rc = w->state_fd = make_file(w->folder, "state");
	if (rc >= 0)
		rc = w->memory_fd = make_file(w->folder, "memory");
	if (rc >= 0)
		return 0;
	close_files(w);
	if (w->folder[0])
		folder_remove(w->folder);
	w->folder[0] = '\0';
	return error_set(err, -rc, "cannot make a snapshot in %s: %s", root, strerror(-rc));
}

/*
 * Nobody may go on writing what clones will share: a VMM that was taken over might have kept its descriptor. The kernel
 * gives a read lease only on a file that nobody has open for writing.
 */
static int check_unshared(const char *folder, const char *name, struct error *err)
{
	char path[SNAPSHOT_PATH_MAX + 32];
	AUTO_FD int fd = -1;
	int rc = join(path, sizeof(path), folder, name);

	if (rc == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, rc < 0 ? -rc : errno, "cannot open the snapshot's %s", name);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		return 0; /* which ends with the descriptor */
	if (errno == EAGAIN)
		return error_set(err, EBUSY, "its hearth-vmm keeps the snapshot's %s open: it may have been taken over",
				 name);
	log_debug("%s: no lease on this file system: %s", path, strerror(errno));
	return 0;
}

int snapshot_writer_commit(struct snapshot_writer *w, uv_loop_t *loop, const char *folder, struct error *err)
{
	char parent[SNAPSHOT_PATH_MAX];
	int rc = 0;

	close_files(w);
	if (check_unshared(w->folder, "state", err) < 0 || check_unshared(w->folder, "memory", err) < 0) {
		log_warn("%s", err->text);
		folder_remove_later(loop, w->folder);
		w->folder[0] = '\0';
		return -err->code;
	}
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(folder, '/') - folder), folder);
	if (renameat2(AT_FDCWD, w->folder, AT_FDCWD, folder, RENAME_NOREPLACE) < 0) {
		rc = error_set(err, errno, "cannot name the snapshot %s: %s", folder, strerror(errno));
		folder_remove_later(loop, w->folder);
	} else {
		folder_sync_later(loop, parent);
	}
	w->folder[0] = '\0';
	return rc;
}

void snapshot_writer_abort(struct snapshot_writer *w, uv_loop_t *loop)
{
	if (!w->folder[0])
		return;
	close_files(w);
	folder_remove_later(loop, w->folder);
	w->folder[0] = '\0';
}
