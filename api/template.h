/*
 * Templates: snapshots that microVMs are cloned from. A built-in one is a booted machine with warm interpreters that ran
 * nothing yet; it is made once for each kernel, image, hearth-vmm and shape of machine, under a name that is made from
 * them, and made anew when one of them changes. A user's own is made of a session (sessions_make_template()).
 */
#ifndef HEARTH_API_TEMPLATE_H
#define HEARTH_API_TEMPLATE_H

#include "api/microvm.h"
#include "api/snapshot.h"
#include "common/error.h"

#include <stdint.h>

struct templates;

/* A user's template. */
struct template_info {
	const char *name;
	uint32_t memory_mib;
	uint32_t n_vcpus;
	int64_t created_ms;  /* CLOCK_REALTIME */
	uint64_t size_bytes; /* that its own files take on disk */
	unsigned int n_layers;
};

/* Calls `visit` with each user's template, by name. */
void templates_each(const struct templates *templates, void (*visit)(void *data, const struct template_info *info),
		    void *data);

/* False if there is none of that name. */
bool templates_find(const struct templates *templates, const char *name, struct template_info *info);

/* Deletes a user's template; sessions that were made from it go on. 0, or -ENOENT. */
int templates_delete(struct templates *templates, const char *name);

#endif
