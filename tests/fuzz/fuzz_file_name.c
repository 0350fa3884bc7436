/* File names as clients write them: what becomes of them stays below the data folder. */
#include "api/content_disposition.h"
#include "api/file_path.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* No absolute path, no empty or special part in it. */
static bool is_below(const char *path)
{
	for (const char *part = path; *part;) {
		const size_t length = strcspn(part, "/");

		if (length == 0 || length > 255 || (length == 1 && *part == '.') ||
		    (length == 2 && memcmp(part, "..", 2) == 0))
			return false;
		part += length;
		if (*part == '/' && *++part == '\0')
			return false;
	}
	return true;
}

static void check_path(const char *folder, const char *name)
{
	char path[FILE_PATH_SIZE] = "";
	struct error err = { 0 };

	if (file_path_add_folder(path, folder, &err) == 0) {
		FUZZ_CHECK(is_below(path));
		if (file_path_add_name(path, name, &err) == 0) {
			FUZZ_CHECK(*path && is_below(path));
			FUZZ_CHECK(file_path_content_type(path) && !strchr(file_path_name(path), '/'));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	const bool decodes_percent = choose_below(&c, 2);
	char *headers = strndup((const char *)c.data, c.size), name[FILE_NAME_SIZE];

	if (!headers)
		return 0;
	if (content_disposition_file_name(headers, decodes_percent, name)) {
		FUZZ_CHECK(memchr(name, '\0', sizeof(name)));
		check_path("", name);
	}
	check_path(headers, "a.txt");
	check_path("", headers);
	free(headers);
	return 0;
}
