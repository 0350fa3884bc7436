#include "vmm/network/verdict.h"

static const char *const names[REASON_COUNT] = {
	[REASON_DEFAULT] = "default",
	[REASON_NETWORK] = "network",
	[REASON_DOMAIN] = "domain",
	[REASON_PRIVATE] = "private",
	[REASON_HOST] = "host",
	[REASON_GATEWAY] = "gateway",
	[REASON_RESOLVER] = "resolver",
	[REASON_PROTOCOL] = "protocol",
	[REASON_SOURCE] = "source",
	[REASON_BROADCAST] = "broadcast",
	[REASON_FRAGMENT] = "fragment",
	[REASON_OPTIONS] = "options",
	[REASON_MALFORMED] = "malformed",
	[REASON_FULL] = "full",
	[REASON_RATE] = "rate",
	[REASON_UNREACHABLE] = "unreachable",
	[REASON_PASST_ENDED] = "passt-ended",
	[REASON_ENDED] = "ended",
};

const char *reason_name(enum reason reason)
{
	return names[reason];
}
