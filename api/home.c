#include "api/home.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool home_own_folder(char folder[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
	char *slash;

	folder[n > 0 ? n : 0] = '\0';
	slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
	else if (n >= 0)
		errno = ENOENT;
	return slash;
}

bool home_find(char home[PATH_MAX])
{
	const char *wanted = getenv("HEARTH_HOME");
	char images[PATH_MAX];
	struct stat st;

	if (wanted && *wanted)
		return snprintf(home, PATH_MAX, "%s", wanted) < PATH_MAX;
	if (home_own_folder(home) && snprintf(images, PATH_MAX, "%s/images", home) < PATH_MAX &&
	    stat(images, &st) == 0 && S_ISDIR(st.st_mode))
		return true;
	snprintf(home, PATH_MAX, "/var/lib/hearth");
	return true;
}
