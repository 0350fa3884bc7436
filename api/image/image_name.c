#include "api/image/image_name.h"

#include "common/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Words of letters, digits, ".", "_" and "-", with single "/", ":" and "@" between them. */
static bool is_name(const char *text)
{
	bool begins = true;

	for (; *text; text++) {
		bool is_separator = strchr("/:@", *text) != NULL;

		if (begins ? !text_is_letter_or_digit(*text)
			   : !is_separator && !text_is_letter_or_digit(*text) && !strchr("._-", *text))
			return false;
		begins = is_separator;
	}
	return !begins;
}

int image_name_normalize(const char *given, char name[IMAGE_NAME_SIZE], struct error *err)
{
	const char *slash = strrchr(given, '/');
	bool has_tag = strchr(slash ? slash : given, ':') != NULL;
	char file[IMAGE_FILE_SIZE] = "";
	bool fits = snprintf(name, IMAGE_NAME_SIZE, "%s%s", given, has_tag ? "" : ":latest") < IMAGE_NAME_SIZE;

	if (fits && is_name(given))
		image_name_to_file(name, file);
	if (*file && strlen(file) <= NAME_MAX)
		return 0;
	return error_set(
		err, EINVAL,
		"'%.100s' cannot be an image's name: it has up to 200 letters, digits, \".\", \"_\" and \"-\", "
		"with \"/\" and \":\" between them, such as team/app:1.2",
		given);
}

void image_name_to_file(const char *name, char file[IMAGE_FILE_SIZE])
{
	for (; *name; name++)
		file += strchr("/:@", *name) ? snprintf(file, 4, "%%%02X", (unsigned char)*name)
					     : snprintf(file, 2, "%c", *name);
	memcpy(file, ".json", sizeof(".json"));
}
