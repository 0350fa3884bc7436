#include "container_user.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	FIELDS_MAX = 7,
	ID_MAX_DIGITS = 10,
};

/* Bytes of a file or of a line: not terminated. */
struct text {
	const char *at;
	size_t size;
};

static bool is_equal(struct text a, struct text b)
{
	return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

/* Cuts off `rest` what comes before `separator`, and that; all of it if there is none. False if nothing is left. */
static bool take_until(struct text *rest, char separator, struct text *part)
{
	const char *end = rest->size ? memchr(rest->at, separator, rest->size) : NULL;

	if (!rest->at)
		return false;
	part->at = rest->at;
	part->size = end ? (size_t)(end - rest->at) : rest->size;
	rest->at = end ? end + 1 : NULL;
	rest->size = end ? rest->size - part->size - 1 : 0;
	return true;
}

/* A decimal number that names a user or group. The last one, 2^32 - 1, means "none" to the kernel. */
static bool is_id(struct text text, uint32_t *id)
{
	uint64_t value = 0;

	if (text.size == 0 || text.size > ID_MAX_DIGITS)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text.at[i] - '0');
	}
	if (value >= UINT32_MAX)
		return false;
	*id = (uint32_t)value;
	return true;
}

/* The next line of a file that has at least `n_fields` fields. False at its end. */
static bool next_entry(struct text *file, struct text *fields, size_t n_fields)
{
	struct text line;

	while (take_until(file, '\n', &line)) {
		size_t count = 0;

		while (count < n_fields && take_until(&line, ':', &fields[count]))
			count++;
		if (count == n_fields && fields[0].size > 0)
			return true;
	}
	return false;
}

/* name:password:uid:gid:comment:home. The first one of this name or number is taken, as by Docker. */
static bool find_user(struct text wanted, struct text passwd, struct container_user *user, struct text *name)
{
	uint32_t number = 0;
	bool is_number = is_id(wanted, &number);
	struct text fields[FIELDS_MAX];

	while (next_entry(&passwd, fields, 6)) {
		uint32_t uid, gid;

		if (!is_id(fields[2], &uid) || !is_id(fields[3], &gid))
			continue;
		if (!is_equal(fields[0], wanted) && !(is_number && uid == number))
			continue;
		user->uid = uid;
		user->gid = gid;
		*name = fields[0];
		if (fields[5].size > 0 && fields[5].size <= CONTAINER_HOME_MAX && fields[5].at[0] == '/' &&
		    !memchr(fields[5].at, '\0', fields[5].size)) {
			memcpy(user->home, fields[5].at, fields[5].size);
			user->home[fields[5].size] = '\0';
		}
		return true;
	}
	user->uid = number;
	return is_number;
}

/* name:password:gid:members */
static bool find_group(struct text wanted, struct text group, uint32_t *gid)
{
	struct text fields[FIELDS_MAX];
	uint32_t number = 0;
	bool is_number = is_id(wanted, &number);

	while (next_entry(&group, fields, 3))
		if (is_equal(fields[0], wanted) && is_id(fields[2], gid))
			return true;
	*gid = number;
	return is_number;
}

static bool is_member(struct text members, struct text name)
{
	struct text member;

	while (take_until(&members, ',', &member))
		if (is_equal(member, name))
			return true;
	return false;
}

static void join_groups(struct text name, struct text group, struct container_user *user)
{
	struct text fields[FIELDS_MAX];
	uint32_t gid;

	while (user->n_groups < CONTAINER_GROUPS_MAX && next_entry(&group, fields, 4))
		if (is_id(fields[2], &gid) && is_member(fields[3], name))
			user->groups[user->n_groups++] = gid;
}

/* What is beyond the limit is left out, and with it a line that it cuts. */
static struct text bounded(const char *at, size_t size)
{
	struct text text = { at, size };

	if (size > CONTAINER_USER_FILE_MAX) {
		const char *end = memrchr(at, '\n', CONTAINER_USER_FILE_MAX);

		text.size = end ? (size_t)(end - at) : 0;
	}
	return text;
}

int container_user_resolve(const char *user, const struct container_user_files *files, struct container_user *result,
			   struct error *err)
{
	struct text passwd = bounded(files->passwd, files->passwd_size);
	struct text group = bounded(files->group, files->group_size);
	struct text rest = { user, strlen(user) };
	struct text wanted, name = { NULL, 0 };
	bool has_group;

	*result = (struct container_user) { .home = "/" };
	take_until(&rest, ':', &wanted);
	has_group = rest.at && rest.size > 0;
	if (wanted.size == 0)
		wanted = (struct text) { "0", 1 };
	if (!find_user(wanted, passwd, result, &name))
		return error_set(err, ENOENT,
				 "the image's user \"%.*s\" is neither a number nor in its /etc/passwd: "
				 "name another one in the image's configuration",
				 (int)(wanted.size < 64 ? wanted.size : 64), wanted.at);
	if (has_group && !find_group(rest, group, &result->gid))
		return error_set(err, ENOENT,
				 "the image's group \"%.*s\" is neither a number nor in its /etc/group: "
				 "name another one in the image's configuration",
				 (int)(rest.size < 64 ? rest.size : 64), rest.at);
	if (!has_group && name.at)
		join_groups(name, group, result);
	return 0;
}
