#include "machine.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <linux/random.h>

#define FILES    "/run/hearth"
#define NEW_UUID "/proc/sys/kernel/random/uuid" /* another one at each read */
#define BOOT_ID  "/proc/sys/kernel/random/boot_id"
#define TCP_KEY  "/proc/sys/net/ipv4/tcp_fastopen_key"
#define HOSTS    "127.0.0.1\tlocalhost %s\n::1\t\tlocalhost ip6-localhost ip6-loopback\n"

enum {
	UUID_LENGTH = 36,
	ENTROPY_MAX = 256,
};

/* Each file of FILES and what it stands in for. */
static const struct {
	const char *path, *target;
} files[] = {
	{ FILES "/boot-id", BOOT_ID },
	{ FILES "/machine-id", "/etc/machine-id" },
	{ FILES "/hostname", "/etc/hostname" },
	{ FILES "/hosts", "/etc/hosts" },
};

static int write_text(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
	size_t length = strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, length) == (ssize_t)length ? 0 : -EIO;
}

/* Reads a UUID of the kernel's as a line; `uuid` has UUID_LENGTH + 2 bytes. */
static int read_uuid(const char *path, char *uuid)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (read(fd, uuid, UUID_LENGTH) != UUID_LENGTH)
		return -EIO;
	memcpy(uuid + UUID_LENGTH, "\n", 2);
	return 0;
}

/* A machine ID is a UUID without its hyphens (machine-id(5)). */
static int write_machine_id(void)
{
	char uuid[UUID_LENGTH + 2] = "", id[UUID_LENGTH + 2];
	size_t length = 0;
	int result = read_uuid(NEW_UUID, uuid);

	if (result < 0)
		return result;
	for (const char *at = uuid; *at; at++)
		if (*at != '-')
			id[length++] = *at;
	id[length] = '\0';
	return write_text(FILES "/machine-id", id);
}

static int write_boot_id(const char *from)
{
	char uuid[UUID_LENGTH + 2] = "";
	int result = read_uuid(from, uuid);

	return result < 0 ? result : write_text(FILES "/boot-id", uuid);
}

/* TCP's other secrets are drawn once and cannot be changed from here. */
static int write_tcp_key(void)
{
	char uuid[UUID_LENGTH + 2] = "", key[UUID_LENGTH + 1];
	int result = read_uuid(NEW_UUID, uuid);

	if (result < 0)
		return result;
	/* 01234567-89ab-cdef-0123-456789abcdef: 32 digits in groups of 8 are wanted. */
	snprintf(key, sizeof(key), "%.8s-%.4s%.4s-%.4s%.4s-%.8s", uuid, uuid + 9, uuid + 14, uuid + 19, uuid + 24,
		 uuid + 28);
	return write_text(TCP_KEY, key);
}

static int write_names(const char *name)
{
	char text[256];
	int result;

	snprintf(text, sizeof(text), "%s\n", name);
	result = write_text(FILES "/hostname", text);
	if (result < 0)
		return result;
	snprintf(text, sizeof(text), HOSTS, name);
	return write_text(FILES "/hosts", text);
}

void machine_place_files(const char *host_name)
{
	int result = mkdir(FILES, 0755) < 0 ? -errno : write_boot_id(BOOT_ID);

	if (result == 0)
		result = write_machine_id();
	if (result == 0)
		result = write_names(host_name);
	if (result < 0) {
		log_warn("%s: %s", FILES, strerror(-result));
		return;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		AUTO_FD int fd = open(files[i].target, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);

		if (fd < 0 || mount(files[i].path, files[i].target, NULL, MS_BIND, NULL) < 0)
			log_warn("%s: %s", files[i].target, strerror(errno));
	}
}

int machine_set_clock(uint64_t realtime_ns, struct error *err)
{
	struct timespec time = {
		.tv_sec = (time_t)(realtime_ns / 1000000000),
		.tv_nsec = (long)(realtime_ns % 1000000000),
	};

	if (clock_settime(CLOCK_REALTIME, &time) < 0)
		return error_set(err, errno, "set the clock: %s", strerror(errno));
	return 0;
}

int machine_add_entropy(const uint8_t *entropy, size_t size, struct error *err)
{
	AUTO_FD int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	union {
		struct rand_pool_info info;
		uint8_t bytes[sizeof(struct rand_pool_info) + ENTROPY_MAX];
	} pool = { .info = { .entropy_count = (int)size * 8, .buf_size = (int)size } };

	if (size > ENTROPY_MAX)
		return error_set(err, EINVAL, "add entropy: more than %d bytes", (int)ENTROPY_MAX);
	memcpy(pool.bytes + sizeof(pool.info), entropy, size);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool.info) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
		return error_set(err, errno, "add entropy: %s", strerror(errno));
	return 0;
}

int machine_set_host_name(const char *name, struct error *err)
{
	int result;

	if (sethostname(name, strlen(name)) < 0)
		return error_set(err, errno, "set the host name: %s", strerror(errno));
	result = write_names(name);
	return result < 0 ? error_set(err, -result, "write the host name: %s", strerror(-result)) : 0;
}

int machine_renew_ids(struct error *err)
{
	int result = write_boot_id(NEW_UUID);

	if (result == 0)
		result = write_machine_id();
	if (result < 0)
		return error_set(err, -result, "renew the IDs: %s", strerror(-result));
	result = write_tcp_key();
	if (result < 0)
		log_warn("%s: %s", TCP_KEY, strerror(-result));
	return 0;
}
