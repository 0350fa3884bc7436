/* Where an issuer's keys are read: a file or a URL. Blocks, so it is for threads; knows no loop. */
#ifndef HEARTH_API_KEY_SOURCE_H
#define HEARTH_API_KEY_SOURCE_H

#include "api/jwks.h"

#include <stdatomic.h>

bool key_source_is_url(const char *where);

/*
 * 0, or negative with *err filled if a URL is neither https:// nor http:// on a loopback address: whoever can change the
 * keys on their way here can make tokens.
 */
int key_source_check(const char *where, struct error *err);

/* Ends within some seconds once *cancelled is set. NULL with *err filled on failure. */
struct jwks *key_source_read(const char *where, const atomic_bool *cancelled, struct error *err);

#endif
