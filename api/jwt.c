#include "api/jwt.h"

#include "api/base64url.h"
#include "common/cleanup.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct part {
	const char *text;
	size_t size;
};

struct parts {
	struct part header, claims, signature;
};

static int refuse(const char **why, const char *sentence)
{
	*why = sentence;
	return -EINVAL;
}

/* ---- its form ---------------------------------------------------------------------------------------------------- */

static bool split(const char *token, struct parts *parts)
{
	struct part *all[] = { &parts->header, &parts->claims, &parts->signature };

	for (size_t i = 0; i < 3; i++) {
		size_t size = strcspn(token, ".");

		if (size == 0 || (token[size] == '.') != (i < 2))
			return false;
		*all[i] = (struct part) { token, size };
		token += size + (i < 2);
	}
	return true;
}

bool jwt_looks_like(const char *token)
{
	struct parts parts;

	return split(token, &parts);
}

/* The object that a part holds, or NULL. Readers differ in which of two equal members they believe: there must be none. */
static json_t *decode_object(const struct part *part)
{
	AUTO_FREE uint8_t *bytes = malloc(base64url_decoded_size(part->size) + 1);
	ssize_t size = bytes ? base64url_decode(part->text, part->size, bytes) : -ENOMEM;
	json_t *json = size < 0 ? NULL : json_loadb((const char *)bytes, (size_t)size, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(json))
		return json;
	json_decref(json);
	return NULL;
}

/* ---- who signed it ----------------------------------------------------------------------------------------------- */

static bool read_algorithm(const json_t *header, enum jwk_algorithm *algorithm)
{
	const char *name = json_string_value(json_object_get(header, "alg"));

	if (name && strcmp(name, "RS256") == 0)
		*algorithm = JWK_RS256;
	else if (name && strcmp(name, "ES256") == 0)
		*algorithm = JWK_ES256;
	else
		return false;
	return true;
}

static int find_key(const json_t *header, const struct jwks *keys, const struct jwk **key, const char **why)
{
	const json_t *id = json_object_get(header, "kid");
	enum jwk_algorithm algorithm;

	if (!read_algorithm(header, &algorithm))
		return refuse(why, "The token must be signed with RS256 or ES256.");
	/* Extensions that must be understood (RFC 7515, 4.1.11): none is. */
	if (json_object_get(header, "crit"))
		return refuse(why, "The token has critical header parameters, which are not supported.");
	if (id && !json_is_string(id))
		return refuse(why, "The token's header is not valid.");
	*key = jwks_find(keys, json_string_value(id), algorithm);
	if (*key)
		return 0;
	*why = "The token is signed with a key that the issuer does not publish.";
	return -ENOKEY;
}

static bool has_signature(const struct parts *parts, const struct jwk *key)
{
	AUTO_FREE uint8_t *signature = malloc(base64url_decoded_size(parts->signature.size) + 1);
	ssize_t size = signature ? base64url_decode(parts->signature.text, parts->signature.size, signature) : -ENOMEM;
	size_t signed_size = (size_t)(parts->claims.text + parts->claims.size - parts->header.text);

	return size > 0 && jwk_verify(key, parts->header.text, signed_size, signature, (size_t)size);
}

/* ---- for whom, and until when ------------------------------------------------------------------------------------ */

static size_t without_slash(const char *text, size_t size)
{
	return size > 0 && text[size - 1] == '/' ? size - 1 : size;
}

static bool is_wanted_audience(const json_t *audience, const char *wanted)
{
	const char *text = json_string_value(audience);
	size_t size = text ? without_slash(text, json_string_length(audience)) : 0;

	while (size && *wanted) {
		size_t length = strcspn(wanted, " ");

		if (without_slash(wanted, length) == size && memcmp(wanted, text, size) == 0)
			return true;
		wanted += length + (wanted[length] == ' ');
	}
	return false;
}

static bool has_audience(const json_t *claim, const char *wanted)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(claim))
		return is_wanted_audience(claim, wanted);
	json_array_foreach(claim, i, item) if (is_wanted_audience(item, wanted)) return true;
	return false;
}

static int check_times(const json_t *claims, int64_t now_s, const char **why)
{
	const json_t *expires = json_object_get(claims, "exp"), *begins = json_object_get(claims, "nbf");

	if (!json_is_number(expires))
		return refuse(why, "The token does not say when it expires (exp).");
	if ((double)now_s >= json_number_value(expires) + JWT_SKEW_S)
		return refuse(why, "The token has expired.");
	if (begins && !json_is_number(begins))
		return refuse(why, "The token's time nbf is not valid.");
	if (begins && (double)now_s + JWT_SKEW_S < json_number_value(begins))
		return refuse(why, "The token is not valid yet.");
	return 0;
}

static int check_claims(const json_t *claims, const struct jwt_rules *rules, int64_t now_s, const char **why)
{
	const json_t *issuer = json_object_get(claims, "iss");

	if (!json_is_string(issuer) || strcmp(json_string_value(issuer), rules->issuer) != 0)
		return refuse(why, "The token is of another issuer (iss).");
	if (!has_audience(json_object_get(claims, "aud"), rules->audiences))
		return refuse(why, "The token is for another audience (aud).");
	return check_times(claims, now_s, why);
}

/* ---- what it permits --------------------------------------------------------------------------------------------- */

/* A claim by its name, or else by the way to it: "realm_access.roles". */
static const json_t *find_claim(const json_t *claims, const char *name)
{
	const json_t *found = json_object_get(claims, name);
	char key[128];

	for (const json_t *object = claims; !found && object && *name;) {
		size_t length = strcspn(name, ".");

		if (snprintf(key, sizeof(key), "%.*s", (int)length, name) >= (int)sizeof(key))
			return NULL;
		object = json_object_get(object, key);
		name += length + (name[length] == '.');
		if (!*name)
			found = object;
	}
	return found;
}

/* Calls `each` with every word of a text, or of every text of a list. */
static void for_each_word(const json_t *claim, void (*each)(struct principal *p, const char *word),
			  struct principal *principal)
{
	size_t n = json_is_array(claim) ? json_array_size(claim) : 1;

	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_is_array(claim) ? json_array_get(claim, i) : claim;
		const char *text = json_string_value(item);
		char word[80];

		while (text && *text) {
			size_t length = strcspn(text, " ");

			/* Longer than any role or pool: it is neither. */
			if (length > 0 && length < sizeof(word)) {
				snprintf(word, sizeof(word), "%.*s", (int)length, text);
				each(principal, word);
			}
			text += length + (text[length] == ' ');
		}
	}
}

static void raise_role(struct principal *p, const char *word)
{
	int role = role_from_name(strncasecmp(word, "hearth.", 7) == 0 ? word + 7 : word);

	if (role > (int)p->role)
		p->role = (enum role)role;
}

/* A word that is no pool's name gives nothing; neither does one for which there is no room. */
static void add_pool(struct principal *p, const char *word)
{
	(void)pool_list_add(p->pools, word);
}

static void read_principal(struct principal *p, const json_t *claims, const struct jwt_rules *rules)
{
	const json_t *roles = find_claim(claims, rules->role_claim), *pools = find_claim(claims, rules->pools_claim);
	const char *subject = json_string_value(json_object_get(claims, "oid"));

	if (!subject)
		subject = json_string_value(json_object_get(claims, "sub"));
	principal_set_name(p, "jwt", subject ? subject : "");
	p->pools[0] = '\0';
	p->role = roles ? ROLE_NONE : (enum role)rules->default_role;
	for_each_word(roles, raise_role, p);
	if (p->role == ROLE_NONE)
		return;
	if (pools)
		for_each_word(pools, add_pool, p);
	else
		pool_list_add(p->pools, POOL_LIST_ALL);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int verify_signature(const struct parts *parts, const struct jwks *keys, const char **why)
{
	json_t *header = decode_object(&parts->header);
	const struct jwk *key = NULL;
	int rc;

	if (!header)
		return refuse(why, "The token's header is not valid.");
	rc = find_key(header, keys, &key, why);
	json_decref(header);
	if (rc == 0 && !has_signature(parts, key))
		rc = refuse(why, "The token's signature is not valid.");
	return rc;
}

int jwt_verify(const char *token, const struct jwks *keys, const struct jwt_rules *rules, int64_t now_s,
	       struct principal *principal, const char **why)
{
	struct parts parts;
	json_t *claims;
	int rc;

	if (strlen(token) > JWT_SIZE_MAX)
		return refuse(why, "The token is too large.");
	if (!split(token, &parts))
		return refuse(why, "The token is no JSON Web Token.");
	rc = verify_signature(&parts, keys, why);
	if (rc < 0)
		return rc;
	/* Nothing of the claims is looked at before it is known who wrote them. */
	claims = decode_object(&parts.claims);
	if (!claims)
		return refuse(why, "The token's claims are not valid.");
	rc = check_claims(claims, rules, now_s, why);
	if (rc == 0)
		read_principal(principal, claims, rules);
	json_decref(claims);
	return rc;
}
