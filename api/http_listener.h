#ifndef HEARTH_API_HTTP_LISTENER_H
#define HEARTH_API_HTTP_LISTENER_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Listens on "HOST:PORT"; an IPv6 host stands in brackets; port 0 takes a free one. Writes where it really listens,
 * in the same form. Returns the descriptor (non-blocking, close-on-exec), or negative with *err filled.
 */
int http_listen(const char *where, char *address, size_t size, struct error *err);

/* True if only this machine can connect to what the descriptor listens on. */
bool http_is_loopback(int fd);

#endif
