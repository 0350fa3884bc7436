/* An exception as the drivers tell it (AGENT_MIME_ERROR), checked: what an agent says need not be what it should. */
#ifndef HEARTH_API_ERROR_DATA_H
#define HEARTH_API_ERROR_DATA_H

#include "api/buffer.h"
#include "api/mime_bundle.h"

#include <jansson.h>

/*
 * The exception of a bundle as an object with the members ename, evalue (texts) and traceback (a list of texts), and no
 * others. NULL if the bundle holds none or one that is not sound. Release with json_decref().
 */
json_t *error_data_parse(const struct mime_bundle *bundle);

/* Appends the text of it. False, with nothing appended, if the bundle holds none. */
bool error_data_put(struct buffer *json, const struct mime_bundle *bundle);

#endif
