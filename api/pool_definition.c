#include "api/pool_definition.h"

#include "common/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const container_types[POOL_N_CONTAINER_TYPES] = {
	[POOL_PYTHON_LTS] = "PythonLTS",
	[POOL_NODE_LTS] = "NodeLTS",
	[POOL_SHELL] = "Shell",
	[POOL_CUSTOM_CONTAINER] = "CustomContainer",
};

static const char *const lifecycles[POOL_N_LIFECYCLES] = {
	[POOL_TIMED] = "Timed",
	[POOL_MAX_LIFETIME] = "MaxLifetime",
};

static const char *const networks[POOL_N_NETWORKS] = {
	[POOL_EGRESS_DISABLED] = "EgressDisabled",
	[POOL_EGRESS_ENABLED] = "EgressEnabled",
};

const char *pool_container_type_name(enum pool_container_type type)
{
	return container_types[type];
}

enum agent_language pool_language(enum pool_container_type type)
{
	return type == POOL_SHELL ? AGENT_SHELL : type == POOL_NODE_LTS ? AGENT_NODE : AGENT_PYTHON;
}

int pool_container_type_from_name(const char *name)
{
	return text_find_word(container_types, POOL_N_CONTAINER_TYPES, name);
}

const char *pool_lifecycle_name(enum pool_lifecycle lifecycle)
{
	return lifecycles[lifecycle];
}

int pool_lifecycle_from_name(const char *name)
{
	/* The name that Azure has for it: a session's container does not exit by itself here. */
	if (strcasecmp(name, "OnContainerExit") == 0)
		return POOL_MAX_LIFETIME;
	return text_find_word(lifecycles, POOL_N_LIFECYCLES, name);
}

const char *pool_network_name(enum pool_network network)
{
	return networks[network];
}

int pool_network_from_name(const char *name)
{
	return text_find_word(networks, POOL_N_NETWORKS, name);
}

struct pool_definition pool_definition_default(const char *name)
{
	struct pool_definition d = {
		.container_type = POOL_PYTHON_LTS,
		.lifecycle = POOL_TIMED,
		.network = POOL_EGRESS_DISABLED,
		.max_concurrent_sessions = 100,
		.ready_session_instances = 5,
		.cooldown_s = 300,
		.max_alive_s = 3600,
		.cpu_milli = 1000,
		.memory_mib = 1024,
		/* As code runs there without more ado, so it does over MCP. */
		.mcp_is_enabled = strcasecmp(name, POOL_DEFAULT_NAME) == 0,
	};

	snprintf(d.name, sizeof(d.name), "%s", name);
	return d;
}

bool pool_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (length < 2 || length >= POOL_NAME_SIZE || name[0] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!text_is_letter_or_digit(name[i]) && name[i] != '-')
			return false;
	return true;
}

static int check_range(const char *what, uint32_t value, uint32_t lowest, uint32_t highest, struct error *err)
{
	if (value >= lowest && value <= highest)
		return 0;
	return error_set(err, EINVAL, "%s must be from %u to %u, not %u.", what, lowest, highest, value);
}

static int check_lifecycle(const struct pool_definition *d, const struct pool_limits *limits, struct error *err)
{
	if (d->lifecycle == POOL_TIMED)
		return check_range("cooldownPeriodInSeconds", d->cooldown_s, limits->min_cooldown_s,
				   POOL_COOLDOWN_MAX_S, err);
	return check_range("maxAlivePeriodInSeconds", d->max_alive_s, limits->min_cooldown_s, POOL_ALIVE_MAX_S, err);
}

uint32_t pool_definition_vcpus(const struct pool_definition *d)
{
	return (d->cpu_milli + 999) / 1000;
}

static int check_cpu(const struct pool_definition *d, struct error *err)
{
	if (d->cpu_milli >= POOL_CPU_MILLI_MIN && d->cpu_milli <= POOL_CPU_MILLI_MAX)
		return 0;
	return error_set(err, EINVAL, "resources.cpu must be from %g to %d, not %g.", POOL_CPU_MILLI_MIN / 1000.0,
			 POOL_CPU_MILLI_MAX / 1000, d->cpu_milli / 1000.0);
}

/* 0 says that there is none. */
static int check_limit(const char *what, uint32_t value, uint32_t lowest, uint32_t highest, struct error *err)
{
	if (value == 0 || (value >= lowest && value <= highest))
		return 0;
	return error_set(err, EINVAL,
			 "sessionLimits.%s must be 0, for no limit of the pool's own, or from %u to %u, not %u.", what,
			 lowest, highest, value);
}

static int check_limits(const struct pool_definition *d, struct error *err)
{
	const struct pool_session_limits *l = &d->limits;

	if (check_limit("processes", l->processes, POOL_PROCESSES_MIN, POOL_PROCESSES_MAX, err) < 0 ||
	    check_limit("disk in MiB", l->disk_mib, POOL_DISK_MIN_MIB, POOL_MEMORY_MAX_MIB, err) < 0 ||
	    check_limit("executionTimeInSeconds", l->execution_s, 1, POOL_EXECUTION_MAX_S, err) < 0 ||
	    check_limit("outputBytes", l->output_bytes, 1, POOL_OUTPUT_MAX, err) < 0 ||
	    check_limit("sessionRequestsPerMinute", l->session_rate, 1, POOL_RATE_MAX, err) < 0)
		return -err->code;
	return check_limit("poolRequestsPerMinute", l->pool_rate, 1, POOL_RATE_MAX, err);
}

int pool_definition_check(const struct pool_definition *d, const struct pool_limits *limits, struct error *err)
{
	int rc;

	if (!pool_name_is_valid(d->name))
		return error_set(err, EINVAL,
				 "'%s' is no name of a pool: that is 2 to 63 letters, digits and hyphens, and begins "
				 "with no hyphen.",
				 d->name);
	if (d->template_name[0] && !pool_name_is_valid(d->template_name))
		return error_set(err, EINVAL,
				 "'%s' is no name of a template: that is 2 to 63 letters, digits and hyphens, and "
				 "begins with no hyphen.",
				 d->template_name);
	if ((d->container_type == POOL_CUSTOM_CONTAINER) != (d->container_template[0] != '\0'))
		return error_set(err, EINVAL,
				 "A pool of type CustomContainer needs the property 'customContainerTemplate', and no "
				 "other has it.");
	rc = check_range("maxConcurrentSessions", d->max_concurrent_sessions, 1, POOL_SESSIONS_MAX, err);
	if (rc == 0)
		rc = check_range("readySessionInstances", d->ready_session_instances, 0, d->max_concurrent_sessions,
				 err);
	if (rc == 0)
		rc = check_lifecycle(d, limits, err);
	if (rc == 0)
		rc = check_cpu(d, err);
	if (rc == 0)
		rc = check_range("resources.memory in MiB", d->memory_mib, POOL_MEMORY_MIN_MIB, POOL_MEMORY_MAX_MIB,
				 err);
	if (rc == 0)
		rc = check_range("maxFileSizeInMib", d->max_file_mib, 0, POOL_FILE_MAX_MIB, err);
	return rc < 0 ? rc : check_limits(d, err);
}
