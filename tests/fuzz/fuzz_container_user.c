/* An image's /etc/passwd and /etc/group, and the user that it names: the input is the three, apart by NUL. */
#include "guest-agent/container_user.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *user_end = size ? memchr(data, '\0', size) : NULL;
	struct container_user_files files = { 0 };
	struct container_user user;
	struct error err = { 0 };
	const uint8_t *passwd_end;

	if (!user_end)
		return 0;
	files.passwd = (const char *)user_end + 1;
	files.passwd_size = size - (size_t)(user_end + 1 - data);
	passwd_end = files.passwd_size ? memchr(files.passwd, '\0', files.passwd_size) : NULL;
	if (passwd_end) {
		files.group = (const char *)passwd_end + 1;
		files.group_size = size - (size_t)(passwd_end + 1 - data);
		files.passwd_size -= files.group_size + 1;
	}
	if (container_user_resolve((const char *)data, &files, &user, &err) < 0) {
		FUZZ_CHECK(err.code > 0 && err.text[0]);
		return 0;
	}
	FUZZ_CHECK(user.uid != UINT32_MAX && user.gid != UINT32_MAX);
	FUZZ_CHECK(user.n_groups <= CONTAINER_GROUPS_MAX && user.home[0] == '/');
	return 0;
}
