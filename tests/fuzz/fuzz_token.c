/* Tokens and sets of keys, which come from clients and from an issuer: none that was not signed is believed. */
#include "api/jwks.h"
#include "api/jwt.h"
#include "api/principal.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* The public keys of RFC 7515's examples A.2 (RS256) and A.3 (ES256), whose private ones sign nothing here. */
static const char public_keys[] =
	"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"rsa-1\",\"e\":\"AQAB\",\"n\":"
	"\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
	"T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS"
	"-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2et"
	"hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"},{\"kty\":\"EC\",\"kid\":\"ec-1\",\"crv\":\"P-256\",\"x\":"
	"\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static const struct jwt_rules rules = {
	.issuer = "i",
	.audiences = "https://dynamicsessions.io",
	.role_claim = "roles",
	.pools_claim = "pools",
	.default_role = -1,
};

static void fuzz_token(const char *token)
{
	static struct jwks *keys;
	struct principal principal;
	struct error err = { 0 };
	const char *why = NULL;

	if (!keys)
		keys = jwks_parse(public_keys, strlen(public_keys), &err);
	FUZZ_CHECK(keys && jwks_count(keys) == 2);
	FUZZ_CHECK(jwt_verify(token, keys, &rules, 1700000000, &principal, &why) < 0);
	FUZZ_CHECK(why != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	const bool is_token = choose_below(&c, 2);
	char *text = strndup((const char *)c.data, c.size);
	struct error err = { 0 };
	struct jwks *keys;

	if (!text)
		return 0;
	if (is_token) {
		fuzz_token(text);
	} else {
		keys = jwks_parse(text, strlen(text), &err);
		FUZZ_CHECK(keys || *err.text);
		if (keys)
			FUZZ_CHECK(jwks_count(keys) >= 1 && jwks_count(keys) <= JWKS_KEYS_MAX);
		jwks_free(keys);
	}
	free(text);
	return 0;
}
