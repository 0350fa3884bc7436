#include "api/pool_resource.h"

#include "api/container_template.h"
#include "api/json.h"
#include "api/timestamp.h"
#include "common/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- from JSON --------------------------------------------------------------------------------------------------- */

/* NULL if the object has none, or if it is no object; then *err is filled. */
static const json_t *find_object(const json_t *parent, const char *key, struct error *err)
{
	const json_t *value = parent ? json_find(parent, key) : NULL;

	if (!value || json_is_object(value))
		return value;
	error_set(err, EINVAL, "The property '%s' must be an object.", key);
	return NULL;
}

/* A text without NUL that fits in `out`, which stays as it is if the key is missing. */
static int read_text(const json_t *object, const char *key, char *out, size_t size, struct error *err)
{
	const char *text = NULL;
	size_t length = 0;
	int rc = json_get_text(object, key, &text, &length, err);

	if (rc < 0 || !text)
		return rc;
	if (length >= size || strlen(text) != length)
		return error_set(err, EINVAL, "The property '%s' must have at most %zu characters, and no NUL.", key,
				 size - 1);
	memcpy(out, text, length + 1);
	return 0;
}

static int read_count(const json_t *object, const char *key, uint32_t *value, struct error *err)
{
	int64_t number = *value;
	int rc = json_get_integer(object, key, &number, err);

	if (rc < 0)
		return rc;
	if (number < 0 || number > UINT32_MAX)
		return error_set(err, EINVAL, "The property '%s' is out of range.", key);
	*value = (uint32_t)number;
	return 0;
}

/* One of the words that `from_name` knows; *value stays if the key is missing. `words` is for the error. */
static int read_word(const json_t *object, const char *key, int (*from_name)(const char *name), const char *words,
		     int *value, struct error *err)
{
	char text[64] = "";
	int rc = read_text(object, key, text, sizeof(text), err);

	if (rc < 0 || !text[0])
		return rc;
	rc = from_name(text);
	if (rc < 0)
		return error_set(err, EINVAL, "The property '%s' is '%s', which is not known. Valid types are: [%s]",
				 key, text, words);
	*value = rc;
	return 0;
}

static int management_type_from_name(const char *name)
{
	return strcasecmp(name, "Dynamic") == 0 ? 0 : -1;
}

static int read_types(struct pool_definition *d, const json_t *properties, struct error *err)
{
	int container_type = (int)d->container_type, management_type = 0;

	if (read_word(properties, "containerType", pool_container_type_from_name,
		      "PythonLTS, NodeLTS, Shell, CustomContainer", &container_type, err) < 0 ||
	    read_word(properties, "poolManagementType", management_type_from_name, "Dynamic", &management_type, err) <
		    0)
		return -err->code;
	d->container_type = (enum pool_container_type)container_type;
	return read_text(properties, "templateName", d->template_name, sizeof(d->template_name), err);
}

/* More than the maximum is the maximum: az sends 5 to keep ready where nobody has named any. */
static int read_scale(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *scale = find_object(properties, "scaleConfiguration", err);

	if (!scale)
		return -err->code;
	if (read_count(scale, "maxConcurrentSessions", &d->max_concurrent_sessions, err) < 0 ||
	    read_count(scale, "readySessionInstances", &d->ready_session_instances, err) < 0)
		return -err->code;
	if (d->ready_session_instances > d->max_concurrent_sessions)
		d->ready_session_instances = d->max_concurrent_sessions;
	return 0;
}

/* `type_key` is how this form of the object calls the type. */
static int read_lifecycle_of(struct pool_definition *d, const json_t *object, const char *type_key, struct error *err)
{
	int lifecycle = (int)d->lifecycle;

	if (read_word(object, type_key, pool_lifecycle_from_name, "Timed, MaxLifetime, OnContainerExit", &lifecycle,
		      err) < 0 ||
	    read_count(object, "cooldownPeriodInSeconds", &d->cooldown_s, err) < 0 ||
	    read_count(object, "maxAlivePeriodInSeconds", &d->max_alive_s, err) < 0)
		return -err->code;
	d->lifecycle = (enum pool_lifecycle)lifecycle;
	return 0;
}

/* Versions before 2025 have it flat. */
static int read_lifecycle(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *dynamic = find_object(properties, "dynamicPoolConfiguration", err);
	const json_t *lifecycle;

	if (!dynamic || read_lifecycle_of(d, dynamic, "executionType", err) < 0)
		return -err->code;
	lifecycle = find_object(dynamic, "lifecycleConfiguration", err);
	return lifecycle ? read_lifecycle_of(d, lifecycle, "lifecycleType", err) : -err->code;
}

/* A list that is named replaces the one that was. */
static int read_egress_list(struct egress_policy *policy, const json_t *object, bool is_allowed, struct error *err)
{
	const char *key = is_allowed ? "allow" : "deny";
	const json_t *list = json_find(object, key);
	size_t i;
	json_t *entry;

	if (!list)
		return 0;
	if (!json_is_array(list))
		return error_set(err, EINVAL, "The property '%s' in 'egressPolicy' must be a list of strings.", key);
	egress_policy_clear(policy, is_allowed);
	json_array_foreach((json_t *)(uintptr_t)list, i, entry)
	{
		const char *text = json_string_value(entry);

		if (!text || strlen(text) != json_string_length(entry))
			return error_set(err, EINVAL, "The property '%s' in 'egressPolicy' must be a list of strings.",
					 key);
		if (egress_policy_add(policy, is_allowed, text, err) < 0)
			return error_wrap(err, "The property '%s' in 'egressPolicy'", key);
	}
	return 0;
}

static int action_from_name(const char *name)
{
	return strcasecmp(name, "Allow") == 0 ? 0 : strcasecmp(name, "Deny") == 0 ? 1 : -1;
}

static int read_egress(struct egress_policy *policy, const json_t *configuration, struct error *err)
{
	const json_t *object = find_object(configuration, "egressPolicy", err);
	int is_denied = policy->is_denied_by_default;

	if (!object || read_word(object, "defaultAction", action_from_name, "Allow, Deny", &is_denied, err) < 0)
		return -err->code;
	policy->is_denied_by_default = is_denied;
	if (read_egress_list(policy, object, true, err) < 0)
		return -err->code;
	return read_egress_list(policy, object, false, err);
}

static int read_network(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *configuration = find_object(properties, "sessionNetworkConfiguration", err);
	int network = (int)d->network;

	if (!configuration || read_word(configuration, "status", pool_network_from_name,
					"EgressDisabled, EgressEnabled", &network, err) < 0)
		return -err->code;
	d->network = (enum pool_network)network;
	return read_egress(&d->egress, configuration, err);
}

/* A number, or a text of one that may end with `unit`: 0.5, "0.5", "0.5Gi". Rounded up to a whole multiple of 1/scale. */
static int read_quantity(const json_t *object, const char *key, const char *unit, double scale, uint32_t *value,
			 struct error *err)
{
	const json_t *v = json_find(object, key);
	double number = -1;

	if (!v)
		return 0;
	if (json_is_number(v)) {
		number = json_number_value(v);
	} else if (json_is_string(v)) {
		const char *text = json_string_value(v);
		size_t length = strspn(text, "0123456789.");
		char *end = NULL;

		if (length > 0 && (text[length] == '\0' || strcasecmp(text + length, unit) == 0))
			number = strtod(text, &end);
		if (number >= 0 && end != text + length)
			number = -1;
	}
	if (!(number > 0 && number < 1e6))
		return error_set(err, EINVAL, "The property '%s' must be a number above 0, such as 0.5 or \"0.5%s\".",
				 key, unit);
	*value = (uint32_t)ceil(number * scale - 1e-6); /* 1.1 * 1000 is a little more than 1100 */
	return 0;
}

static int read_size(const json_t *object, const char *key, uint32_t *mib, struct error *err)
{
	const json_t *memory = json_find(object, key);
	const char *text = json_is_string(memory) ? json_string_value(memory) : "";
	size_t length = strlen(text);

	if (length > 2 && strcasecmp(text + length - 2, "Mi") == 0)
		return read_quantity(object, key, "Mi", 1, mib, err);
	return read_quantity(object, key, "Gi", 1024, mib, err);
}

/* What is too little to work with is the least that will do; 0 is no limit. */
static uint32_t at_least(uint32_t value, uint32_t least)
{
	return value && value < least ? least : value;
}

/* 0, as a number or a text, is no limit: it is no size. */
static bool is_zero(const json_t *value)
{
	return json_is_number(value) ? json_number_value(value) == 0
				     : json_is_string(value) && strcmp(json_string_value(value), "0") == 0;
}

static int read_limits(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *object = find_object(properties, "sessionLimits", err);
	struct pool_session_limits *l = &d->limits;

	if (!object || read_count(object, "processes", &l->processes, err) < 0 ||
	    read_count(object, "executionTimeInSeconds", &l->execution_s, err) < 0 ||
	    read_count(object, "outputBytes", &l->output_bytes, err) < 0 ||
	    read_count(object, "sessionRequestsPerMinute", &l->session_rate, err) < 0 ||
	    read_count(object, "poolRequestsPerMinute", &l->pool_rate, err) < 0)
		return -err->code;
	l->processes = at_least(l->processes, POOL_PROCESSES_MIN);
	if (is_zero(json_find(object, "disk")))
		l->disk_mib = 0;
	else if (read_size(object, "disk", &l->disk_mib, err) < 0)
		return -err->code;
	l->disk_mib = at_least(l->disk_mib, POOL_DISK_MIN_MIB);
	return 0;
}

static int read_resources(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *resources = find_object(properties, "resources", err);

	if (read_count(properties, "maxFileSizeInMib", &d->max_file_mib, err) < 0)
		return -err->code;
	if (!resources || read_quantity(resources, "cpu", "", 1000, &d->cpu_milli, err) < 0)
		return -err->code;
	return read_size(resources, "memory", &d->memory_mib, err);
}

static int read_mcp(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *settings = find_object(properties, "mcpServerSettings", err);

	if (!settings || json_get_bool(settings, "isMcpServerEnabled", &d->mcp_is_enabled, err) < 0)
		return -err->code;
	return json_get_bool(settings, "isMcpServerApiKeyDisabled", &d->mcp_key_is_disabled, err);
}

/* Its one container's resources are those of the session. */
static int read_container(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *template = json_find(properties, "customContainerTemplate");
	const json_t *resources;

	if (container_template_read(d, properties, err) < 0)
		return -err->code;
	resources =
		find_object(json_array_get(template ? json_find(template, "containers") : NULL, 0), "resources", err);
	if (!resources || read_quantity(resources, "cpu", "", 1000, &d->cpu_milli, err) < 0)
		return -err->code;
	return read_size(resources, "memory", &d->memory_mib, err);
}

/* As with Azure, None is an identity that code in sessions does not see. */
static int read_identity(struct pool_definition *d, const json_t *properties, struct error *err)
{
	const json_t *list = json_find(properties, "managedIdentitySettings");
	const json_t *entry = json_array_get(list, 0);
	const char *lifecycle = "None";
	size_t size;

	if (!list)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > 1 || (entry && !json_is_object(entry)))
		return error_set(err, EINVAL,
				 "The property 'managedIdentitySettings' must be a list of at most one object.");
	d->identity[0] = '\0';
	d->identity_is_offered = false;
	if (!entry)
		return 0;
	if (read_text(entry, "identity", d->identity, sizeof(d->identity), err) < 0 ||
	    json_get_text(entry, "lifecycle", &lifecycle, &size, err) < 0)
		return -err->code;
	if (!d->identity[0])
		return error_set(err, EINVAL, "The property 'identity' in 'managedIdentitySettings' is missing.");
	d->identity_is_offered = strcasecmp(lifecycle, "Main") == 0;
	if (!d->identity_is_offered && strcasecmp(lifecycle, "None") != 0)
		return error_set(err, EINVAL,
				 "The property 'lifecycle' in 'managedIdentitySettings' must be Main or None.");
	return 0;
}

static int read_properties(struct pool_definition *d, const json_t *properties, struct error *err)
{
	static int (*const parts[])(struct pool_definition *, const json_t *, struct error *) = {
		read_types,  read_scale, read_lifecycle, read_network,   read_resources,
		read_limits, read_mcp,   read_identity,  read_container,
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i](d, properties, err) < 0)
			return -err->code;
	return 0;
}

static int read_tags(struct pool_record *record, const json_t *resource, struct error *err)
{
	const json_t *tags = find_object(resource, "tags", err);
	const char *name;
	json_t *value;
	size_t n;

	if (!tags)
		return -err->code;
	json_object_foreach((json_t *)(uintptr_t)tags, name, value) if (!json_is_string(value)) return error_set(
		err, EINVAL, "The tag '%.64s' must be a string.", name);
	n = json_dumpb(tags, record->tags, sizeof(record->tags) - 1, JSON_COMPACT);
	if (n >= sizeof(record->tags))
		return error_set(err, EINVAL, "The tags have more than %zu characters.", sizeof(record->tags) - 1);
	record->tags[n] = '\0';
	return 0;
}

static int read_location(struct pool_record *record, const json_t *resource, struct error *err)
{
	if (read_text(resource, "location", record->location, sizeof(record->location), err) < 0)
		return -err->code;
	if (text_count_characters(record->location) > POOL_LOCATION_MAX)
		return error_set(err, EINVAL, "The property 'location' must have at most %d characters.",
				 POOL_LOCATION_MAX);
	return 0;
}

int pool_resource_read(struct pool_record *record, const json_t *resource, struct error *err)
{
	struct error problem = { 0 }; /* its code tells "missing" from "wrong", as find_object() needs it */
	const json_t *properties;

	if (!json_is_object(resource))
		return error_set(err, EINVAL, "The body must be a JSON object.");
	properties = find_object(resource, "properties", &problem);
	if (properties)
		read_properties(&record->definition, properties, &problem);
	if (!problem.code && read_location(record, resource, &problem) == 0)
		read_tags(record, resource, &problem);
	if (problem.code)
		*err = problem;
	return -problem.code;
}

/* ---- to JSON ----------------------------------------------------------------------------------------------------- */

static json_t *write_lifecycle(const struct pool_definition *d, bool is_old_form)
{
	const char *type = pool_lifecycle_name(d->lifecycle);
	const char *key = d->lifecycle == POOL_TIMED ? "cooldownPeriodInSeconds" : "maxAlivePeriodInSeconds";
	json_int_t seconds = d->lifecycle == POOL_TIMED ? d->cooldown_s : d->max_alive_s;

	if (is_old_form)
		return json_pack("{s:s, s:I}", "executionType", type, key, seconds);
	return json_pack("{s:{s:s, s:I}}", "lifecycleConfiguration", "lifecycleType", type, key, seconds);
}

/* GiB with all digits that it has: a MiB is a binary fraction of it, so this reads back as the same number. */
static json_t *write_size(uint32_t mib)
{
	char text[32];

	snprintf(text, sizeof(text), "%.15gGi", mib / 1024.0);
	return json_string(text);
}

static json_t *write_resources(const struct pool_definition *d)
{
	json_t *cpu = d->cpu_milli % 1000 ? json_real(d->cpu_milli / 1000.0) : json_integer(d->cpu_milli / 1000);

	return json_pack("{s:o, s:o}", "cpu", cpu, "memory", write_size(d->memory_mib));
}

static json_t *write_limits(const struct pool_session_limits *l)
{
	return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I}", "processes", (json_int_t)l->processes, "disk",
			 l->disk_mib ? write_size(l->disk_mib) : json_integer(0), "executionTimeInSeconds",
			 (json_int_t)l->execution_s, "outputBytes", (json_int_t)l->output_bytes,
			 "sessionRequestsPerMinute", (json_int_t)l->session_rate, "poolRequestsPerMinute",
			 (json_int_t)l->pool_rate);
}

/* null, as Azure has it, where nothing was said that a reader would have to say again. */
static json_t *write_mcp(const struct pool_definition *d, const char *endpoint)
{
	json_t *settings;

	if (!d->mcp_is_enabled && !d->mcp_key_is_disabled && !pool_definition_default(d->name).mcp_is_enabled)
		return json_null();
	settings = json_pack("{s:b, s:b}", "isMcpServerEnabled", d->mcp_is_enabled, "isMcpServerApiKeyDisabled",
			     d->mcp_key_is_disabled);
	if (d->mcp_is_enabled)
		json_object_set_new(settings, "mcpServerEndpoint", json_pack("s+", endpoint, "/mcp"));
	return settings;
}

static json_t *write_identity(const struct pool_definition *d)
{
	if (!d->identity[0])
		return json_array();
	return json_pack("[{s:s, s:s}]", "identity", d->identity, "lifecycle",
			 d->identity_is_offered ? "Main" : "None");
}

/* The policy is Hearth's own: it is left out where nobody has named one, and it would mean nothing. */
static json_t *write_network(const struct pool_definition *d)
{
	const struct egress_policy *policy = &d->egress;
	json_t *allow, *deny, *network = json_pack("{s:s}", "status", pool_network_name(d->network));
	char entry[EGRESS_ENTRY_SIZE];
	bool is_allowed;

	if (d->network == POOL_EGRESS_DISABLED && !policy->is_denied_by_default && !policy->lines[0])
		return network;
	allow = json_array();
	deny = json_array();
	for (const char *at = policy->lines; (at = egress_policy_next(at, &is_allowed, entry));)
		json_array_append_new(is_allowed ? allow : deny, json_string(entry));
	json_object_set_new(network, "egressPolicy",
			    json_pack("{s:s, s:o, s:o}", "defaultAction",
				      policy->is_denied_by_default ? "Deny" : "Allow", "allow", allow, "deny", deny));
	return network;
}

static json_t *write_container(const struct pool_definition *d)
{
	json_t *template = container_template_json(d);

	if (!template)
		return json_null();
	json_object_set_new(json_array_get(json_object_get(template, "containers"), 0), "resources",
			    write_resources(d));
	return template;
}

static json_t *write_properties(const struct pool_definition *d, const char *endpoint, bool is_old_form)
{
	return json_pack("{s:n, s:s, s:s, s:{s:I, s:I}, s:o, s:o, s:o, s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:s}",
			 "environmentId", "poolManagementType", "Dynamic", "containerType",
			 pool_container_type_name(d->container_type), "scaleConfiguration", "maxConcurrentSessions",
			 (json_int_t)d->max_concurrent_sessions, "readySessionInstances",
			 (json_int_t)d->ready_session_instances, "dynamicPoolConfiguration",
			 write_lifecycle(d, is_old_form), "sessionNetworkConfiguration", write_network(d), "resources",
			 write_resources(d), "maxFileSizeInMib", (json_int_t)d->max_file_mib, "sessionLimits",
			 write_limits(&d->limits), "templateName", d->template_name, "secrets",
			 container_secrets_json(d), "customContainerTemplate", write_container(d),
			 "managedIdentitySettings", write_identity(d), "mcpServerSettings", write_mcp(d, endpoint),
			 "provisioningState", "Succeeded", "poolManagementEndpoint", endpoint);
}

static json_t *write_system_data(const struct pool_record *record)
{
	char created[TIMESTAMP_SIZE], modified[TIMESTAMP_SIZE];

	timestamp_format(created, record->created_ms);
	timestamp_format(modified, record->modified_ms);
	return json_pack("{s:s, s:s}", "createdAt", created, "lastModifiedAt", modified);
}

/* The default pool has none, and neither has a row that somebody edited. */
static json_t *write_tags(const struct pool_record *record)
{
	json_t *tags = json_loads(record->tags, 0, NULL);

	if (json_is_object(tags))
		return tags;
	json_decref(tags);
	return json_object();
}

json_t *pool_resource_write(const struct pool_record *record, const struct pool_address *address, bool is_old_form)
{
	const struct pool_definition *d = &record->definition;

	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:{s:s}, s:o}", "id", address->id, "name", d->name, "type",
			 "Microsoft.App/sessionpools", "location", record->location, "tags", write_tags(record),
			 "systemData", write_system_data(record), "identity", "type", "None", "properties",
			 write_properties(d, address->endpoint, is_old_form));
}
