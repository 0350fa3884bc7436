#include "bench.h"
#include "api/home.h"
#include "exit_status.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* From this program's folder: where an installation has the tool, then where a checkout has it. */
static const char *const places[] = { "hearth-bench", "../scripts/bench" };

int bench_command(int argc, char **argv)
{
	char folder[PATH_MAX], path[PATH_MAX + 32];

	(void)argc;
	if (!home_own_folder(folder)) {
		fprintf(stderr, "hearth: cannot tell where this program is: %s\n", strerror(errno));
		return STATUS_SERVICE;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, places[i]);
		execv(path, argv);
		if (errno != ENOENT && errno != ENOTDIR) {
			fprintf(stderr, "hearth: cannot start %s: %s\n", path, strerror(errno));
			return STATUS_SERVICE;
		}
	}
	fprintf(stderr,
		"hearth: the benchmark is not installed: there is neither %s/%s nor %s/%s; a checkout of Hearth has it "
		"(make bench)\n",
		folder, places[0], folder, places[1]);
	return STATUS_SERVICE;
}
