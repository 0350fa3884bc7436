#include "api/principal.h"

#include "api/pool_definition.h"
#include "common/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const names[N_ROLES] = {
	[ROLE_READER] = "reader",
	[ROLE_EXECUTOR] = "executor",
	[ROLE_MANAGER] = "manager",
};

const char *role_name(enum role role)
{
	return names[role];
}

int role_from_name(const char *name)
{
	return text_find_word(names, N_ROLES, name);
}

bool pool_list_has(const char *list, const char *pool)
{
	size_t size = strlen(pool);

	if (strcmp(list, POOL_LIST_ALL) == 0)
		return true;
	while (*list) {
		size_t length = strcspn(list, " ");

		if (length == size && strncasecmp(list, pool, size) == 0)
			return true;
		list += length + (list[length] == ' ');
	}
	return false;
}

bool pool_list_add(char list[POOL_LIST_SIZE], const char *pool)
{
	size_t used = strlen(list);

	if (strcmp(pool, POOL_LIST_ALL) == 0) {
		snprintf(list, POOL_LIST_SIZE, POOL_LIST_ALL);
		return true;
	}
	if (!pool_name_is_valid(pool))
		return false;
	if (pool_list_has(list, pool))
		return true;
	if (used + 1 + strlen(pool) >= POOL_LIST_SIZE)
		return false;
	snprintf(list + used, POOL_LIST_SIZE - used, "%s%s", used ? " " : "", pool);
	return true;
}

void principal_set_name(struct principal *p, const char *kind, const char *text)
{
	snprintf(p->name, sizeof(p->name), "%s%s%s", kind, *text ? ":" : "", text);
	for (char *c = p->name; *c; c++)
		if (*c <= 0x20 || *c > 0x7e || *c == '"' || *c == '\\')
			*c = '?';
}

bool principal_may(const struct principal *p, enum role role, const char *pool)
{
	return p->role >= role && (pool ? pool_list_has(p->pools, pool) : strcmp(p->pools, POOL_LIST_ALL) == 0);
}
