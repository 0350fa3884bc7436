/*
 * What hearthd starts a container from: the image that a pool names, as it was imported (docs/images.md), and what the
 * pool's template says of it. Counted and immutable: an import under the same name makes another one of the next
 * container_spec_make(). For one thread.
 */
#ifndef HEARTH_API_CONTAINER_SPEC_H
#define HEARTH_API_CONTAINER_SPEC_H

#include "api/pool_definition.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct container_spec;

/*
 * Reads what is known of the image in the folder with images, and the pool's template and secrets. The caller holds it.
 * NULL with *err filled: ENOENT if there is no such image (any more), EINVAL if no container can be started from both;
 * either is a sentence for a client. Other codes are hearthd's own troubles.
 *
 * As long as it is held, `hearth image prune` leaves its files, whatever becomes of the image: whoever may start or
 * restore a machine from them holds it. That is one open file for each disk.
 */
struct container_spec *container_spec_make(const struct pool_definition *d, const char *image_folder,
					   struct error *err);

struct container_spec *container_spec_hold(struct container_spec *spec);
void container_spec_release(struct container_spec *spec); /* NULL is fine; the last one overwrites what is secret */

/* The read-only EROFS files that it is stacked from, lowest first. */
unsigned int container_spec_n_disks(const struct container_spec *spec);
const char *container_spec_disk(const struct container_spec *spec, unsigned int i);

/* The body of AGENT_CONTAINER_START (common/agent_container.h). It has secrets. */
const void *container_spec_start(const struct container_spec *spec, size_t *size);

/*
 * What the content of a machine that runs it depends on, as lines of text (template_key.h): the image, its disks, and a
 * SHA-256 of the start's body. At most CONTAINER_SPEC_INPUTS_MAX bytes with NUL.
 */
enum { CONTAINER_SPEC_INPUTS_MAX = 1024 };
const char *container_spec_inputs(const struct container_spec *spec);

/* The image's name, with its tag. */
const char *container_spec_image(const struct container_spec *spec);

/* Whether its entrypoint runs only after the snapshot, in each session anew (AGENT_CONTAINER_HOLD). */
bool container_spec_is_held(const struct container_spec *spec);

/* True if machines of one serve as well as those of the other. NULL is equal to NULL alone. */
bool container_spec_equal(const struct container_spec *a, const struct container_spec *b);

#endif
