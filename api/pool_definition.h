/*
 * What a session pool is meant to be: its name, which code its sessions run, how many there may be, how long they live,
 * and what each of them gets. A plain value, copied freely. Knows neither JSON, nor storage, nor the pool that runs.
 */
#ifndef HEARTH_API_POOL_DEFINITION_H
#define HEARTH_API_POOL_DEFINITION_H

#include "api/egress_policy.h"
#include "common/agent_protocol.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which code a session runs when a request names no language; the image is the same. Of a custom container: what its own
 * image says, and requests go to it.
 */
enum pool_container_type { POOL_PYTHON_LTS, POOL_NODE_LTS, POOL_SHELL, POOL_CUSTOM_CONTAINER, POOL_N_CONTAINER_TYPES };

/* What ends a session by itself. */
enum pool_lifecycle {
	POOL_TIMED,        /* cooldown_s without an execution */
	POOL_MAX_LIFETIME, /* max_alive_s after it was made, used or not */
	POOL_N_LIFECYCLES,
};

enum pool_network { POOL_EGRESS_DISABLED, POOL_EGRESS_ENABLED, POOL_N_NETWORKS };

enum {
	POOL_NAME_SIZE = 64, /* with its NUL */
	POOL_SESSIONS_MAX = 1000,
	POOL_COOLDOWN_MIN_S = 60, /* and the shortest life; pool_limits may lower it */
	POOL_COOLDOWN_MAX_S = 3600,
	POOL_ALIVE_MAX_S = 30 * 86400,
	POOL_CPU_MILLI_MIN = 100,
	POOL_CPU_MILLI_MAX = 64000,
	POOL_MEMORY_MIN_MIB = 128,
	POOL_MEMORY_MAX_MIB = 16384,
	POOL_FILE_MAX_MIB = 16384,
	POOL_IDENTITY_SIZE = 256, /* with its NUL */
	POOL_CONTAINER_SIZE = 16384,
	POOL_SECRETS_SIZE = 16384,
	POOL_PROCESSES_MIN = 64, /* the interpreters themselves have a few dozen threads */
	POOL_PROCESSES_MAX = 896,
	POOL_DISK_MIN_MIB = 16,
	POOL_EXECUTION_MAX_S = UINT32_MAX / 1000,
	POOL_OUTPUT_MAX = 1000000000, /* bytes */
	POOL_RATE_MAX = 1000000,      /* requests a minute */
};

/* The pool that exists without having been created; its definition is then made of hearthd's settings. */
#define POOL_DEFAULT_NAME "default"

/* What one session may take; 0 is each time what holds without a limit of the pool's own. */
struct pool_session_limits {
	uint32_t processes;    /* and threads, of each interpreter; 0: as many as the guest allows */
	uint32_t disk_mib;     /* that it may write, /mnt/data included; 0, or more than it: half of its memory */
	uint32_t execution_s;  /* the longest time limit of an execution; 0: as hearthd's settings say */
	uint32_t output_bytes; /* of each of stdout and stderr of an execution; 0: likewise */
	uint32_t session_rate; /* requests a minute to one session; 0: any */
	uint32_t pool_rate;    /* to all sessions of the pool together; 0: any */
};

struct pool_definition {
	char name[POOL_NAME_SIZE]; /* compares in any case */
	char template_name
		[POOL_NAME_SIZE]; /* the user's template that its sessions are clones of; "": the built-in one */
	enum pool_container_type container_type;
	enum pool_lifecycle lifecycle;
	enum pool_network network;
	struct egress_policy egress;       /* of POOL_EGRESS_ENABLED */
	uint32_t max_concurrent_sessions;  /* 1 to POOL_SESSIONS_MAX */
	uint32_t ready_session_instances;  /* 0 to max_concurrent_sessions: the floor of the stock */
	uint32_t cooldown_s;               /* of POOL_TIMED */
	uint32_t max_alive_s;              /* of POOL_MAX_LIFETIME */
	uint32_t cpu_milli;                /* of each session, in thousandths of a CPU */
	uint32_t memory_mib;               /* of each session */
	uint32_t max_file_mib;             /* of a file that is uploaded; 0: as much as hearthd's settings say */
	char identity[POOL_IDENTITY_SIZE]; /* whose tokens code may ask for; "": nobody's */
	bool identity_is_offered;          /* lifecycle Main; else it is only noted (None) */
	struct pool_session_limits limits;
	bool mcp_is_enabled;      /* it has an MCP server */
	bool mcp_key_is_disabled; /* which takes no key of its own */
	char container_template
		[POOL_CONTAINER_SIZE];   /* of POOL_CUSTOM_CONTAINER: JSON (container_template.h); else "" */
	char secrets[POOL_SECRETS_SIZE]; /* likewise: JSON of names and values; "": none */
};

/* What hearthd's settings decide about all definitions. */
struct pool_limits {
	uint32_t min_cooldown_s; /* the least cooldown_s and max_alive_s that may be asked for */
};

/* A definition of that name with the values that hold where nothing else was said. The name is not checked. */
struct pool_definition pool_definition_default(const char *name);

/* The CPUs that a session's machine has: enough for its share, which may be a fraction. */
uint32_t pool_definition_vcpus(const struct pool_definition *d);

/* 0, or -EINVAL with *err saying which value is wrong and what it may be. */
int pool_definition_check(const struct pool_definition *d, const struct pool_limits *limits, struct error *err);

/* True for 2 to 63 letters, digits and hyphens of ASCII, not beginning with a hyphen: the names of pools and templates. */
bool pool_name_is_valid(const char *name);

/* The words of the API. A word that is none is -1; they compare in any case. */
const char *pool_container_type_name(enum pool_container_type type);

int pool_container_type_from_name(const char *name);
const char *pool_lifecycle_name(enum pool_lifecycle lifecycle);
int pool_lifecycle_from_name(const char *name);
const char *pool_network_name(enum pool_network network);
int pool_network_from_name(const char *name);

/* What its sessions run when a request names no language; of a custom container: nothing that matters. */
enum agent_language pool_language(enum pool_container_type type);

#endif
