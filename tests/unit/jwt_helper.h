/* An issuer of JSON Web Tokens for tests: keys of its own, sets of them, and tokens that say whatever a test wants. */
#ifndef HEARTH_TESTS_UNIT_JWT_HELPER_H
#define HEARTH_TESTS_UNIT_JWT_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct signer {
	gnutls_privkey_t key;
	bool is_rsa;
	char jwk[2048]; /* its public half, without kid and braces */
};

static inline size_t put_base64url(char *out, const void *data, size_t size)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *bytes = data;
	size_t n = 0;

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i < 3 ? size - i : 3;
		uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
				 (left > 2 ? bytes[i + 2] : 0);

		for (size_t k = 0; k < left + 1; k++)
			out[n++] = alphabet[group >> (18 - 6 * k) & 63];
	}
	out[n] = '\0';
	return n;
}

/* A number as many bytes long as `size` says (0: as it is without a zero in front). */
static inline size_t fix_size(uint8_t *out, const gnutls_datum_t *number, size_t size)
{
	const uint8_t *from = number->data;
	size_t n = number->size;

	while (n > 1 && *from == 0) {
		from++;
		n--;
	}
	if (!size)
		size = n;
	memset(out, 0, size - n);
	memcpy(out + size - n, from, n);
	return size;
}

static inline struct signer signer_make(bool is_rsa, unsigned int bits)
{
	struct signer s = { .is_rsa = is_rsa };
	gnutls_datum_t a, b;
	char first[1024], second[1024];
	uint8_t bytes[1024];

	assert_int_equal(gnutls_privkey_init(&s.key), 0);
	assert_int_equal(gnutls_privkey_generate(s.key, is_rsa ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA,
						 is_rsa ? bits : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
			 0);
	if (is_rsa)
		assert_int_equal(gnutls_privkey_export_rsa_raw(s.key, &a, &b, NULL, NULL, NULL, NULL, NULL, NULL), 0);
	else
		assert_int_equal(gnutls_privkey_export_ecc_raw(s.key, NULL, &a, &b, NULL), 0);
	put_base64url(first, bytes, fix_size(bytes, &a, is_rsa ? 0 : 32));
	put_base64url(second, bytes, fix_size(bytes, &b, is_rsa ? 0 : 32));
	gnutls_free(a.data);
	gnutls_free(b.data);
	snprintf(s.jwk, sizeof(s.jwk),
		 is_rsa ? "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\""
			: "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"",
		 first, second);
	return s;
}

static inline void signer_free(struct signer *s)
{
	gnutls_privkey_deinit(s->key);
}

/* Signs whatever header and claims; the caller frees it. */
static inline char *sign(const struct signer *s, const char *header, const char *claims)
{
	char *token = malloc(4 * (strlen(header) + strlen(claims)) + 2048);
	gnutls_datum_t data, signature, r, q;
	uint8_t bytes[64];
	size_t n;

	assert_non_null(token);
	n = put_base64url(token, header, strlen(header));
	token[n++] = '.';
	n += put_base64url(token + n, claims, strlen(claims));
	data = (gnutls_datum_t) { (unsigned char *)token, (unsigned int)n };
	assert_int_equal(gnutls_privkey_sign_data2(s->key,
						   s->is_rsa ? GNUTLS_SIGN_RSA_SHA256 : GNUTLS_SIGN_ECDSA_SHA256, 0,
						   &data, &signature),
			 0);
	token[n++] = '.';
	if (s->is_rsa) {
		put_base64url(token + n, signature.data, signature.size);
	} else {
		assert_int_equal(gnutls_decode_rs_value(&signature, &r, &q), 0);
		fix_size(bytes, &r, 32);
		fix_size(bytes + 32, &q, 32);
		put_base64url(token + n, bytes, 64);
		gnutls_free(r.data);
		gnutls_free(q.data);
	}
	gnutls_free(signature.data);
	return token;
}

#endif
