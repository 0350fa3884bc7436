#include "image_folder.h"
#include "api/home.h"
#include "api/toml.h"
#include "exit_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int take_folder(void *folder, const struct toml_line *line, struct error *err)
{
	(void)err;
	if (line->type == TOML_STRING && strcmp(line->key, "image-dir") == 0)
		snprintf(folder, PATH_MAX, "%s", line->text);
	return 0;
}

/* What the configuration says is left in `folder`, which else stays as it is. */
static int read_configuration(const char *path, char folder[PATH_MAX], struct error *err)
{
	int ret = toml_read_file(path, false, take_folder, folder, err);

	if (ret < 0)
		err->code = err->code == EINVAL ? STATUS_USAGE : STATUS_SERVICE;
	return ret;
}

int image_folder_find(const char *given, char folder[PATH_MAX], struct error *err)
{
	const char *variable = getenv("HEARTH_IMAGE_DIR");
	char home[PATH_MAX], configuration[PATH_MAX];

	if (!given && variable && *variable)
		given = variable;
	if (given ? snprintf(folder, PATH_MAX, "%s", given) >= PATH_MAX
		  : !home_find(home) || snprintf(folder, PATH_MAX, "%s/container-images", home) >= PATH_MAX ||
			    snprintf(configuration, PATH_MAX, "%s/hearth.toml", home) >= PATH_MAX)
		return error_set(err, STATUS_USAGE, "the path of the folder for images is too long");
	return given ? 0 : read_configuration(configuration, folder, err);
}
