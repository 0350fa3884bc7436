/* A line of hearth-netd's log, checked and written into hearthd's own as event=network; and counted. */
#ifndef HEARTH_API_NETWORK_LOG_H
#define HEARTH_API_NETWORK_LOG_H

#include <stddef.h>

/* `vm` is the microVM's id, `label` what is known of its session: "" or fields that end with a space. */
void network_log_line(const char *vm, const char *label, const char *line, size_t size);

#endif
