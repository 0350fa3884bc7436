#include "vmm/host_file.h"

#include "vmm/capabilities.h"
#include "vmm/virtio/vsock_host.h"
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	/* Kernel or state, memory, working set, disks, console; KVM, page map, vsock, userfaultfd. */
	FILES_MAX = 1 + MEMORY_CHAIN_MAX + 1 + MACHINE_DISKS_MAX + 1 + 4,
	MODE = 0600, /* of what is made */
};

static struct file {
	const char *name;
	int flags;
	int fd; /* -1: could not be opened, or was taken */
	int error;
} files[FILES_MAX];
static unsigned n_files;

static void keep(const char *name, int flags, int fd)
{
	files[n_files++] = (struct file) { .name = name, .flags = flags, .fd = fd, .error = fd < 0 ? errno : EBADF };
}

/* A file may be named twice: the first that was not taken yet. */
static struct file *find(const char *name, int flags)
{
	struct file *found = NULL;

	for (unsigned i = 0; i < n_files && !(found && found->fd >= 0); i++)
		if (files[i].flags == flags && strcmp(files[i].name, name) == 0)
			found = &files[i];
	return found;
}

int host_file_open(const char *path, int flags)
{
	struct file *file = find(path, flags);
	int fd;

	if (!file)
		return open(path, flags, MODE);
	fd = file->fd;
	errno = file->error;
	file->fd = -1;
	return fd;
}

int host_file_take(const char *name)
{
	struct file *file = find(name, 0);
	const int fd = file ? file->fd : -1;

	errno = file ? file->error : ENOENT;
	if (file)
		file->fd = -1;
	return fd;
}

/* One that cannot be opened is told by who asks for it, and knows what it is for. */
static void prepare(const char *path, int flags)
{
	if (path)
		keep(path, flags, open(path, flags, MODE));
}

/* With the right to administrate the host it would tell physical addresses, which are nobody's business. */
static void prepare_pagemap(void)
{
	const bool had = capability_suspend(CAP_SYS_ADMIN);

	prepare(HOST_FILE_PAGEMAP, O_RDONLY | O_CLOEXEC);
	if (had)
		capability_resume(CAP_SYS_ADMIN);
}

int host_files_open(const struct vm_config *config, struct error *err)
{
	prepare(HOST_FILE_KVM, O_RDWR | O_CLOEXEC);
	prepare_pagemap();
	prepare(config->kernel, O_RDONLY | O_CLOEXEC);
	prepare(config->restore, O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < config->n_memory_files; i++)
		prepare(config->memory_files[i], O_RDONLY | O_CLOEXEC);
	prepare(config->working_set, O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < config->n_disks; i++)
		prepare(config->disks[i].path, (config->disks[i].is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (config->console_path && strcmp(config->console_path, "-") != 0)
		prepare(config->console_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
	if (config->record_working_set) {
		prepare(config->record_working_set, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
		keep(HOST_FILE_USERFAULT, 0, (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
	}
	if (config->vsock_path) {
		const int fd = vsock_host_listen(config->vsock_path, err);

		if (fd < 0)
			return fd;
		keep(HOST_FILE_VSOCK, 0, fd);
	}
	return 0;
}
