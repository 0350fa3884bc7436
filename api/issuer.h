/*
 * The issuer of JSON Web Tokens that the service believes: its public keys, from a file or a URL, kept up to date in the
 * background (in libuv's threads), and what is asked of its tokens.
 */
#ifndef HEARTH_API_ISSUER_H
#define HEARTH_API_ISSUER_H

#include "api/jwt.h"
#include "common/error.h"

#include <uv.h>

struct issuer;

struct issuer_settings {
	const char *keys; /* a file, or a URL: https://, or http:// on a loopback address */
	struct jwt_rules rules;
};

/*
 * Texts of the settings must live as long as the issuer. A file is read now, and must be good; a URL is fetched in the
 * background, again and again until it is. NULL with *err filled on failure.
 */
struct issuer *issuer_create(uv_loop_t *loop, const struct issuer_settings *settings, struct error *err);

/* Nothing more is asked of it. Frees itself once the loop has run on for at most some seconds. NULL is fine. */
void issuer_close(struct issuer *issuer);

/*
 * As jwt_verify(). A token that names an unknown key is refused, and makes the keys be looked at anew, at most every 10
 * seconds: issuers publish a new key before they use it.
 */
bool issuer_identify(struct issuer *issuer, const char *token, int64_t now_ms, struct principal *principal,
		     const char **why);

#endif
