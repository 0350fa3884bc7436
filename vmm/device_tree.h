/*
 * The machine as a flattened device tree: how the guest's kernel finds processors, interrupt controllers and devices.
 * x86 kernels take memory and the command line from elsewhere; /memory is there for people and other kernels.
 */
#ifndef HEARTH_VMM_DEVICE_TREE_H
#define HEARTH_VMM_DEVICE_TREE_H

#include "vmm/guest_memory.h"

#include <stddef.h>

/* At most; the kernel maps it early, where 256 KiB is the limit. */
enum { DEVICE_TREE_MAX = 16 << 10 };

/* What varies from machine to machine; the rest is in machine.h. */
struct device_tree_machine {
	unsigned n_vcpus;
	unsigned n_virtio;
	const struct guest_memory *memory;
};

/* Builds it in `blob` (DEVICE_TREE_MAX bytes). Returns its size, or -ENOSPC. */
int device_tree_build(const struct device_tree_machine *machine, void *blob);

#endif
