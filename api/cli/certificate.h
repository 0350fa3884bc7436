/* Certificates for trying and developing: an authority of one's own, and a server's certificate by it. */
#ifndef HEARTH_API_CLI_CERTIFICATE_H
#define HEARTH_API_CLI_CERTIFICATE_H

#include "common/error.h"

#include <stddef.h>

struct certificate_order {
	const char *directory;    /* made if need be */
	const char *const *hosts; /* names and addresses that the server is reached by */
	size_t n_hosts;
	long days; /* that the server's certificate is valid */
};

/*
 * Writes ca.pem and ca-key.pem, unless they are there, and server.pem and server-key.pem, in place of what was there. Keys
 * are readable for their owner only. 0, or negative with *err set to an exit status.
 */
int certificate_make(const struct certificate_order *order, struct error *err);

#endif
