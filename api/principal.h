/* Who calls, and what they may: a role on some pools, or on all of them. */
#ifndef HEARTH_API_PRINCIPAL_H
#define HEARTH_API_PRINCIPAL_H

#include <stdbool.h>
#include <stddef.h>

/* Each may what those before it may. docs/api.md says what that is. */
enum role {
	ROLE_NONE = -1,
	ROLE_READER,   /* looks: at pools, sessions, files */
	ROLE_EXECUTOR, /* uses the pool: runs code, changes files, ends sessions */
	ROLE_MANAGER,  /* changes the pool itself */
	N_ROLES,
};

enum {
	PRINCIPAL_NAME_SIZE = 128, /* with its NUL */
	POOL_LIST_SIZE = 2048,
};

/* A list of pools that is all pools, those included that do not exist yet. */
#define POOL_LIST_ALL "*"

/* A plain value. */
struct principal {
	enum role role;
	char name[PRINCIPAL_NAME_SIZE]; /* "administrator", "key:<id>", "jwt:<subject>": for logs, printable */
	char pools[POOL_LIST_SIZE];     /* names with one space between them, or POOL_LIST_ALL */
};

/* The word of a role, and the role of a word in any case, or -1. */
const char *role_name(enum role role);
int role_from_name(const char *name);

/* True if `pool` is in the list. Names compare in any case. */
bool pool_list_has(const char *list, const char *pool);

/* Adds a name. False if it is no name of a pool (nor POOL_LIST_ALL, which makes the list that), or there is no room. */
bool pool_list_add(char list[POOL_LIST_SIZE], const char *pool);

/* Puts a text there for logs: cut to the size, with what is not printable ASCII replaced. */
void principal_set_name(struct principal *p, const char *kind, const char *text);

/* True if they have that role, or a higher one, on that pool; NULL: on all pools. No role permits nothing. */
bool principal_may(const struct principal *p, enum role role, const char *pool);

#endif
