/* Where hearthd's log goes and what its lines look like: the one place that writes them, but for text on stderr. */
#ifndef HEARTH_API_SERVICE_LOG_H
#define HEARTH_API_SERVICE_LOG_H

#include "common/error.h"

#include <stdbool.h>

/* `path` "" is stderr. Lines of text have their time only in a file. 0, or negative with *err filled. */
int service_log_open(const char *path, bool as_json, struct error *err);

/* Opens the file anew, after something has moved it away; goes on with the old one if that fails, and says so. */
void service_log_reopen(void);

/* Back to text on stderr. */
void service_log_close(void);

#endif
