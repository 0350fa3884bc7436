/* What a token must be to be believed: each test of a refusal has a twin that differs in that one thing and is taken. */
#include "api/base64url.h"
#include "api/jwt.h"
#include "tests/unit/jwt_helper.h"

#include <errno.h>

#define NOW         1700000000
#define ISSUER      "https://issuer.example/tenant"
#define HEADER_RSA  "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"rsa-1\"}"
#define HEADER_P256 "{\"alg\":\"ES256\",\"kid\":\"ec-1\"}"
#define BASE        "\"iss\":\"" ISSUER "\",\"sub\":\"alice\""
#define AUDIENCE    "\"aud\":\"https://dynamicsessions.io\""
#define EXPIRES     "\"exp\":1700000600"
#define GOOD        "{" BASE "," AUDIENCE "," EXPIRES ",\"roles\":[\"executor\"]}"

static struct signer rsa, p256, other_rsa, other_p256;
static struct jwks *keys;
static struct principal principal;
static const char *why;
static struct jwt_rules rules = {
	.issuer = ISSUER,
	.audiences = "https://dynamicsessions.io https://acasessions.io",
	.role_claim = "roles",
	.pools_claim = "pools",
	.default_role = -1,
};

static struct jwks *parse(const char *text)
{
	struct error err = { 0 };

	return jwks_parse(text, strlen(text), &err);
}

static int set_up(void **state)
{
	char text[8192];

	(void)state;
	rsa = signer_make(true, 2048);
	other_rsa = signer_make(true, 2048);
	p256 = signer_make(false, 0);
	other_p256 = signer_make(false, 0);
	snprintf(text, sizeof(text),
		 "{\"keys\":[{\"kid\":\"rsa-1\",\"use\":\"sig\",%s},{\"kid\":\"ec-1\",\"alg\":\"ES256\",%s}]}", rsa.jwk,
		 p256.jwk);
	keys = parse(text);
	return keys ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	jwks_free(keys);
	signer_free(&rsa);
	signer_free(&other_rsa);
	signer_free(&p256);
	signer_free(&other_p256);
	return 0;
}

static int verify(const char *token)
{
	why = NULL;
	return jwt_verify(token, keys, &rules, NOW, &principal, &why);
}

static int verify_signed(const struct signer *s, const char *header, const char *claims)
{
	char *token = sign(s, header, claims);
	int rc = verify(token);

	free(token);
	return rc;
}

/* Claims with RS256. */
static int claims(const char *text)
{
	return verify_signed(&rsa, HEADER_RSA, text);
}

static void check_refused(int rc, const char *part)
{
	assert_true(rc < 0);
	assert_non_null(why);
	if (!strstr(why, part))
		fail_msg("\"%s\" is not in \"%s\"", part, why);
}

/* ---- signatures -------------------------------------------------------------------------------------------------- */

static void good_tokens_are_taken(void **state)
{
	(void)state;
	assert_int_equal(claims(GOOD), 0);
	assert_string_equal(principal.name, "jwt:alice");
	assert_int_equal(principal.role, ROLE_EXECUTOR);
	assert_string_equal(principal.pools, "*");
	/* Often enough for numbers with zeros in front. */
	for (int i = 0; i < 600; i++)
		assert_int_equal(verify_signed(&p256, HEADER_P256, GOOD), 0);
	/* Without an id, the only key for the algorithm. */
	assert_int_equal(verify_signed(&p256, "{\"alg\":\"ES256\"}", GOOD), 0);
	assert_int_equal(verify_signed(&rsa, "{\"alg\":\"RS256\"}", GOOD), 0);
}

static void another_key_is_refused(void **state)
{
	(void)state;
	check_refused(verify_signed(&other_rsa, HEADER_RSA, GOOD), "signature");
	check_refused(verify_signed(&other_p256, HEADER_P256, GOOD), "signature");
	check_refused(verify_signed(&other_rsa, "{\"alg\":\"RS256\"}", GOOD), "signature");
}

static void an_unknown_key_is_told_apart(void **state)
{
	(void)state;
	assert_int_equal(verify_signed(&rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa-2\"}", GOOD), -ENOKEY);
	assert_int_equal(verify_signed(&rsa, "{\"alg\":\"RS256\",\"kid\":\"\"}", GOOD), -ENOKEY);
	assert_int_equal(verify_signed(&rsa, "{\"alg\":\"RS256\",\"kid\":7}", GOOD), -EINVAL);
	assert_int_equal(verify_signed(&rsa, "{\"alg\":\"RS256\",\"kid\":null}", GOOD), -EINVAL);
	/* The id of a key for the other algorithm. */
	assert_int_equal(verify_signed(&rsa, "{\"alg\":\"RS256\",\"kid\":\"ec-1\"}", GOOD), -ENOKEY);
	assert_int_equal(verify_signed(&p256, "{\"alg\":\"ES256\",\"kid\":\"rsa-1\"}", GOOD), -ENOKEY);
}

static void other_algorithms_are_refused(void **state)
{
	static const char *const names[] = { "none",  "None",  "NONE",  "",      "HS256", "HS512", "RS384",
					     "RS512", "PS256", "ES384", "ES512", "EdDSA", "rs256", "RS256 " };
	char header[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"rsa-1\"}", names[i]);
		check_refused(verify_signed(&rsa, header, GOOD), "RS256 or ES256");
	}
	check_refused(verify_signed(&rsa, "{\"kid\":\"rsa-1\"}", GOOD), "RS256 or ES256");
	check_refused(verify_signed(&rsa, "{\"alg\":[\"RS256\"]}", GOOD), "RS256 or ES256");
}

/* The classic: the public key, which everybody has, taken for the secret of an HMAC. */
static void a_public_key_is_no_secret(void **state)
{
	char token[4096], mac[64];
	uint8_t digest[32];
	size_t n;

	(void)state;
	n = put_base64url(token, "{\"alg\":\"HS256\",\"kid\":\"rsa-1\"}", 29);
	token[n++] = '.';
	n += put_base64url(token + n, GOOD, strlen(GOOD));
	assert_int_equal(gnutls_hmac_fast(GNUTLS_MAC_SHA256, rsa.jwk, strlen(rsa.jwk), token, n, digest), 0);
	put_base64url(mac, digest, sizeof(digest));
	snprintf(token + n, sizeof(token) - n, ".%s", mac);
	check_refused(verify(token), "RS256 or ES256");
}

static void a_token_that_was_changed_is_refused(void **state)
{
	const struct signer *signers[] = { &rsa, &p256 };
	const char *headers[] = { HEADER_RSA, HEADER_P256 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char *token = sign(signers[i], headers[i], GOOD), *claims_at = strchr(token, '.') + 1;
		size_t length = strlen(token);

		assert_int_equal(verify(token), 0);
		for (size_t at = (size_t)(claims_at - token); at < length; at++) {
			char was = token[at];

			token[at] = was == 'A' ? 'B' : 'A';
			if (verify(token) == 0)
				fail_msg("changed at %zu of %zu, and taken", at, length);
			token[at] = was;
		}
		free(token);
	}
}

static void signatures_of_other_forms_are_refused(void **state)
{
	char *token = sign(&p256, HEADER_P256, GOOD), *at = strrchr(token, '.') + 1, text[2048];
	uint8_t zeros[64] = { 0 };
	char zeros_text[100];

	(void)state;
	put_base64url(zeros_text, zeros, sizeof(zeros));
	snprintf(text, sizeof(text), "%.*s%s", (int)(at - token), token, zeros_text);
	check_refused(verify(text), "signature");
	snprintf(text, sizeof(text), "%sAA", token);
	assert_true(verify(text) < 0);
	snprintf(text, sizeof(text), "%.*sAA", (int)(at - token), token);
	check_refused(verify(text), "signature");
	free(token);
}

static void critical_extensions_are_refused(void **state)
{
	(void)state;
	check_refused(verify_signed(&rsa, "{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}", GOOD), "critical");
	check_refused(verify_signed(&rsa, "{\"alg\":\"RS256\",\"crit\":[]}", GOOD), "critical");
}

/* ---- form -------------------------------------------------------------------------------------------------------- */

static void what_is_no_token_is_refused(void **state)
{
	static const char *const texts[] = {
		"",     ".",    "..",    "...",   "a.b",         "a.b.c.d",         "a..c",
		".b.c", "a.b.", "a.b.c", "!.!.!", "e30.e30.e30", "bnVsbA.e30.AAAA", "W10.e30.AAAA"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_true(verify(texts[i]) < 0);
	assert_false(jwt_looks_like("hearth_0123"));
	assert_false(jwt_looks_like("a.b"));
	assert_true(jwt_looks_like("a.b.c"));
}

static void padding_and_the_other_alphabet_are_refused(void **state)
{
	char *token = sign(&rsa, HEADER_RSA, GOOD), text[4096];

	(void)state;
	snprintf(text, sizeof(text), "%s=", token);
	assert_true(verify(text) < 0);
	snprintf(text, sizeof(text), "%s\n", token);
	assert_true(verify(text) < 0);
	free(token);
}

static void huge_tokens_are_refused(void **state)
{
	char *text = malloc(64 << 10);
	size_t n;

	(void)state;
	assert_non_null(text);
	n = (size_t)sprintf(text, "{" BASE "," AUDIENCE "," EXPIRES ",\"roles\":\"executor\",\"x\":\"");
	memset(text + n, 'x', 9000);
	strcpy(text + n + 9000, "\"}");
	assert_int_equal(claims(text), 0);
	memset(text + n, 'x', 16000);
	strcpy(text + n + 16000, "\"}");
	check_refused(claims(text), "too large");
	free(text);
}

static void members_that_stand_twice_are_refused(void **state)
{
	(void)state;
	check_refused(claims("{" BASE "," AUDIENCE "," EXPIRES ",\"sub\":\"bob\"}"), "claims");
	check_refused(claims("{" BASE "," AUDIENCE "," EXPIRES "," AUDIENCE "}"), "claims");
	check_refused(verify_signed(&rsa, "{\"alg\":\"none\",\"alg\":\"RS256\"}", GOOD), "header");
	check_refused(verify_signed(&rsa, "{\"alg\":\"RS256\",\"kid\":\"x\",\"kid\":\"rsa-1\"}", GOOD), "header");
}

static void claims_must_be_one_object(void **state)
{
	(void)state;
	check_refused(claims("[]"), "claims");
	check_refused(claims("7"), "claims");
	check_refused(claims(GOOD "x"), "claims");
	check_refused(claims(GOOD GOOD), "claims");
	check_refused(claims("{" BASE "," AUDIENCE "," EXPIRES ",\"a\":\"\\u0000\"}"), "claims");
	check_refused(claims("{" BASE "," AUDIENCE "," EXPIRES ",\"a\":\"\xff\"}"), "claims");
}

/* ---- claims ------------------------------------------------------------------------------------------------------ */

static void the_issuer_must_be_the_one(void **state)
{
	(void)state;
	check_refused(claims("{" AUDIENCE "," EXPIRES "}"), "issuer");
	check_refused(claims("{\"iss\":\"https://issuer.example/tenant/\"," AUDIENCE "," EXPIRES "}"), "issuer");
	check_refused(claims("{\"iss\":\"https://issuer.example\"," AUDIENCE "," EXPIRES "}"), "issuer");
	check_refused(claims("{\"iss\":[\"" ISSUER "\"]," AUDIENCE "," EXPIRES "}"), "issuer");
}

static void the_audience_must_be_ours(void **state)
{
	static const char *const good[] = {
		"\"https://dynamicsessions.io\"",
		"\"https://dynamicsessions.io/\"",
		"\"https://acasessions.io\"",
		"[\"x\",\"https://acasessions.io/\"]",
	};
	static const char *const bad[] = {
		"\"https://dynamicsessions.io.evil\"",
		"\"https://dynamicsessions.i\"",
		"\"https://management.azure.com\"",
		"\"https://dynamicsessions.io https://acasessions.io\"",
		"\"https://dynamicsessions.io//\"",
		"\"\"",
		"\"/\"",
		"[]",
		"[7]",
		"null",
		"{\"https://dynamicsessions.io\":1}",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "{" BASE "," EXPIRES ",\"aud\":%s}", good[i]);
		assert_int_equal(claims(text), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "{" BASE "," EXPIRES ",\"aud\":%s}", bad[i]);
		check_refused(claims(text), "audience");
	}
	check_refused(claims("{" BASE "," EXPIRES "}"), "audience");
}

static void times_hold_with_a_minute_of_skew(void **state)
{
	(void)state;
	assert_int_equal(claims("{" BASE "," AUDIENCE ",\"exp\":1699999941}"), 0);
	check_refused(claims("{" BASE "," AUDIENCE ",\"exp\":1699999940}"), "expired");
	check_refused(claims("{" BASE "," AUDIENCE ",\"exp\":0}"), "expired");
	check_refused(claims("{" BASE "," AUDIENCE ",\"exp\":-1e300}"), "expired");
	check_refused(claims("{" BASE "," AUDIENCE "}"), "exp");
	check_refused(claims("{" BASE "," AUDIENCE ",\"exp\":\"1700000600\"}"), "exp");
	check_refused(claims("{" BASE "," AUDIENCE ",\"exp\":null}"), "exp");
	check_refused(claims("{" BASE "," AUDIENCE ",\"exp\":99999999999999999999999}"), "claims");
	assert_int_equal(claims("{" BASE "," AUDIENCE "," EXPIRES ",\"nbf\":1700000060}"), 0);
	check_refused(claims("{" BASE "," AUDIENCE "," EXPIRES ",\"nbf\":1700000061}"), "not valid yet");
	check_refused(claims("{" BASE "," AUDIENCE "," EXPIRES ",\"nbf\":\"0\"}"), "nbf");
	assert_int_equal(claims("{" BASE "," AUDIENCE ",\"exp\":1700000600.5,\"nbf\":1699999999.5}"), 0);
}

static void check_role(const char *more, int role, const char *pools)
{
	char text[1024];

	snprintf(text, sizeof(text), "{" BASE "," AUDIENCE "," EXPIRES "%s}", more);
	assert_int_equal(claims(text), 0);
	assert_int_equal(principal.role, role);
	assert_string_equal(principal.pools, pools);
}

static void roles_and_pools_come_from_the_claims(void **state)
{
	(void)state;
	check_role("", ROLE_NONE, "");
	check_role(",\"roles\":[]", ROLE_NONE, "");
	check_role(",\"roles\":[\"admin\",7,null]", ROLE_NONE, "");
	check_role(",\"roles\":[\"admin\"],\"pools\":[\"aa\"]", ROLE_NONE, "");
	check_role(",\"roles\":{\"manager\":1}", ROLE_NONE, "");
	check_role(",\"roles\":[\"reader\",\"Hearth.Manager\",\"executor\"]", ROLE_MANAGER, "*");
	check_role(",\"roles\":\"openid executor\"", ROLE_EXECUTOR, "*");
	check_role(",\"roles\":\"reader\",\"pools\":\"aa bb\"", ROLE_READER, "aa bb");
	check_role(",\"roles\":\"reader\",\"pools\":[\"aa\",\"../x\",5,\"bb\"]", ROLE_READER, "aa bb");
	check_role(",\"roles\":\"reader\",\"pools\":\"*\"", ROLE_READER, "*");
	/* There and empty, or of no use, is not the same as missing. */
	check_role(",\"roles\":\"manager\",\"pools\":[]", ROLE_MANAGER, "");
	check_role(",\"roles\":\"manager\",\"pools\":null", ROLE_MANAGER, "");
	check_role(",\"roles\":\"manager\",\"pools\":7", ROLE_MANAGER, "");
	assert_false(principal_may(&principal, ROLE_READER, "aa"));
	assert_false(principal_may(&principal, ROLE_READER, NULL));
	check_role(",\"oid\":\"0a0b\",\"roles\":\"reader\"", ROLE_READER, "*");
	assert_string_equal(principal.name, "jwt:0a0b");
}

static void claims_are_found_where_the_settings_say(void **state)
{
	struct jwt_rules standard = rules;

	(void)state;
	rules.role_claim = "resource_access.hearth.roles";
	check_role(",\"resource_access\":{\"hearth\":{\"roles\":[\"manager\"]}},\"roles\":\"reader\"", ROLE_MANAGER,
		   "*");
	check_role(",\"resource_access\":{\"hearth\":[]}", ROLE_NONE, "");
	check_role(",\"resource_access\":\"manager\"", ROLE_NONE, "");
	rules.role_claim = "https://hearth.example/role";
	check_role(",\"https://hearth.example/role\":\"reader\"", ROLE_READER, "*");
	rules.default_role = ROLE_EXECUTOR;
	check_role("", ROLE_EXECUTOR, "*");
	check_role(",\"https://hearth.example/role\":\"\"", ROLE_NONE, "");
	rules = standard;
}

/* ---- sets of keys ------------------------------------------------------------------------------------------------ */

static void sets_without_a_usable_key_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"{\"keys\":{}}",
		"{\"keys\":[]}",
		"{\"keys\":[7]}",
		"{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
		"{\"keys\":[],\"keys\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_null(parse(texts[i]));
}

static void keys_for_something_else_are_passed_over(void **state)
{
	static const char *const marks[] = { "\"use\":\"enc\"", "\"alg\":\"RS512\"", "\"alg\":\"RSA-OAEP\"",
					     "\"kid\":7" };
	struct signer weak = signer_make(true, 1024);
	char text[8192];
	struct jwks *set;

	(void)state;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		snprintf(text, sizeof(text), "{\"keys\":[{%s,%s}]}", marks[i], rsa.jwk);
		assert_null(parse(text));
	}
	snprintf(text, sizeof(text), "{\"keys\":[{%s}]}", weak.jwk);
	assert_null(parse(text));
	snprintf(text, sizeof(text), "{\"keys\":[{\"use\":\"enc\",%s},{%s},null]}", rsa.jwk, p256.jwk);
	set = parse(text);
	assert_non_null(set);
	assert_int_equal(jwks_count(set), 1);
	jwks_free(set);
	signer_free(&weak);
}

static void without_an_id_two_keys_are_one_too_many(void **state)
{
	struct jwks *all = keys;
	char text[8192];

	(void)state;
	snprintf(text, sizeof(text), "{\"keys\":[{%s},{%s}]}", rsa.jwk, other_rsa.jwk);
	keys = parse(text);
	assert_non_null(keys);
	assert_int_equal(verify_signed(&rsa, "{\"alg\":\"RS256\"}", GOOD), -ENOKEY);
	jwks_free(keys);
	keys = all;
}

static void base64url_takes_what_an_encoder_writes(void **state)
{
	uint8_t bytes[300], out[300];
	char text[500];

	(void)state;
	for (size_t size = 0; size < sizeof(bytes); size++) {
		size_t n;

		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)(i * 151 + size);
		n = put_base64url(text, bytes, size);
		assert_int_equal(base64url_decoded_size(n), size);
		assert_int_equal(base64url_decode(text, n, out), (ssize_t)size);
		assert_memory_equal(bytes, out, size);
	}
	assert_int_equal(base64url_decode("A", 1, out), -EINVAL);
	assert_int_equal(base64url_decode("AB", 2, out), -EINVAL); /* bits behind the last byte */
	assert_int_equal(base64url_decode("AA==", 4, out), -EINVAL);
	assert_int_equal(base64url_decode("A+/A", 4, out), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tokens_are_taken),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(an_unknown_key_is_told_apart),
		cmocka_unit_test(other_algorithms_are_refused),
		cmocka_unit_test(a_public_key_is_no_secret),
		cmocka_unit_test(a_token_that_was_changed_is_refused),
		cmocka_unit_test(signatures_of_other_forms_are_refused),
		cmocka_unit_test(critical_extensions_are_refused),
		cmocka_unit_test(what_is_no_token_is_refused),
		cmocka_unit_test(padding_and_the_other_alphabet_are_refused),
		cmocka_unit_test(huge_tokens_are_refused),
		cmocka_unit_test(members_that_stand_twice_are_refused),
		cmocka_unit_test(claims_must_be_one_object),
		cmocka_unit_test(the_issuer_must_be_the_one),
		cmocka_unit_test(the_audience_must_be_ours),
		cmocka_unit_test(times_hold_with_a_minute_of_skew),
		cmocka_unit_test(roles_and_pools_come_from_the_claims),
		cmocka_unit_test(claims_are_found_where_the_settings_say),
		cmocka_unit_test(sets_without_a_usable_key_are_refused),
		cmocka_unit_test(keys_for_something_else_are_passed_over),
		cmocka_unit_test(without_an_id_two_keys_are_one_too_many),
		cmocka_unit_test(base64url_takes_what_an_encoder_writes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
