#include "bench.h"
#include "exit_status.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* From this program's folder: where an installation has the tool, then where a checkout has it. */
static const char *const places[] = { "hearth-bench", "../scripts/bench" };

/* This program's folder with a slash at its end. False if it cannot be told. */
static bool own_folder(char folder[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
	char *slash;

	if (n < 0)
		return false;
	folder[n] = '\0';
	slash = strrchr(folder, '/');
	if (!slash)
		return false;
	slash[1] = '\0';
	return true;
}

int bench_command(int argc, char **argv)
{
	char folder[PATH_MAX], path[PATH_MAX + 32];

	(void)argc;
	if (!own_folder(folder)) {
		fprintf(stderr, "hearth: cannot tell where this program is: %s\n", strerror(errno));
		return STATUS_SERVICE;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", folder, places[i]);
		execv(path, argv);
		if (errno != ENOENT && errno != ENOTDIR) {
			fprintf(stderr, "hearth: cannot start %s: %s\n", path, strerror(errno));
			return STATUS_SERVICE;
		}
	}
	fprintf(stderr,
		"hearth: the benchmark is not installed: there is neither %s%s nor %s%s; a checkout of Hearth has it "
		"(make bench)\n",
		folder, places[0], folder, places[1]);
	return STATUS_SERVICE;
}
