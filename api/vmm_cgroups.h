/*
 * Control groups of microVMs: one each, with its limits, beneath hearthd's own. cgroup v2 where its controllers can be
 * used, else those of v1 that the machine has. hearth-vmm enters its own at its start (--jail-cgroup).
 */
#ifndef HEARTH_API_VMM_CGROUPS_H
#define HEARTH_API_VMM_CGROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vmm_cgroups;

enum {
	VMM_CGROUPS_MAX = 4, /* hierarchies: one of v2, or one for each controller of v1 */
	VMM_CGROUP_PATH_MAX = 512,
};

struct vmm_cgroup_limits {
	uint64_t memory_bytes;
	uint32_t n_cpus; /* of time: each so many seconds a second */
	uint32_t n_processes;
};

/* The files that a process enters its groups by. */
struct vmm_cgroup_entrances {
	char files[VMM_CGROUPS_MAX][VMM_CGROUP_PATH_MAX];
	unsigned int n;
};

/*
 * Prepares the groups above those of microVMs and removes what earlier ones left. They are those of `instance`, a text: two
 * hearthds of a machine need two. Always returns something, which may
 * be without any control; `lacks` (`size` bytes) says what is missing and what to do. NULL if there is no memory.
 */
struct vmm_cgroups *vmm_cgroups_open(const char *instance, char *lacks, size_t size);
void vmm_cgroups_close(struct vmm_cgroups *c);

/* Makes the groups of the microVM `id`. 0 or -errno; what was made is for vmm_cgroups_remove(). */
int vmm_cgroups_make(const struct vmm_cgroups *c, const char *id, const struct vmm_cgroup_limits *limits,
		     struct vmm_cgroup_entrances *entrances);

/* Bounds all that the microVM does to thousandths of a CPU; what it did not take may make up for it once. */
void vmm_cgroups_set_share(const struct vmm_cgroups *c, const char *id, uint32_t cpu_milli);

/* In the background a microVM gets the CPU only when none in the foreground wants it, or a little where the kernel cannot. */
void vmm_cgroups_set_background(const struct vmm_cgroups *c, const char *id, bool is_background);

/*
 * Removes them; its process must have ended. Those that never were are fine. 0 or -errno: -EBUSY while the kernel has not
 * taken the process apart yet, which may be after its exit was told; try again later.
 */
int vmm_cgroups_remove(const struct vmm_cgroups *c, const char *id);

#endif
