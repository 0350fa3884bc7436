#include "api/jwks.h"

#include "api/base64url.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RSA_BITS_MIN = 2048,
	RSA_BITS_MAX = 8192, /* a larger one would only make verifying dear */
	RSA_EXPONENT_MAX = 8,
	P256_BYTES = 32,
};

struct jwk {
	char id[JWK_ID_SIZE]; /* "" if it has none */
	enum jwk_algorithm algorithm;
	gnutls_pubkey_t key;
};

struct jwks {
	size_t n;
	struct jwk keys[];
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The bytes of a member, at most `max`. Their number, or negative. */
static ssize_t read_bytes(const json_t *json, const char *name, uint8_t *out, size_t max)
{
	const json_t *member = json_object_get(json, name);
	size_t size = json_string_length(member);

	if (!json_is_string(member) || size == 0 || base64url_decoded_size(size) > max)
		return -EINVAL;
	return base64url_decode(json_string_value(member), size, out);
}

static int import_rsa(gnutls_pubkey_t key, const json_t *json)
{
	uint8_t modulus[RSA_BITS_MAX / 8 + 1], exponent[RSA_EXPONENT_MAX];
	ssize_t n = read_bytes(json, "n", modulus, sizeof(modulus));
	ssize_t e = read_bytes(json, "e", exponent, sizeof(exponent));
	unsigned int bits = 0;

	if (n <= 0 || e <= 0 || !(modulus[n - 1] & 1) || !(exponent[e - 1] & 1) || (e == 1 && exponent[0] == 1))
		return -EINVAL;
	if (gnutls_pubkey_import_rsa_raw(key, &(gnutls_datum_t) { modulus, (unsigned int)n },
					 &(gnutls_datum_t) { exponent, (unsigned int)e }) < 0 ||
	    gnutls_pubkey_get_pk_algorithm(key, &bits) != GNUTLS_PK_RSA || bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
		return -EINVAL;
	return 0;
}

static int import_p256(gnutls_pubkey_t key, const json_t *json)
{
	uint8_t x[P256_BYTES], y[P256_BYTES];

	/* As long as the curve's numbers are, leading zeros and all (RFC 7518, 6.2.1.2). */
	if (read_bytes(json, "x", x, sizeof(x)) != P256_BYTES || read_bytes(json, "y", y, sizeof(y)) != P256_BYTES)
		return -EINVAL;
	return gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_SECP256R1, &(gnutls_datum_t) { x, sizeof(x) },
					    &(gnutls_datum_t) { y, sizeof(y) }) < 0
		       ? -EINVAL
		       : 0;
}

/* True if a member is absent or has that text. */
static bool is_or_absent(const json_t *json, const char *name, const char *text)
{
	const json_t *member = json_object_get(json, name);

	return !member || (json_is_string(member) && strcmp(json_string_value(member), text) == 0);
}

static bool has_text(const json_t *json, const char *name, const char *text)
{
	return json_object_get(json, name) && is_or_absent(json, name, text);
}

/* Fills *key. False, with nothing to free, if it is of no use here. */
static bool read_key(struct jwk *key, const json_t *json)
{
	const json_t *id = json_object_get(json, "kid");
	bool is_rsa = has_text(json, "kty", "RSA"),
	     is_p256 = has_text(json, "kty", "EC") && has_text(json, "crv", "P-256");

	if ((!is_rsa && !is_p256) || !is_or_absent(json, "use", "sig") ||
	    !is_or_absent(json, "alg", is_rsa ? "RS256" : "ES256"))
		return false;
	if (id && (!json_is_string(id) || json_string_length(id) >= JWK_ID_SIZE))
		return false;
	snprintf(key->id, sizeof(key->id), "%s", id ? json_string_value(id) : "");
	key->algorithm = is_rsa ? JWK_RS256 : JWK_ES256;
	if (gnutls_pubkey_init(&key->key) < 0)
		return false;
	if ((is_rsa ? import_rsa(key->key, json) : import_p256(key->key, json)) == 0)
		return true;
	gnutls_pubkey_deinit(key->key);
	return false;
}

static struct jwks *read_keys(const json_t *array, struct error *err)
{
	struct jwks *keys;
	const json_t *item;
	size_t i;

	if (!json_is_array(array) || json_array_size(array) > JWKS_KEYS_MAX) {
		error_set(err, EINVAL, "it has no list \"keys\" of at most %d", JWKS_KEYS_MAX);
		return NULL;
	}
	keys = calloc(1, sizeof(*keys) + json_array_size(array) * sizeof(keys->keys[0]));
	if (!keys) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	json_array_foreach(array, i, item) keys->n += read_key(&keys->keys[keys->n], item);
	if (keys->n > 0)
		return keys;
	error_set(err, EINVAL, "it has no key for RS256 (RSA of %d to %d bits) or ES256 (P-256)", RSA_BITS_MIN,
		  RSA_BITS_MAX);
	free(keys);
	return NULL;
}

struct jwks *jwks_parse(const char *text, size_t size, struct error *err)
{
	json_error_t at;
	struct jwks *keys;
	json_t *root;

	if (size > JWKS_SIZE_MAX) {
		error_set(err, E2BIG, "it is larger than %d bytes", JWKS_SIZE_MAX);
		return NULL;
	}
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
	if (!root) {
		error_set(err, EINVAL, "it is no JSON: %s (line %d, column %d)", at.text, at.line, at.column);
		return NULL;
	}
	keys = read_keys(json_object_get(root, "keys"), err);
	json_decref(root);
	return keys;
}

void jwks_free(struct jwks *keys)
{
	for (size_t i = 0; keys && i < keys->n; i++)
		gnutls_pubkey_deinit(keys->keys[i].key);
	free(keys);
}

size_t jwks_count(const struct jwks *keys)
{
	return keys->n;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

const struct jwk *jwks_find(const struct jwks *keys, const char *id, enum jwk_algorithm algorithm)
{
	const struct jwk *found = NULL;

	for (size_t i = 0; i < keys->n; i++) {
		const struct jwk *key = &keys->keys[i];

		if (key->algorithm != algorithm || (id && strcmp(key->id, id) != 0))
			continue;
		if (found)
			return id ? found : NULL;
		found = key;
	}
	return found;
}

/* Without the zeros in front, which the other form of a number must not have. */
static gnutls_datum_t number(const unsigned char *bytes, unsigned int size)
{
	while (size > 1 && *bytes == 0) {
		bytes++;
		size--;
	}
	return (gnutls_datum_t) { (unsigned char *)(uintptr_t)bytes, size };
}

static bool verify_p256(const struct jwk *key, const gnutls_datum_t *data, const unsigned char *signature, size_t size)
{
	gnutls_datum_t r, s, encoded = { 0 };
	bool is_valid;

	if (size != (size_t)2 * P256_BYTES)
		return false;
	r = number(signature, P256_BYTES);
	s = number(signature + P256_BYTES, P256_BYTES);
	if (gnutls_encode_rs_value(&encoded, &r, &s) < 0)
		return false;
	is_valid = gnutls_pubkey_verify_data2(key->key, GNUTLS_SIGN_ECDSA_SHA256, 0, data, &encoded) >= 0;
	gnutls_free(encoded.data);
	return is_valid;
}

bool jwk_verify(const struct jwk *key, const char *text, size_t size, const unsigned char *signature,
		size_t signature_size)
{
	const gnutls_datum_t data = { (unsigned char *)(uintptr_t)text, (unsigned int)size };
	const gnutls_datum_t given = { (unsigned char *)(uintptr_t)signature, (unsigned int)signature_size };

	if (signature_size == 0)
		return false;
	if (key->algorithm == JWK_ES256)
		return verify_p256(key, &data, signature, signature_size);
	return gnutls_pubkey_verify_data2(key->key, GNUTLS_SIGN_RSA_SHA256, 0, &data, &given) >= 0;
}
