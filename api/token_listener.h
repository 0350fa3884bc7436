/*
 * Where one microVM's guest asks for tokens: a socket that its VMM connects to for the guest's port AGENT_TOKEN_PORT, a
 * secret that only that guest was told, and the identity that it may have tokens of. What comes is a guest's: bounded in
 * size, in time and in how many ask at once.
 */
#ifndef HEARTH_API_TOKEN_LISTENER_H
#define HEARTH_API_TOKEN_LISTENER_H

#include "api/token_source.h"

#include <uv.h>

struct token_listener;

/* Listens on the Unix socket `path`, in place of one that is there. `source` must live longer. NULL and -errno in *rc. */
struct token_listener *token_listener_open(uv_loop_t *loop, const char *path, struct token_source *source, int *rc);

/* The secret that a request must show: AGENT_SECRET_SIZE letters and digits, of its own. */
const char *token_listener_secret(const struct token_listener *l);

/* Idempotent, NULL is fine; removes the socket, ends what is asked, frees the listener later. */
void token_listener_close(struct token_listener *l);

#endif
