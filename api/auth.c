#include "api/auth.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static size_t trimmed_size(const char *text, size_t size)
{
	while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		size--;
	return size;
}

int auth_load(struct auth *auth, const char *path, struct error *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[AUTH_TOKEN_MAX + 3];
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return error_set(err, errno,
				 "cannot read token-file %s: %s (make one with: head -c 24 /dev/urandom | "
				 "base64 | tr +/ -_ > %s && chmod 600 %s)",
				 path, strerror(errno), path, path);
	if (fstat(fd, &st) == 0 && (st.st_mode & 077))
		log_warn("token-file %s can be read by others: chmod 600 it", path);
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return error_set(err, errno, "cannot read token-file %s: %s", path, strerror(errno));
	auth->token_size = trimmed_size(text, (size_t)n);
	if (auth->token_size < AUTH_TOKEN_MIN || auth->token_size > AUTH_TOKEN_MAX)
		return error_set(err, EINVAL, "token-file %s must hold one line of %d to %d characters", path,
				 AUTH_TOKEN_MIN, AUTH_TOKEN_MAX);
	for (size_t i = 0; i < auth->token_size; i++)
		if (text[i] <= 0x20 || text[i] >= 0x7f)
			return error_set(err, EINVAL, "token-file %s must hold one line of printable characters", path);
	memcpy(auth->token, text, auth->token_size);
	auth->token[auth->token_size] = '\0';
	explicit_bzero(text, sizeof(text));
	return 0;
}

/* The token of a header "Bearer <token>", or NULL. */
static const char *bearer_of(const char *authorization)
{
	const char *given;

	if (!authorization || strncasecmp(authorization, "Bearer", 6) != 0 || authorization[6] != ' ')
		return NULL;
	given = authorization + 6 + strspn(authorization + 6, " ");
	return *given ? given : NULL;
}

static bool is_administrator(const struct auth *auth, const char *given)
{
	size_t size = strlen(given);
	uint8_t difference = size != auth->token_size;

	/* As many steps as the client's text has characters, whatever the token is. */
	for (size_t i = 0; i < size; i++)
		difference |= (uint8_t)(given[i] ^ auth->token[i % auth->token_size]);
	return difference == 0;
}

static void become(struct principal *principal, enum role role, const char *pools, const char *kind, const char *name)
{
	principal->role = role;
	snprintf(principal->pools, sizeof(principal->pools), "%s", pools);
	principal_set_name(principal, kind, name);
}

bool auth_identify(struct auth *auth, const char *authorization, int64_t now_ms, struct principal *principal,
		   const char **why)
{
	const char *given = bearer_of(authorization);
	const struct api_key *key;

	*why = NULL;
	if (!given)
		return false;
	if (is_administrator(auth, given)) {
		become(principal, ROLE_MANAGER, POOL_LIST_ALL, "administrator", "");
		return true;
	}
	key = auth->keys ? api_keys_identify(auth->keys, given, now_ms) : NULL;
	if (key) {
		become(principal, key->role, key->pools, "key", key->id);
		return true;
	}
	if (auth->issuer && jwt_looks_like(given))
		return issuer_identify(auth->issuer, given, now_ms, principal, why);
	*why = "The token is not one of this service, or it has expired, or it was revoked.";
	return false;
}

void auth_fini(struct auth *auth)
{
	explicit_bzero(auth, sizeof(*auth));
}
