#include "sessionpool.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "view.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What az sends where nothing was said, so that a script gets the same pool. */
enum {
	DEFAULT_MAX_SESSIONS = 10,
	DEFAULT_READY_SESSIONS = 5,
};

#define PROPERTIES "properties."

static const struct view_column columns[] = {
	{ "NAME", "name", VIEW_PLAIN },
	{ "TYPE", PROPERTIES "containerType", VIEW_PLAIN },
	{ "MAX", PROPERTIES "scaleConfiguration.maxConcurrentSessions", VIEW_PLAIN },
	{ "USED", PROPERTIES "instances.allocated", VIEW_PLAIN },
	{ "READY", PROPERTIES "instances.ready", VIEW_PLAIN },
	{ "KEEP READY", PROPERTIES "scaleConfiguration.readySessionInstances", VIEW_PLAIN },
	{ "LIFECYCLE", PROPERTIES "dynamicPoolConfiguration.lifecycleConfiguration.lifecycleType", VIEW_PLAIN },
	{ "COOLDOWN", PROPERTIES "dynamicPoolConfiguration.lifecycleConfiguration.cooldownPeriodInSeconds",
	  VIEW_PLAIN },
	{ "LIFE", PROPERTIES "dynamicPoolConfiguration.lifecycleConfiguration.maxAlivePeriodInSeconds", VIEW_PLAIN },
	{ "CPU", PROPERTIES "resources.cpu", VIEW_PLAIN },
	{ "MEMORY", PROPERTIES "resources.memory", VIEW_PLAIN },
	{ "TEMPLATE", PROPERTIES "templateName", VIEW_PLAIN },
	{ NULL, NULL, VIEW_PLAIN },
};

/* ---- options ----------------------------------------------------------------------------------------------------- */

#define NAME_OPTION     OPTION(OPTION_TEXT, 'n', "name", pool, "NAME", "the pool; or give it as an argument")
#define NO_WAIT_OPTION  OPTION_WITHOUT_EFFECT(OPTION_IGNORED_SWITCH, 0, "no-wait", NULL)
#define CONTAINER(name) OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, name, "sessions run Hearth's own image, no containers")
#define IDENTITY(name)                                                                                                 \
	OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, name,                                                                 \
			      "a pool has no identity of its own: name one with --mi-user-assigned")
#define REGISTRY(name) OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, name, "there is no registry: no container is pulled")
#define DEFINITION_OPTIONS                                                                                             \
	OPTION(OPTION_NUMBER, 0, "max-sessions", max_sessions, "N", "sessions at a time, 1 to 1000"),                  \
		OPTION(OPTION_NUMBER, 0, "ready-sessions", ready_sessions, "N", "sessions to keep ready"),             \
		OPTION(OPTION_TEXT, 0, "lifecycle-type", lifecycle_type, "TYPE",                                       \
		       "Timed, or MaxLifetime (also OnContainerExit)"),                                                \
		OPTION(OPTION_NUMBER, 0, "cooldown-period", cooldown_s, "SECONDS",                                     \
		       "Timed: idle time after which a session ends"),                                                 \
		OPTION(OPTION_NUMBER, 0, "max-alive-period", max_alive_s, "SECONDS",                                   \
		       "MaxLifetime: age at which a session ends"),                                                    \
		OPTION(OPTION_TEXT, 0, "network-status", network_status, "STATUS",                                     \
		       "EgressDisabled, or EgressEnabled"),                                                            \
		OPTION(OPTION_TEXT, 0, "egress-default-action", egress_default, "ACTION",                              \
		       "Allow (default) or Deny, for what no entry speaks of"),                                        \
		OPTION(OPTION_TEXT, 0, "egress-allow", egress_allow, "LIST",                                           \
		       "IPv4 networks and names, with commas between; '': none"),                                      \
		OPTION(OPTION_TEXT, 0, "egress-deny", egress_deny, "LIST", "likewise"),                                \
		OPTION(OPTION_TEXT, 0, "cpu", cpu, "CPUS", "of a session: 2, or a share: 0.25"),                       \
		OPTION(OPTION_TEXT, 0, "memory", memory, "SIZE", "of a session: 512Mi, 1Gi or 0.5Gi"),                 \
		OPTION(OPTION_NUMBER, 0, "max-file-size", max_file_mib, "MIB",                                         \
		       "of a file that is uploaded; 0: what the service allows"),                                      \
		OPTION(OPTION_TEXT, 0, "mi-user-assigned", identity, "NAME",                                           \
		       "whose tokens code may ask for, of identity-file; '': nobody's"),                               \
		OPTION(OPTION_NUMBER, 0, "max-processes", max_processes, "N",                                          \
		       "processes and threads of a session; 0: 896"),                                                  \
		OPTION(OPTION_TEXT, 0, "max-disk", max_disk, "SIZE",                                                   \
		       "that a session may write: 64Mi, 0.5Gi; 0: half of its memory"),                                \
		OPTION(OPTION_NUMBER, 0, "max-execution-time", max_execution_s, "SECONDS",                             \
		       "of an execution, whatever it asks for; 0: what the service allows"),                           \
		OPTION(OPTION_NUMBER, 0, "max-output", max_output_bytes, "BYTES",                                      \
		       "of each of stdout and stderr; 0: what the service allows"),                                    \
		OPTION(OPTION_NUMBER, 0, "session-rate", session_rate, "N",                                            \
		       "requests a minute to one session; 0: any"),                                                    \
		OPTION(OPTION_NUMBER, 0, "pool-rate", pool_rate, "N", "requests a minute to all of them; 0: any"),     \
		OPTION(OPTION_TEXT, 0, "template", template, "NAME", "sessions begin as this template")
#define REFUSED_OPTIONS                                                                                                \
	CONTAINER("environment"), CONTAINER("image"), CONTAINER("container-name"), CONTAINER("env-vars"),              \
		CONTAINER("command"), CONTAINER("args"), CONTAINER("target-port"), CONTAINER("secrets"),               \
		REGISTRY("registry-server"), REGISTRY("registry-username"), REGISTRY("registry-password"),             \
		REGISTRY("registry-identity"), IDENTITY("mi-system-assigned")

static const struct option_spec create_options[] = {
	NAME_OPTION,
	OPTION(OPTION_TEXT, 0, "container-type", container_type, "TYPE", "PythonLTS (default) or NodeLTS"),
	DEFINITION_OPTIONS,
	OPTION(OPTION_TEXT, 'l', "location", location, "TEXT", "kept and shown, means nothing"),
	NO_WAIT_OPTION,
	REFUSED_OPTIONS,
	COMMON_OPTIONS,
};

static const struct option_spec update_options[] = {
	NAME_OPTION, DEFINITION_OPTIONS, NO_WAIT_OPTION, REFUSED_OPTIONS, COMMON_OPTIONS,
};

static const struct option_spec show_options[] = { NAME_OPTION, COMMON_OPTIONS };

static const struct option_spec list_options[] = { COMMON_OPTIONS };

static const struct option_spec delete_options[] = {
	NAME_OPTION,
	OPTION(OPTION_SWITCH, 'y', "yes", yes, NULL, "do not ask"),
	NO_WAIT_OPTION,
	COMMON_OPTIONS,
};

/* ---- the resource ------------------------------------------------------------------------------------------------ */

static void add_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

static void add_number(json_t *object, const char *key, long number)
{
	if (number != OPTIONS_UNSET)
		json_object_set_new(object, key, json_integer(number));
}

/* Takes `part` over; an empty one is left out, so that an update touches nothing of it. */
static void add_part(json_t *object, const char *key, json_t *part)
{
	if (json_object_size(part))
		json_object_set_new(object, key, part);
	else
		json_decref(part);
}

/* The entries of a list with commas between; an empty text is an empty list. */
static void add_list(json_t *object, const char *key, const char *text)
{
	json_t *list;

	if (!text)
		return;
	list = json_array();
	for (size_t length; *text; text += length + (text[length] == ',')) {
		length = strcspn(text, ",");
		if (length)
			json_array_append_new(list, json_stringn(text, length));
	}
	json_object_set_new(object, key, list);
}

/* What the options say, and nothing else. */
static json_t *make_resource(const struct options *o)
{
	json_t *resource = json_object(), *properties = json_object();
	json_t *scale = json_object(), *lifecycle = json_object(), *network = json_object(), *sizes = json_object();
	json_t *limits = json_object();
	json_t *egress = json_object();

	add_number(scale, "maxConcurrentSessions", o->max_sessions);
	add_number(scale, "readySessionInstances", o->ready_sessions);
	add_text(lifecycle, "lifecycleType", o->lifecycle_type);
	add_number(lifecycle, "cooldownPeriodInSeconds", o->cooldown_s);
	add_number(lifecycle, "maxAlivePeriodInSeconds", o->max_alive_s);
	add_text(network, "status", o->network_status);
	add_text(egress, "defaultAction", o->egress_default);
	add_list(egress, "allow", o->egress_allow);
	add_list(egress, "deny", o->egress_deny);
	add_part(network, "egressPolicy", egress);
	add_text(sizes, "cpu", o->cpu);
	add_text(sizes, "memory", o->memory);
	add_number(limits, "processes", o->max_processes);
	add_text(limits, "disk", o->max_disk);
	add_number(limits, "executionTimeInSeconds", o->max_execution_s);
	add_number(limits, "outputBytes", o->max_output_bytes);
	add_number(limits, "sessionRequestsPerMinute", o->session_rate);
	add_number(limits, "poolRequestsPerMinute", o->pool_rate);

	add_text(properties, "containerType", o->container_type);
	add_text(properties, "templateName", o->template);
	add_number(properties, "maxFileSizeInMib", o->max_file_mib);
	if (o->identity)
		json_object_set_new(properties, "managedIdentitySettings",
				    *o->identity
					    ? json_pack("[{s:s, s:s}]", "identity", o->identity, "lifecycle", "Main")
					    : json_array());
	add_part(properties, "scaleConfiguration", scale);
	if (json_object_size(lifecycle))
		json_object_set_new(properties, "dynamicPoolConfiguration",
				    json_pack("{s:O}", "lifecycleConfiguration", lifecycle));
	json_decref(lifecycle);
	add_part(properties, "sessionNetworkConfiguration", network);
	add_part(properties, "resources", sizes);
	add_part(properties, "sessionLimits", limits);
	json_object_set_new(resource, "properties", properties);
	add_text(resource, "location", o->location);
	return resource;
}

/* ---- the commands ------------------------------------------------------------------------------------------------ */

/* The pool's path; NULL with *err set. The caller frees it. */
static char *pool_path(const struct options *o, const char **name, struct error *err)
{
	char *escaped, *path = NULL;

	*name = command_name(o, o->pool, "the pool's name", err);
	if (!*name)
		return NULL;
	escaped = curl_easy_escape(NULL, *name, 0);
	if (!escaped || asprintf(&path, "sessionPools/%s", escaped) < 0) {
		path = NULL;
		error_set(err, STATUS_SERVICE, "not enough memory for the request");
	}
	curl_free(escaped);
	return path;
}

static int call_and_print(struct service *s, const char *method, const struct options *o, const json_t *body,
			  struct error *err)
{
	const char *name;
	AUTO_FREE char *path = pool_path(o, &name, err);
	json_t *answer = NULL;
	int ret = path ? service_call(s, method, path, body, &answer, err) : -err->code;

	if (ret == 0)
		ret = view_print(answer, columns, o->output, err);
	json_decref(answer);
	return ret;
}

static int create(struct service *s, const struct options *o, struct error *err)
{
	struct options complete = *o;
	json_t *resource;
	int ret;

	if (complete.max_sessions == OPTIONS_UNSET)
		complete.max_sessions = DEFAULT_MAX_SESSIONS;
	if (complete.ready_sessions == OPTIONS_UNSET)
		complete.ready_sessions = complete.max_sessions < DEFAULT_READY_SESSIONS ? complete.max_sessions
											 : DEFAULT_READY_SESSIONS;
	resource = make_resource(&complete);
	ret = call_and_print(s, "PUT", o, resource, err);
	json_decref(resource);
	return ret;
}

static int update(struct service *s, const struct options *o, struct error *err)
{
	json_t *resource = make_resource(o);
	int ret = call_and_print(s, "PATCH", o, resource, err);

	json_decref(resource);
	return ret;
}

static int show(struct service *s, const struct options *o, struct error *err)
{
	return call_and_print(s, "GET", o, NULL, err);
}

static int list(struct service *s, const struct options *o, struct error *err)
{
	json_t *answer = NULL;
	int ret = service_call(s, "GET", "sessionPools", NULL, &answer, err);

	if (ret == 0)
		ret = view_print(json_object_get(answer, "value"), columns, o->output, err);
	json_decref(answer);
	return ret;
}

/* The service does not mind a pool that is not there; whoever names one wants to know. */
static int delete (struct service *s, const struct options *o, struct error *err)
{
	const char *name;
	AUTO_FREE char *path = pool_path(o, &name, err);
	json_t *answer = NULL;
	int ret = path ? service_call(s, "GET", path, NULL, &answer, err) : -err->code;

	json_decref(answer);
	if (ret == 0)
		ret = command_confirm(o, err, "Delete the session pool %s and end all of its sessions?", name);
	if (ret < 0)
		return ret;
	ret = service_call(s, "DELETE", path, NULL, &answer, err);
	json_decref(answer);
	return ret;
}

static const struct command commands[] = {
	{ "create", "[NAME]",
	  "Makes a pool, or gives one new settings. At most 10 sessions, 5 kept ready, unless said otherwise.",
	  create_options, 1, create },
	{ "update", "[NAME]", "Changes the settings that are named; sessions stay.", update_options, 1, update },
	{ "show", "[NAME]", "Shows a pool.", show_options, 1, show },
	{ "list", "", "Shows all pools.", list_options, 0, list },
	{ "delete", "[NAME]", "Deletes a pool and ends all of its sessions.", delete_options, 1, delete },
	{ NULL, NULL, NULL, NULL, 0, NULL },
};

const struct command_group sessionpool_commands = {
	.name = "sessionpool",
	.summary = "Session pools: how many sessions there may be, how long they live, what each of them gets.",
	.commands = commands,
	.examples = "  hearth sessionpool create analysis --max-sessions 50 --ready-sessions 10 --memory 2Gi\n"
		    "  hearth sessionpool update analysis --cooldown-period 600\n"
		    "  hearth run --pool analysis -c 'print(6 * 7)'\n"
		    "  hearth sessionpool list -o json | jq '.[].name'\n"
		    "  hearth sessionpool delete analysis --yes\n",
};
