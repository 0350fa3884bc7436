#include "image_folder.h"
#include "api/toml.h"
#include "exit_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_SIZE = 8192,
};

/* The folder of this executable; "" if it cannot be told. */
static void find_own_folder(char folder[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
	char *slash;

	folder[n > 0 ? n : 0] = '\0';
	slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
}

/* As hearthd finds it. */
static int find_home(char home[PATH_MAX])
{
	const char *variable = getenv("HEARTH_HOME");
	char folder[PATH_MAX], images[PATH_MAX];

	if (variable && *variable)
		return snprintf(home, PATH_MAX, "%s", variable);
	find_own_folder(folder);
	if (*folder && snprintf(images, PATH_MAX, "%s/images", folder) < PATH_MAX && access(images, F_OK) == 0)
		return snprintf(home, PATH_MAX, "%s", folder);
	return snprintf(home, PATH_MAX, "/var/lib/hearth");
}

/* What the configuration says is left in `folder`, which else stays as it is. */
static int read_configuration(const char *path, char folder[PATH_MAX], struct error *err)
{
	FILE *file = fopen(path, "re");
	char line[LINE_SIZE];
	struct toml_line parsed;
	int ret = 0;

	if (!file)
		return errno == ENOENT ? 0
				       : error_set(err, STATUS_SERVICE, "cannot read %s: %s", path, strerror(errno));
	while (ret == 0 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		ret = toml_parse_line(line, &parsed, err);
		if (ret == 0 && parsed.type == TOML_STRING && strcmp(parsed.key, "image-dir") == 0)
			snprintf(folder, PATH_MAX, "%s", parsed.text);
	}
	fclose(file);
	if (ret < 0)
		err->code = STATUS_USAGE;
	return ret < 0 ? error_wrap(err, "%s", path) : 0;
}

int image_folder_find(const char *given, char folder[PATH_MAX], struct error *err)
{
	const char *variable = getenv("HEARTH_IMAGE_DIR");
	char home[PATH_MAX], configuration[PATH_MAX];

	if (!given && variable && *variable)
		given = variable;
	if (given ? snprintf(folder, PATH_MAX, "%s", given) >= PATH_MAX
		  : find_home(home) >= PATH_MAX ||
			    snprintf(folder, PATH_MAX, "%s/container-images", home) >= PATH_MAX ||
			    snprintf(configuration, PATH_MAX, "%s/hearth.toml", home) >= PATH_MAX)
		return error_set(err, STATUS_USAGE, "the path of the folder for images is too long");
	return given ? 0 : read_configuration(configuration, folder, err);
}
