#include "sessionpool.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "pool_container.h"
#include "view.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What az sends where nothing was said, so that a script gets the same pool. */
enum {
	DEFAULT_MAX_SESSIONS = 10,
	DEFAULT_READY_SESSIONS = 5,
};

#define PROPERTIES "properties."
#define CUSTOM     "CustomContainer"

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
	{ "IMAGE", PROPERTIES "customContainerTemplate.containers.0.image", VIEW_PLAIN },
	{ NULL, NULL, VIEW_PLAIN },
};

/* ---- options ----------------------------------------------------------------------------------------------------- */

#define NAME_OPTION    OPTION(OPTION_TEXT, 'n', "name", pool, "NAME", "the pool; or give it as an argument")
#define NO_WAIT_OPTION OPTION_WITHOUT_EFFECT(OPTION_IGNORED_SWITCH, 0, "no-wait", NULL)
#define IDENTITY(name)                                                                                                 \
	OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, name,                                                                 \
			      "a pool has no identity of its own: name one with --mi-user-assigned")
#define REGISTRY(name)                                                                                                 \
	OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, name,                                                                 \
			      "a pool pulls no image: import the image with `hearth image import NAME`")
/* The words of a list stand behind its option, as in az. */
#define CONTAINER_OPTIONS                                                                                              \
	OPTION(OPTION_TEXT, 'i', "image", image, "NAME", "of the container: see hearth image ls"),                     \
		OPTION(OPTION_TEXT, 0, "container-name", container_name, "NAME", "default: the pool's"),               \
		OPTION(OPTION_WORDS, 0, "command", command, "WORD...",                                                 \
		       "in place of the image's entrypoint; '': the image's"),                                         \
		OPTION(OPTION_WORDS, 0, "args", args, "WORD...",                                                       \
		       "its arguments; --args=WORD for one that begins with '-'; '': the image's"),                    \
		OPTION(OPTION_WORDS, 0, "env-vars", env_vars, "NAME=VALUE...",                                         \
		       "its environment; NAME=secretref:SECRET; '': none"),                                            \
		OPTION(OPTION_WORDS, 's', "secrets", secrets, "NAME=VALUE...",                                         \
		       "all of them; the NAME alone keeps one; '': none"),                                             \
		OPTION(OPTION_NUMBER, 0, "target-port", target_port, "PORT",                                           \
		       "where the container listens; default: the one that the image exposes"),                        \
		OPTION(OPTION_TEXT_OR_EMPTY, 0, "startup-probe", startup_probe, "PROBE",                               \
		       "http:PORT/PATH or tcp:PORT; '': none"),                                                        \
		OPTION(OPTION_TEXT_OR_EMPTY, 0, "readiness-probe", readiness_probe, "PROBE", "likewise"),              \
		OPTION(OPTION_TEXT_OR_EMPTY, 0, "liveness-probe", liveness_probe, "PROBE", "likewise"),                \
		OPTION(OPTION_TEXT, 0, "snapshot", snapshot, "WHEN",                                                   \
		       "of the container that sessions are copies of: Running, or BeforeEntrypoint")
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
		OPTION(OPTION_TEXT_OR_EMPTY, 0, "egress-allow", egress_allow, "LIST",                                  \
		       "IPv4 networks and names, with commas between; '': none"),                                      \
		OPTION(OPTION_TEXT_OR_EMPTY, 0, "egress-deny", egress_deny, "LIST", "likewise"),                       \
		OPTION(OPTION_TEXT, 0, "cpu", cpu, "CPUS", "of a session: 2, or a share: 0.25"),                       \
		OPTION(OPTION_TEXT, 0, "memory", memory, "SIZE", "of a session: 512Mi, 1Gi or 0.5Gi"),                 \
		OPTION(OPTION_NUMBER, 0, "max-file-size", max_file_mib, "MIB",                                         \
		       "of a file that is uploaded; 0: what the service allows"),                                      \
		OPTION(OPTION_TEXT_OR_EMPTY, 0, "mi-user-assigned", identity, "NAME",                                  \
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
	OPTION_WITHOUT_EFFECT(OPTION_IGNORED, 0, "environment", NULL), REGISTRY("registry-server"),                    \
		REGISTRY("registry-username"), REGISTRY("registry-password"), REGISTRY("registry-identity"),           \
		IDENTITY("mi-system-assigned"),                                                                        \
		OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, "probe-yaml",                                                 \
				      "give --startup-probe, --readiness-probe or --liveness-probe")

static const struct option_spec create_options[] = {
	NAME_OPTION,
	OPTION(OPTION_TEXT, 0, "container-type", container_type, "TYPE",
	       "PythonLTS (default), NodeLTS, Shell or CustomContainer (default with --image)"),
	DEFINITION_OPTIONS,
	CONTAINER_OPTIONS,
	OPTION(OPTION_TEXT, 'l', "location", location, "TEXT", "kept and shown, means nothing"),
	NO_WAIT_OPTION,
	REFUSED_OPTIONS,
	COMMON_OPTIONS,
};

static const struct option_spec update_options[] = {
	NAME_OPTION,
	DEFINITION_OPTIONS,
	CONTAINER_OPTIONS,
	NO_WAIT_OPTION,
	REFUSED_OPTIONS,
	OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, "container-type",
			      "a pool keeps its type: make another with `hearth sessionpool create`"),
	COMMON_OPTIONS,
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

#define SETTING(field, path)                                                                                           \
	{                                                                                                              \
		offsetof(struct options, field), PROPERTIES path                                                       \
	}
#define LIFECYCLE "dynamicPoolConfiguration.lifecycleConfiguration."
#define NETWORK   "sessionNetworkConfiguration."
#define LIMITS    "sessionLimits."

/* Where an option's value goes. What was not given is left out, so that an update touches nothing of it. */
struct setting {
	size_t offset; /* in struct options */
	const char *path;
};

static const struct setting texts[] = {
	SETTING(container_type, "containerType"),
	SETTING(template, "templateName"),
	SETTING(lifecycle_type, LIFECYCLE "lifecycleType"),
	SETTING(network_status, NETWORK "status"),
	SETTING(egress_default, NETWORK "egressPolicy.defaultAction"),
	SETTING(cpu, "resources.cpu"),
	SETTING(memory, "resources.memory"),
	SETTING(max_disk, LIMITS "disk"),
	{ offsetof(struct options, location), "location" },
};

static const struct setting lists[] = {
	SETTING(egress_allow, NETWORK "egressPolicy.allow"),
	SETTING(egress_deny, NETWORK "egressPolicy.deny"),
};

static const struct setting identities = SETTING(identity, "managedIdentitySettings");

static const struct setting numbers[] = {
	SETTING(max_sessions, "scaleConfiguration.maxConcurrentSessions"),
	SETTING(ready_sessions, "scaleConfiguration.readySessionInstances"),
	SETTING(cooldown_s, LIFECYCLE "cooldownPeriodInSeconds"),
	SETTING(max_alive_s, LIFECYCLE "maxAlivePeriodInSeconds"),
	SETTING(max_file_mib, "maxFileSizeInMib"),
	SETTING(max_processes, LIMITS "processes"),
	SETTING(max_execution_s, LIMITS "executionTimeInSeconds"),
	SETTING(max_output_bytes, LIMITS "outputBytes"),
	SETTING(session_rate, LIMITS "sessionRequestsPerMinute"),
	SETTING(pool_rate, LIMITS "poolRequestsPerMinute"),
};

/* Takes `value` over; the objects on the way to it are made where they are missing. */
static void put(json_t *object, const char *path, json_t *value)
{
	for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
		const size_t length = (size_t)(dot - path);

		if (!json_object_getn(object, path, length))
			json_object_setn_new(object, path, length, json_object());
		object = json_object_getn(object, path, length);
	}
	json_object_set_new(object, path, value);
}

/* The entries of a list with commas between; an empty text is an empty list. NULL if one is no text. */
static json_t *list_of(const char *text)
{
	json_t *list = json_array();
	int ret = 0;

	for (size_t length; ret == 0 && *text; text += length + (text[length] == ',')) {
		length = strcspn(text, ",");
		if (length)
			ret = json_array_append_new(list, json_stringn(text, length));
	}
	if (ret == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *identities_of(const char *name)
{
	return *name ? json_pack("[{s:s, s:s}]", "identity", name, "lifecycle", "Main") : json_array();
}

/* The option whose value the setting takes; all of them are create's. */
static const char *option_of(const struct setting *setting)
{
	const struct option_spec *spec = create_options;

	while (spec->offset != setting->offset)
		spec++;
	return spec->name;
}

/* `value` is NULL if the option's bytes are no text: JSON has no others. */
static int put_setting(json_t *resource, const struct setting *setting, json_t *value, struct error *err)
{
	if (!value)
		return error_set(err, STATUS_USAGE, "--%s takes text in UTF-8", option_of(setting));
	put(resource, setting->path, value);
	return 0;
}

static const char *text_of(const struct options *o, const struct setting *setting)
{
	return *(const char *const *)((uintptr_t)o + setting->offset);
}

static int put_texts(json_t *resource, const struct options *o, struct error *err)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		if (text_of(o, &texts[i]))
			ret = put_setting(resource, &texts[i], json_string(text_of(o, &texts[i])), err);
	for (size_t i = 0; ret == 0 && i < sizeof(lists) / sizeof(lists[0]); i++)
		if (text_of(o, &lists[i]))
			ret = put_setting(resource, &lists[i], list_of(text_of(o, &lists[i])), err);
	if (ret == 0 && o->identity)
		ret = put_setting(resource, &identities, identities_of(o->identity), err);
	return ret;
}

/* What the options say, and nothing else. NULL with *err set. */
static json_t *make_resource(const struct options *o, struct error *err)
{
	json_t *resource = json_pack("{s:{}}", "properties");

	if (put_texts(resource, o, err) < 0) {
		json_decref(resource);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const long number = *(const long *)((uintptr_t)o + numbers[i].offset);

		if (number != OPTIONS_UNSET)
			put(resource, numbers[i].path, json_integer(number));
	}
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

static bool is_custom(const char *container_type)
{
	return container_type && strcasecmp(container_type, CUSTOM) == 0;
}

/* What was not said, as az says it. */
static int complete(struct options *o, struct error *err)
{
	if (o->max_sessions == OPTIONS_UNSET)
		o->max_sessions = DEFAULT_MAX_SESSIONS;
	if (o->ready_sessions == OPTIONS_UNSET)
		o->ready_sessions = o->max_sessions < DEFAULT_READY_SESSIONS ? o->max_sessions : DEFAULT_READY_SESSIONS;
	if (!o->lifecycle_type && o->max_alive_s != OPTIONS_UNSET && o->cooldown_s == OPTIONS_UNSET)
		o->lifecycle_type = "OnContainerExit";
	if (!o->container_type && pool_container_is_meant(o))
		o->container_type = CUSTOM;
	if (pool_container_is_meant(o) && !is_custom(o->container_type))
		return error_set(err, STATUS_USAGE,
				 "a pool of type %s runs no container of its own: leave out --image and "
				 "its like, or give --container-type " CUSTOM,
				 o->container_type);
	return 0;
}

static int create(struct service *s, const struct options *o, struct error *err)
{
	const char *name = command_name(o, o->pool, "the pool's name", err);
	struct options all = *o;
	json_t *resource;
	int ret;

	if (!name || complete(&all, err) < 0)
		return -err->code;
	resource = make_resource(&all, err);
	ret = resource ? pool_secrets_put(resource, o, err) : -err->code;
	if (ret == 0 && is_custom(all.container_type))
		ret = pool_container_put(resource, o, NULL, name, err);
	if (ret == 0)
		ret = call_and_print(s, "PUT", o, resource, err);
	json_decref(resource);
	return ret;
}

/* Over what the pool has: the service takes a container as a whole. */
static int update_container(struct service *s, const struct options *o, json_t *resource, struct error *err)
{
	const char *name;
	AUTO_FREE char *path = pool_path(o, &name, err);
	json_t *answer = NULL;
	int ret = path ? service_call(s, "GET", path, NULL, &answer, err) : -err->code;
	const json_t *before = json_object_get(json_object_get(answer, "properties"), "customContainerTemplate");

	if (ret == 0 && !json_is_object(before))
		ret = error_set(
			err, STATUS_USAGE,
			"the session pool %s runs no container, and its type cannot be changed: make another with "
			"`hearth sessionpool create NAME --image IMAGE`",
			name);
	if (ret == 0)
		ret = pool_container_put(resource, o, before, name, err);
	json_decref(answer);
	return ret;
}

static int update(struct service *s, const struct options *o, struct error *err)
{
	json_t *resource = make_resource(o, err);
	int ret = resource ? pool_secrets_put(resource, o, err) : -err->code;

	if (ret == 0 && pool_container_is_meant(o))
		ret = update_container(s, o, resource, err);
	if (ret == 0)
		ret = call_and_print(s, "PATCH", o, resource, err);
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
		    "  hearth sessionpool create web --image app:1 --target-port 8080 --env-vars MODE=fast LEVEL=2\n"
		    "  hearth sessionpool update web --image app:2\n"
		    "  hearth sessionpool list -o json | jq '.[].name'\n"
		    "  hearth sessionpool delete analysis --yes\n",
};
