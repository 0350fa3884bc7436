#include "api/proxy_route.h"

#include "common/text.h"

#include <strings.h>

/* What Hearth answers itself below the path of such a pool, if no session is named. */
static bool is_own(const char *segment)
{
	static const char *const segments[] = {
		"providers",
		"usage",
		"fetchMcpServerCredentials",
		"rotateMcpServerCredentials",
	};

	return text_find_word(segments, sizeof(segments) / sizeof(segments[0]), segment) >= 0;
}

bool proxy_takes(enum pool_container_type type, bool names_pool, bool has_identifier, char *const *segments,
		 size_t n_segments)
{
	if (type != POOL_CUSTOM_CONTAINER || (n_segments && strcasecmp(segments[0], ".management") == 0))
		return false;
	/* Without an identifier it is the pool itself, or one of its own routes, or a request that is told so. */
	return has_identifier || (names_pool && n_segments && !is_own(segments[0]));
}
