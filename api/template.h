/*
 * Templates: snapshots that microVMs are cloned from. A built-in one is a booted machine with warm interpreters that ran
 * nothing yet; it is made once for each kernel, image, hearth-vmm and shape of machine (template_key.h), when it is first
 * wanted, and made anew when one of them changes. One of a container is likewise: a machine in which the container runs
 * and answers, or waits before its entrypoint. A user's own is made of a session (sessions_make_template()).
 *
 * On disk, in the template directory:
 *
 *     <key>/            a built-in template, or one of a container: a snapshot (snapshot.h) and `inputs`, the text that
 *                       the key was made from
 *     user/<name>/      a user's template
 *     instance-<n>/     snapshots of the sessions of one hearthd, and what is being written
 */
#ifndef HEARTH_API_TEMPLATE_H
#define HEARTH_API_TEMPLATE_H

#include "api/microvm.h"
#include "api/snapshot.h"
#include "common/error.h"

#include <stdint.h>

struct container_spec;
struct templates;
struct template;

/*
 * Makes the folders that are missing in `directory`. `host` must live longer. `changed` is called, not from within a
 * call, when a template can or cannot be used any more. NULL with *err filled.
 */
struct templates *templates_create(struct microvm_host *host, const char *directory, void (*changed)(void *data),
				   void *data, struct error *err);

/* From now on no built-in template is used or made: template_use() has none. Those of users stay. */
void templates_forgo_builtin(struct templates *templates);

/* Gives up what is being built, and builds nothing more. */
void templates_stop(struct templates *templates);

/* After templates_stop(), when the host's last microVM is gone. NULL is fine. */
void templates_destroy(struct templates *templates);

/*
 * Removes what an earlier hearthd left and nobody has opened, but where `is_kept` is true for its folder, and built-in
 * templates whose inputs have changed. Once.
 */
void templates_sweep(struct templates *templates, bool (*is_kept)(void *data, const char *folder), void *data);

/* The folder for snapshots of sessions. */
const char *templates_workspace(const struct templates *templates);

/*
 * The built-in template for machines of that shape whose first execution is mostly of that language (a template knows
 * what such an execution touches, so that it is ready before); or the user's of that name, NULL if there is none. Valid
 * until templates_destroy().
 */
struct template *templates_builtin(struct templates *templates, const struct microvm_shape *shape,
				   enum agent_language language);
struct template *templates_user(struct templates *templates, const char *name);

/*
 * The template for machines of that shape with that container, for a pool, which lets go of it in the end: when no pool
 * has it, it is removed. NULL if there is no memory.
 */
struct template *templates_container(struct templates *templates, const struct microvm_shape *shape,
				     struct container_spec *container);
void template_let_go(struct template *t); /* NULL and those of other kinds are fine */

/*
 * What to restore from, not held for the caller. NULL while it cannot be used; a built-in one is then built, if it is
 * not already and did not fail a moment ago, and `changed` tells of it.
 */
struct snapshot *template_use(struct template *t);

/* Tells what a restore from `s` came to: "" or a reason. One that never worked is taken for damaged and built anew once. */
void template_tell(struct template *t, const struct snapshot *s, const char *problem);

bool template_is_user(const struct template *t);

/* absent, building, ready or failed. */
const char *template_state(const struct template *t);

/* Gives the complete snapshot of `w` to the user under that name. 0, or negative with *err filled: -EEXIST. */
int templates_add_user(struct templates *templates, struct snapshot_writer *w, const char *name, struct error *err);

/* A user's template. */
struct template_info {
	const char *name;
	uint32_t memory_mib;
	uint32_t n_vcpus;
	bool has_network;
	int64_t created_ms;  /* CLOCK_REALTIME */
	uint64_t size_bytes; /* that its own files take on disk */
	unsigned int n_layers;
};

/* Calls `visit` with each user's template. */
void templates_each(const struct templates *templates, void (*visit)(void *data, const struct template_info *info),
		    void *data);

/* False if there is none of that name. */
bool templates_find(const struct templates *templates, const char *name, struct template_info *info);

/* Deletes a user's template; sessions that were made from it go on. 0, or -errno: -ENOENT if there is none. */
int templates_delete(struct templates *templates, const char *name);

#endif
