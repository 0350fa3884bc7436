/*
 * The way of the host's requests into the container: each connection to vsock port AGENT_INGRESS_PORT becomes one to
 * the container's port on the loopback, after a byte that says how that went. Bytes are passed on, and never looked at;
 * memory is taken only while one side does not take what the other sends.
 */
#ifndef HEARTH_AGENT_INGRESS_H
#define HEARTH_AGENT_INGRESS_H

#include <stdint.h>

/* Listens; with `unix_path` on that socket, for an agent that is not in a guest. 0 or -errno. Once. */
int ingress_open(const char *unix_path);

/* The container's port, where new connections go; 0: nowhere. */
void ingress_set_port(uint16_t port);

#endif
