#include "api/microvm_directory.h"

#include "api/folder.h"
#include "common/agent_protocol.h"
#include "common/cleanup.h"
#include "common/hex.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CONSOLE_TAIL = 2048, /* bytes of the console that are quoted */
	ID_LENGTH = 12,
	NUMBER_LENGTH = 4,   /* its last digits */
	ATTEMPTS_MAX = 1000, /* to find a free number */
};

static bool is_id(const char *name)
{
	return strlen(name) == ID_LENGTH && strspn(name, "0123456789abcdef") == ID_LENGTH;
}

static void fill_paths(struct microvm_directory *d, const char *path)
{
	snprintf(d->path, sizeof(d->path), "%s", path);
	snprintf(d->sockets, sizeof(d->sockets), "%s/vsock", d->path);
	snprintf(d->vsock, sizeof(d->vsock), "%s/sock", d->sockets);
	snprintf(d->console, sizeof(d->console), "%s/console.log", d->path);
	snprintf(d->control, sizeof(d->control), "%s/control.sock", d->path);
	snprintf(d->pid, sizeof(d->pid), "%s/pid", d->path);
	snprintf(d->session, sizeof(d->session), "%s/session", d->path);
	snprintf(d->network_policy, sizeof(d->network_policy), "%s/network-policy", d->path);
	snprintf(d->network_log, sizeof(d->network_log), "%s/network-log", d->path);
	snprintf(d->network_pid, sizeof(d->network_pid), "%s/network-pid", d->path);
}

void runtime_directory_each(const char *runtime,
			    void (*visit)(void *data, const char *id, const struct microvm_directory *d), void *data)
{
	DIR *dir = opendir(runtime);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct microvm_directory d;
		char path[512];

		if (!is_id(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", runtime, entry->d_name);
		fill_paths(&d, path);
		visit(data, entry->d_name, &d);
	}
	if (dir)
		closedir(dir);
}

int runtime_directory_open(const char *path, struct error *err)
{
	AUTO_FD int fd = -1;
	struct stat held, named;
	char lock[256];

	if (strlen(path) > sizeof(((struct microvm_directory *)NULL)->path) - ID_LENGTH - 2)
		return error_set(err, ENAMETOOLONG,
				 "runtime-dir %s is too long for the path of a Unix socket: choose a shorter one",
				 path);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(err, errno, "cannot make runtime-dir %s: %s", path, strerror(errno));
	snprintf(lock, sizeof(lock), "%s/lock", path);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set(err, errno, "cannot open %s: %s", lock, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, EBUSY, "another hearthd uses %s: stop it, or give this one another --runtime-dir",
				 path);
	/* One that was just ending may have removed the file after it was opened here. */
	if (fstat(fd, &held) < 0 || stat(lock, &named) < 0 || held.st_ino != named.st_ino)
		return error_set(err, EBUSY, "another hearthd was just ending in %s: start again", path);
	return steal_fd(&fd);
}

void runtime_directory_close(const char *path, int lock_fd)
{
	char lock[256];

	snprintf(lock, sizeof(lock), "%s/lock", path);
	unlink(lock);
	rmdir(path);
	close(lock_fd);
}

unsigned int microvm_directory_number(const char id[13])
{
	return (unsigned int)strtoul(id + ID_LENGTH - NUMBER_LENGTH, NULL, 16);
}

/* 1 if it is, 0 if not, or -errno. */
static int is_number_taken(const char *runtime, const char *id)
{
	const char *number = id + ID_LENGTH - NUMBER_LENGTH;
	DIR *dir = opendir(runtime);
	struct dirent *entry;
	bool is_taken = false;

	if (!dir)
		return -errno;
	while (!is_taken && (entry = readdir(dir)))
		is_taken = is_id(entry->d_name) && strcmp(entry->d_name + ID_LENGTH - NUMBER_LENGTH, number) == 0;
	closedir(dir);
	return is_taken;
}

/* Others may pass through the folder of the sockets: they are the microVM's, whose user is not ours. */
static int make_folders(const struct microvm_directory *d)
{
	if (mkdir(d->path, 0700) < 0)
		return -errno;
	return mkdir(d->sockets, 0711) < 0 || chmod(d->sockets, 0711) < 0 ? -errno : 0;
}

int microvm_directory_create(struct microvm_directory *d, const char *runtime, char id[13], struct error *err)
{
	int rc = -EEXIST;

	for (int i = 0; i < ATTEMPTS_MAX && rc == -EEXIST; i++) {
		uint8_t random[ID_LENGTH / 2];
		char path[sizeof(d->path)];

		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			return error_set(err, errno, "no random bytes: %s", strerror(errno));
		hex_write(id, random, sizeof(random));
		rc = is_number_taken(runtime, id);
		if (rc == 0) {
			snprintf(path, sizeof(path), "%s/%s", runtime, id);
			fill_paths(d, path);
			rc = make_folders(d);
		} else if (rc > 0) {
			rc = -EEXIST;
		}
	}
	if (rc < 0)
		d->path[0] = '\0';
	return rc < 0 ? error_set(err, -rc, "cannot make a directory in runtime-dir %s: %s", runtime, strerror(-rc))
		      : 0;
}

void microvm_directory_host_port(const struct microvm_directory *d, int port, char path[MICROVM_SOCKET_SIZE])
{
	snprintf(path, MICROVM_SOCKET_SIZE, "%s_%d", d->vsock, port);
}

int pid_file_write(const char *path, pid_t pid)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 || dprintf(fd, "%d\n", (int)pid) < 0 ? -errno : 0;
}

pid_t pid_file_read(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[16] = "";
	long pid;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -errno;
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : -EINVAL;
}

/* What is in it, by name: without a descriptor left, no folder can be read. */
static int remove_known(const struct microvm_directory *d)
{
	char ready[MICROVM_SOCKET_SIZE], tokens[MICROVM_SOCKET_SIZE];
	const char *const files[] = {
		d->vsock,          ready,          tokens,         d->console, d->control, d->pid, d->session,
		d->network_policy, d->network_log, d->network_pid,
	};

	microvm_directory_host_port(d, AGENT_READY_PORT, ready);
	microvm_directory_host_port(d, AGENT_TOKEN_PORT, tokens);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(files[i]);
	rmdir(d->sockets);
	return rmdir(d->path) < 0 ? -errno : 0;
}

void microvm_directory_remove(struct microvm_directory *d)
{
	int rc = 0;

	if (d->path[0]) {
		folder_remove(d->sockets);
		rc = folder_remove(d->path);
	}
	if (rc == -EMFILE || rc == -ENFILE)
		rc = remove_known(d);
	if (rc < 0)
		log_warn("cannot remove %s: %s", d->path, strerror(-rc));
	d->path[0] = '\0';
}

void microvm_directory_log_console(const struct microvm_directory *d, const char *id)
{
	AUTO_FD int fd = open(d->console, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char tail[CONSOLE_TAIL + 1];
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = end > 0 ? pread(fd, tail, CONSOLE_TAIL, end > CONSOLE_TAIL ? end - CONSOLE_TAIL : 0) : 0;
	char *rest;

	if (n <= 0)
		return;
	for (ssize_t i = 0; i < n; i++)
		if (tail[i] != '\n' && ((unsigned char)tail[i] < 0x20 || (unsigned char)tail[i] > 0x7e))
			tail[i] = tail[i] == '\r' ? ' ' : '?';
	tail[n] = '\0';
	for (char *line = strtok_r(tail, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		log_warn_limited("vm=%s console: %s", id, line);
}
