/*
 * What a container is started with (common/agent_container.h), of what its pool's template says and what its image
 * says. Knows neither pools nor the folder with images.
 */
#ifndef HEARTH_API_CONTAINER_START_H
#define HEARTH_API_CONTAINER_START_H

#include "common/agent_container.h"
#include "common/error.h"

#include <jansson.h>
#include <stddef.h>

enum {
	CONTAINER_MADE_MAX = AGENT_CONTAINER_TEXTS_MAX + AGENT_CONTAINER_PROBES_MAX * (AGENT_PROBE_HEADERS_MAX + 1) + 1
};

struct container_start {
	struct agent_container container; /* its texts lie in the JSON that it was read from, or in `made` */
	char *made[CONTAINER_MADE_MAX];   /* texts that were put together */
	size_t n_made;
};

/*
 * Fills *start, whose number of disks stays 0. `template` is that of container_template_json(), `secrets` has their
 * values, `config` is the image's (image_description_read_config()), and `image` its name, for sentences. They must stay
 * until container_start_fini(), which is due in any case. 0, or negative with *err saying to a client what is wrong
 * (EINVAL).
 */
int container_start_read(struct container_start *start, const json_t *template, const json_t *secrets,
			 const json_t *config, const char *image, struct error *err);

/* Overwrites what may be secret. */
void container_start_fini(struct container_start *start);

#endif
