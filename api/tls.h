/* A certificate with its key, from files. */
#ifndef HEARTH_API_TLS_H
#define HEARTH_API_TLS_H

#include "common/error.h"

/* Texts in PEM, owned. */
struct tls_pair {
	char *certificate; /* the server's first, then those that lead to its authority */
	char *key;
};

/*
 * Reads both, and makes sure that they belong together. Warns of a key that others can read and of a certificate that is
 * not valid now. 0 or negative with *err filled.
 */
int tls_pair_load(struct tls_pair *pair, const char *certificate, const char *key, struct error *err);

/* Overwrites the key. */
void tls_pair_fini(struct tls_pair *pair);

#endif
