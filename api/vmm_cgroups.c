#include "api/vmm_cgroups.h"

#include "common/cleanup.h"
#include "common/crc32.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PERIOD_US = 100000,
	HEARTHD_CPU_WEIGHT = 1000, /* of 100 that all microVMs have together */
	WEIGHT = 50,               /* of I/O: half of what everything else has */
	ID_LENGTH = 12,            /* of a microVM */
	LINE_SIZE = 4096,
};

struct hierarchy {
	char folder[VMM_CGROUP_PATH_MAX - 32]; /* holds a group for each microVM */
	char controllers[64];                  /* with a space after each */
	bool is_v2;
};

struct vmm_cgroups {
	struct hierarchy hierarchies[VMM_CGROUPS_MAX];
	unsigned int n;
};

static int write_text(const char *folder, const char *name, const char *text)
{
	char path[LINE_SIZE];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	n = n < 0 ? -errno : 0;
	close(fd);
	return (int)n;
}

static int write_number(const char *folder, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return write_text(folder, name, text);
}

static int make_folder(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* ---- where hearthd is -------------------------------------------------------------------------------------------- */

/* Its own group in the hierarchy with `controller`, "" for v2's: a line "number:controllers:path". */
static bool find_own_path(const char *controller, char *path, size_t size)
{
	char line[LINE_SIZE];
	FILE *file = fopen("/proc/self/cgroup", "re");
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *rest = line, *names, *name;
		bool is_it;

		strsep(&rest, ":");
		names = strsep(&rest, ":");
		if (!names || !rest)
			continue;
		is_it = !*controller && !*names;
		while (!is_it && *controller && (name = strsep(&names, ",")))
			is_it = strcmp(name, controller) == 0;
		if (!is_it)
			continue;
		rest[strcspn(rest, "\n")] = '\0';
		snprintf(path, size, "%s", strcmp(rest, "/") == 0 ? "" : rest);
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

static bool has_option(char *options, const char *wanted)
{
	char *option;

	while ((option = strsep(&options, ",")))
		if (strcmp(option, wanted) == 0)
			return true;
	return false;
}

/* Where that hierarchy is mounted, and which of its groups is the root there: a line of mountinfo (proc(5)). */
static bool find_mount(const char *controller, char *root, char *mount, size_t size)
{
	char line[LINE_SIZE];
	FILE *file = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *rest = strstr(line, " - "), *type, *options, *word = line, *words[5];

		if (!rest)
			continue;
		*rest = '\0';
		rest += 3;
		type = strsep(&rest, " ");
		strsep(&rest, " ");
		options = rest ? rest : "";
		options[strcspn(options, "\n")] = '\0';
		for (int i = 0; i < 5; i++)
			words[i] = word ? strsep(&word, " ") : "";
		found = *controller ? strcmp(type, "cgroup") == 0 && has_option(options, controller)
				    : strcmp(type, "cgroup2") == 0;
		if (!found)
			continue;
		snprintf(root, size, "%s", strcmp(words[3], "/") == 0 ? "" : words[3]);
		snprintf(mount, size, "%s", words[4]);
	}
	if (file)
		fclose(file);
	return found;
}

/* The folder of hearthd's own group; false if there is none to be seen. */
static bool find_own_folder(const char *controller, char *folder, size_t size)
{
	char own[VMM_CGROUP_PATH_MAX / 2], root[sizeof(own)], mount[sizeof(own)];
	size_t n;

	if (!find_own_path(controller, own, sizeof(own)) || !find_mount(controller, root, mount, sizeof(mount)))
		return false;
	n = strlen(root);
	return snprintf(folder, size, "%s%s", mount, strncmp(own, root, n) == 0 ? own + n : own) < (int)size;
}

/* ---- the groups above -------------------------------------------------------------------------------------------- */

static bool has_word(const char *text, const char *word)
{
	const size_t n = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += n)
		if ((at == text || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\n' || at[n] == '\0'))
			return true;
	return false;
}

/* Lets groups beneath `folder` have the controllers, as far as they are there; `controllers` gets which. 0 or -errno. */
static int delegate(const char *folder, char *controllers, size_t size)
{
	static const char *const wanted[] = { "memory", "cpu", "pids", "io" };
	char path[LINE_SIZE], present[256] = "";
	AUTO_FD int fd = -1;

	snprintf(path, sizeof(path), "%s/cgroup.controllers", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, present, sizeof(present) - 1) < 0)
		return -errno;
	controllers[0] = '\0';
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		char order[16];
		int rc;

		if (!has_word(present, wanted[i]))
			continue;
		snprintf(order, sizeof(order), "+%s", wanted[i]);
		rc = write_text(folder, "cgroup.subtree_control", order);
		if (rc < 0)
			return rc;
		snprintf(controllers + strlen(controllers), size - strlen(controllers), "%s ", wanted[i]);
	}
	return *controllers ? 0 : -ENOENT;
}

/*
 * A group that hands controllers on may hold no processes (but for the root), so hearthd moves into one beneath its own
 * first.
 */
static int open_v2(struct hierarchy *h, const char *name)
{
	static const char leaf[] = "/hearthd";
	char own[VMM_CGROUP_PATH_MAX - 64], home[VMM_CGROUP_PATH_MAX], type[LINE_SIZE];
	char controllers[sizeof(h->controllers)];
	size_t n;
	int rc;

	if (!find_own_folder("", own, sizeof(own)))
		return -ENOENT;
	n = strlen(own);
	if (n > sizeof(leaf) && strcmp(own + n - sizeof(leaf) + 1, leaf) == 0)
		own[n - sizeof(leaf) + 1] = '\0'; /* moved there before */
	snprintf(type, sizeof(type), "%s/cgroup.type", own);
	if (access(type, F_OK) == 0) { /* the root has no such file */
		snprintf(home, sizeof(home), "%s%s", own, leaf);
		rc = make_folder(home);
		if (rc == 0)
			rc = write_text(home, "cgroup.procs", "0");
		if (rc < 0)
			return rc;
	}
	h->is_v2 = true;
	snprintf(h->folder, sizeof(h->folder), "%s/%s", own, name);
	rc = delegate(own, controllers, sizeof(controllers));
	/* It does little, and all sessions wait for it. The root's own processes have no weight of their own. */
	snprintf(home, sizeof(home), "%s%s", own, leaf);
	write_number(home, "cpu.weight", HEARTHD_CPU_WEIGHT);
	if (rc == 0)
		rc = make_folder(h->folder);
	return rc < 0 ? rc : delegate(h->folder, h->controllers, sizeof(h->controllers));
}

/* `file` is what the controller limits by, which not every kernel has been given. */
static int open_v1(struct hierarchy *h, const char *name, const char *controller, const char *file)
{
	char own[VMM_CGROUP_PATH_MAX - 64], path[VMM_CGROUP_PATH_MAX];
	int rc;

	*h = (struct hierarchy) { 0 };
	if (!find_own_folder(controller, own, sizeof(own)))
		return -ENOENT;
	snprintf(h->folder, sizeof(h->folder), "%s/%s", own, name);
	snprintf(h->controllers, sizeof(h->controllers), "%s ", controller);
	rc = make_folder(h->folder);
	snprintf(path, sizeof(path), "%s/%s", h->folder, file);
	if (rc == 0 && access(path, W_OK) < 0) {
		rc = -errno;
		rmdir(h->folder);
	}
	return rc;
}

/* Groups of microVMs that are gone; those in use refuse. */
static void sweep(const struct hierarchy *h)
{
	DIR *folder = opendir(h->folder);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (strlen(entry->d_name) == ID_LENGTH)
			unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
	if (folder)
		closedir(folder);
}

static bool has_controller(const struct vmm_cgroups *c, const char *controller)
{
	for (unsigned int i = 0; i < c->n; i++)
		if (has_word(c->hierarchies[i].controllers, controller))
			return true;
	return false;
}

struct vmm_cgroups *vmm_cgroups_open(const char *instance, char *lacks, size_t size)
{
	static const struct {
		const char *controller, *file;
	} v1[] = { { "memory", "memory.limit_in_bytes" },
		   { "cpu", "cpu.cfs_quota_us" },
		   { "pids", "pids.max" },
		   { "blkio", "blkio.weight" } };
	static const char *const needed[] = { "memory", "cpu", "pids" };
	struct vmm_cgroups *c = calloc(1, sizeof(*c));
	char name[32];
	int rc;

	lacks[0] = '\0';
	if (!c)
		return NULL;
	snprintf(name, sizeof(name), "hearth-vms-%08x", crc32_of(0, instance, strlen(instance)));
	rc = open_v2(&c->hierarchies[0], name);
	if (rc == 0)
		c->n = 1;
	for (size_t i = 0; i < sizeof(v1) / sizeof(v1[0]) && rc < 0; i++)
		if (open_v1(&c->hierarchies[c->n], name, v1[i].controller, v1[i].file) == 0)
			c->n++;
	for (unsigned int i = 0; i < c->n; i++)
		sweep(&c->hierarchies[i]);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!has_controller(c, needed[i]))
			snprintf(lacks + strlen(lacks), size - strlen(lacks), "%s%s", *lacks ? " " : "", needed[i]);
	return c;
}

void vmm_cgroups_close(struct vmm_cgroups *c)
{
	for (unsigned int i = 0; c && i < c->n; i++)
		rmdir(c->hierarchies[i].folder); /* unless microVMs live on */
	free(c);
}

/* ---- the group of a microVM -------------------------------------------------------------------------------------- */

static void fill_path(char *path, const struct hierarchy *h, const char *id)
{
	snprintf(path, VMM_CGROUP_PATH_MAX, "%s/%s", h->folder, id);
}

static int limit_cpu(const struct hierarchy *h, const char *group, uint64_t quota_us)
{
	char text[48];
	int rc;

	if (h->is_v2) {
		snprintf(text, sizeof(text), "%llu %u", (unsigned long long)quota_us, (unsigned int)PERIOD_US);
		return write_text(group, "cpu.max", text);
	}
	rc = write_number(group, "cpu.cfs_period_us", PERIOD_US);
	return rc < 0 ? rc : write_number(group, "cpu.cfs_quota_us", quota_us);
}

static int limit_v2(const struct hierarchy *h, const char *group, const struct vmm_cgroup_limits *limits)
{
	int rc = 0;

	if (has_word(h->controllers, "memory")) {
		rc = write_number(group, "memory.max", limits->memory_bytes);
		write_number(group, "memory.swap.max", 0); /* a machine without swap has no such file */
	}
	if (rc == 0 && has_word(h->controllers, "cpu"))
		rc = limit_cpu(h, group, (uint64_t)limits->n_cpus * PERIOD_US);
	if (rc == 0 && has_word(h->controllers, "pids"))
		rc = write_number(group, "pids.max", limits->n_processes);
	if (has_word(h->controllers, "io"))
		write_number(group, "io.weight", WEIGHT); /* only there with an I/O scheduler that knows weights */
	return rc;
}

static int limit_v1(const struct hierarchy *h, const char *group, const struct vmm_cgroup_limits *limits)
{
	if (has_word(h->controllers, "memory"))
		return write_number(group, "memory.limit_in_bytes", limits->memory_bytes);
	if (has_word(h->controllers, "cpu"))
		return limit_cpu(h, group, (uint64_t)limits->n_cpus * PERIOD_US);
	if (has_word(h->controllers, "pids"))
		return write_number(group, "pids.max", limits->n_processes);
	write_number(group, "blkio.weight", WEIGHT * 5ULL); /* of 500, likewise */
	return 0;
}

int vmm_cgroups_make(const struct vmm_cgroups *c, const char *id, const struct vmm_cgroup_limits *limits,
		     struct vmm_cgroup_entrances *entrances)
{
	int rc = 0;

	entrances->n = 0;
	for (unsigned int i = 0; i < c->n && rc == 0; i++) {
		const struct hierarchy *h = &c->hierarchies[i];
		char group[VMM_CGROUP_PATH_MAX];

		fill_path(group, h, id);
		rc = make_folder(group);
		if (rc == 0)
			rc = h->is_v2 ? limit_v2(h, group, limits) : limit_v1(h, group, limits);
		snprintf(entrances->files[entrances->n++], VMM_CGROUP_PATH_MAX, "%s/%s/cgroup.procs", h->folder, id);
	}
	return rc;
}

static const struct hierarchy *find_cpu(const struct vmm_cgroups *c, const char *id, char *group)
{
	for (unsigned int i = 0; i < c->n; i++) {
		if (!has_word(c->hierarchies[i].controllers, "cpu"))
			continue;
		fill_path(group, &c->hierarchies[i], id);
		return &c->hierarchies[i];
	}
	return NULL;
}

void vmm_cgroups_set_share(const struct vmm_cgroups *c, const char *id, uint32_t cpu_milli)
{
	char group[VMM_CGROUP_PATH_MAX];
	const struct hierarchy *h = find_cpu(c, id, group);
	const uint64_t quota_us = (uint64_t)cpu_milli * PERIOD_US / 1000;
	int rc;

	if (!h)
		return;
	rc = limit_cpu(h, group, quota_us);
	if (rc < 0)
		log_warn("vm=%s has no limit of its CPU time: %s", id, strerror(-rc));
	/* Since Linux 5.14: short work after a pause need not wait for the next period. */
	write_number(group, h->is_v2 ? "cpu.max.burst" : "cpu.cfs_burst_us", quota_us);
}

void vmm_cgroups_set_background(const struct vmm_cgroups *c, const char *id, bool is_background)
{
	char group[VMM_CGROUP_PATH_MAX];
	const struct hierarchy *h = find_cpu(c, id, group);

	/* Not cpu.idle: such groups take turns in slices so short that twenty of them get nothing done. */
	if (!h)
		return;
	if (h->is_v2)
		write_number(group, "cpu.weight", is_background ? 1 : 100);
	else
		write_number(group, "cpu.shares", is_background ? 10 : 1024);
}

int vmm_cgroups_remove(const struct vmm_cgroups *c, const char *id)
{
	int rc = 0;

	for (unsigned int i = 0; i < c->n; i++) {
		char group[VMM_CGROUP_PATH_MAX];

		fill_path(group, &c->hierarchies[i], id);
		if (rmdir(group) < 0 && errno != ENOENT)
			rc = -errno;
	}
	return rc;
}
