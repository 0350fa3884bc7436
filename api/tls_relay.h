/*
 * Bytes both ways between a client that speaks TLS and a plain descriptor, for connections that were upgraded.
 *
 * The HTTP library can do this too, but not well enough: version 0.9.75 sends one record of what it was given and waits
 * for the client's next word before it sends the rest, and it passes on neither the end of what the client sends nor
 * that of what it is sent.
 */
#ifndef HEARTH_API_TLS_RELAY_H
#define HEARTH_API_TLS_RELAY_H

#include <gnutls/gnutls.h>
#include <uv.h>

struct tls_relay;

/*
 * Begins, in the call in which the library hands the connection over. `session` and `socket` stay the library's, which
 * must not close them before `over` was called or tls_relay_kill(); what it reads from the session meanwhile is nothing,
 * even after that. *fd becomes the plain end, which is the caller's to close. NULL on failure.
 *
 * `over` is called when the connection is broken, or after tls_relay_finish(); not from within these calls. The relay is
 * gone then.
 */
struct tls_relay *tls_relay_start(uv_loop_t *loop, gnutls_session_t session, int socket, int *fd,
				  void (*over)(void *owner), void *owner);

/*
 * The plain end is closed, or about to be: passes on what was written to it, for some seconds at most, and says good-bye
 * to the client.
 */
void tls_relay_finish(struct tls_relay *r);

/* Ends it at once, without a word. NULL is fine. */
void tls_relay_kill(struct tls_relay *r);

#endif
