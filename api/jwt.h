/* A JSON Web Token as a bearer token (RFC 7519, with the advice of RFC 8725): signed with RS256 or ES256, or refused. */
#ifndef HEARTH_API_JWT_H
#define HEARTH_API_JWT_H

#include "api/jwks.h"
#include "api/principal.h"

#include <stdint.h>

enum {
	JWT_SIZE_MAX = 16 << 10, /* bytes */
	JWT_SKEW_S = 60,         /* that the clocks of issuer and service may differ */
};

/* What is asked of a token. Texts are not owned. */
struct jwt_rules {
	const char *issuer; /* the claim iss, exactly */
	const char
		*audiences; /* one of them, with spaces between, must be in aud; a slash at the end does not matter */
	const char *
		role_claim; /* its text, or one in its list, is a role's word, also after "hearth."; the highest holds */
	const char *
		pools_claim; /* names of pools, in a list or in a text with spaces; without the claim it is all pools */
	int default_role;    /* of a token without the claim; -1: none */
};

/*
 * Fills *principal from a token; one that gives no role has one on no pool. 0; -ENOKEY if it names a key that is not in
 * `keys`; -EINVAL. Then *why is a sentence that quotes nothing of it.
 */
int jwt_verify(const char *token, const struct jwks *keys, const struct jwt_rules *rules, int64_t now_s,
	       struct principal *principal, const char **why);

/* True if a text has the form of a token: three parts with points between. */
bool jwt_looks_like(const char *token);

#endif
