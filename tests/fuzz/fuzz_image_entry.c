/* Names of entries and of images: what is accepted stays below its folder, whatever it was. */
#include "api/image/entry_name.h"
#include "api/image/image_name.h"
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

/* No part of it is empty, "." or "..". */
static bool is_below(const char *path)
{
	for (size_t length; *path; path += length + (path[length] == '/')) {
		length = strcspn(path, "/");
		if (length == 0 || length > NAME_MAX || (length == 1 && path[0] == '.') ||
		    (length == 2 && memcmp(path, "..", 2) == 0))
			return false;
		if (path[length] == '/' && !path[length + 1])
			return false;
	}
	return true;
}

static void check_entry(const char *name)
{
	char path[PATH_MAX], shown[64];
	struct error err = { 0 };
	int meaning = entry_name_parse(name, path, &err);

	if (meaning < 0)
		FUZZ_CHECK(err.code && *err.text);
	else if (meaning != ENTRY_NOTHING)
		FUZZ_CHECK(is_below(path) && strlen(path) < PATH_MAX && (*path || meaning != ENTRY_WHITEOUT));
	if (entry_name_parse_target(name, path, &err) == 0)
		FUZZ_CHECK(is_below(path));
	entry_name_show(shown, sizeof(shown), name);
	for (const char *c = shown; *c; c++)
		FUZZ_CHECK(*c > ' ' && *c < 0x7f);
}

static void check_image(const char *given)
{
	char name[IMAGE_NAME_SIZE], again[IMAGE_NAME_SIZE], file[IMAGE_FILE_SIZE];
	struct error err = { 0 };

	if (image_name_normalize(given, name, &err) < 0)
		return;
	FUZZ_CHECK(image_name_normalize(name, again, &err) == 0 && strcmp(name, again) == 0);
	image_name_to_file(name, file);
	FUZZ_CHECK(!strchr(file, '/') && file[0] != '.' && strlen(file) <= NAME_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	if (!text)
		return 0;
	check_entry(text);
	check_image(text);
	entry_name_leaves_root("a/b", text);
	free(text);
	return 0;
}
