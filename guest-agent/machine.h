/*
 * What makes this machine another one than its copies: clock, the kernel's random generator, names and IDs. For PID 1
 * only: it is the guest's machine that is changed.
 */
#ifndef HEARTH_AGENT_MACHINE_H
#define HEARTH_AGENT_MACHINE_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Puts files of /run/hearth over those that tell who this machine is (boot ID, machine ID, host name, hosts), and gives
 * it a machine ID. Changing one is then a write to a tmpfs: no mount, no copy in the overlay. A file that cannot be
 * placed is logged and left as the image has it.
 */
void machine_place_files(const char *host_name);

/* Steps CLOCK_REALTIME (nanoseconds). The monotonic clocks go on as they were. */
int machine_set_clock(uint64_t realtime_ns, struct error *err);

/* Mixes the bytes (at most 256) into the kernel's random generator, credited, and has it draw a new key at once. */
int machine_add_entropy(const uint8_t *entropy, size_t size, struct error *err);

/* The host name, in the kernel and in the files that tell it. */
int machine_set_host_name(const char *name, struct error *err);

/* A new boot ID, machine ID and TCP fast open key, drawn from the kernel. */
int machine_renew_ids(struct error *err);

#endif
