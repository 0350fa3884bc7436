/*
 * The way from code in the guest to the host that hands out tokens: each connection to a port of the loopback becomes one
 * to a vsock port of the host. Bytes are passed on, and never looked at.
 */
#ifndef HEARTH_AGENT_TOKEN_RELAY_H
#define HEARTH_AGENT_TOKEN_RELAY_H

/*
 * Listens on 127.0.0.1:AGENT_TOKEN_PORT; open already is fine. With `unix_path` connections go to that socket, and the
 * port is any that is free: for an agent that is not in a guest. The port, or -errno.
 */
int token_relay_open(const char *unix_path);

/* Ends connections and listens no more. Idempotent. */
void token_relay_close(void);

#endif
