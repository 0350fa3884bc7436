/*
 * AGENT_OFFER_TOKENS: code in the guest may ask the host for tokens. It learns where and with which secret from the
 * variables that Azure's libraries look for, IDENTITY_ENDPOINT and IDENTITY_HEADER.
 */
#ifndef HEARTH_AGENT_TOKEN_OFFER_H
#define HEARTH_AGENT_TOKEN_OFFER_H

#include "interpreter.h"

#include <stdbool.h>
#include <stddef.h>

enum { TOKEN_OFFER_VARIABLES = 2 };

/*
 * `slots` are two free places of the environment that interpreters are started with, NULL behind them. `unix_path`: see
 * token_relay_open(). Before the others.
 */
void token_offer_init(const char **slots, const char *unix_path, struct interpreter *python, struct interpreter *node);

/* The body of AGENT_OFFER_TOKENS. False if it makes no sense. That it cannot be done goes to the log. */
bool token_offer_take(const void *body, size_t size);

/* There is none any more; nothing happens if there was none. */
void token_offer_withdraw(void);

#endif
