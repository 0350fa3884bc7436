#include "api/pool_resource.h"
#include "api/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pool_record record;

static int read_text(const char *text, struct error *err)
{
	json_t *json = json_parse(text, strlen(text), err);
	int rc;

	if (!json)
		fail_msg("%s: %s", text, err->text);
	rc = pool_resource_read(&record, json, err);
	json_decref(json);
	return rc;
}

/* The definition that a resource makes out of the defaults. */
static const struct pool_definition *read_new(const char *text)
{
	struct error err = { 0 };

	record = (struct pool_record) { .definition = pool_definition_default("aa") };
	if (read_text(text, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return &record.definition;
}

static void check_error(const char *text, const char *part)
{
	struct error err = { 0 };

	record = (struct pool_record) { .definition = pool_definition_default("aa") };
	if (read_text(text, &err) >= 0)
		fail_msg("taken: %s", text);
	assert_int_equal(err.code, EINVAL);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

/* As az of 2024 was recorded to send it. */
static void the_body_of_az_is_understood(void **state)
{
	const struct pool_definition *d = read_new(
		"{\"location\":\"eastasia\",\"properties\":{\"environmentId\":null,\"poolManagementType\":\"Dynamic\","
		"\"containerType\":\"PythonLTS\",\"customContainerTemplate\":null,\"secrets\":null,"
		"\"dynamicPoolConfiguration\":{\"executionType\":\"Timed\",\"cooldownPeriodInSeconds\":\"301\"},"
		"\"scaleConfiguration\":{\"maxConcurrentSessions\":10,\"readySessionInstances\":5},"
		"\"sessionNetworkConfiguration\":{\"status\":\"EgressDisabled\"}},"
		"\"identity\":{\"type\":\"None\",\"userAssignedIdentities\":null}}");

	(void)state;
	assert_string_equal(d->name, "aa");
	assert_int_equal(d->cooldown_s, 301);
	assert_int_equal(d->max_concurrent_sessions, 10);
	assert_int_equal(d->ready_session_instances, 5);
	assert_string_equal(record.location, "eastasia");
}

static void the_form_of_2025_is_understood_in_any_case(void **state)
{
	const struct pool_definition *d = read_new(
		"{\"Properties\":{\"ContainerType\":\"nodelts\",\"DynamicPoolConfiguration\":{"
		"\"LifecycleConfiguration\":{\"lifecycletype\":\"MAXLIFETIME\",\"maxAlivePeriodInSeconds\":\"7200\"}},"
		"\"SessionNetworkConfiguration\":{\"Status\":\"egressenabled\"},\"templateName\":\"mine\","
		"\"workloadProfileName\":\"who knows\",\"provisioningState\":\"Succeeded\"},\"kind\":3}");

	(void)state;
	assert_int_equal(d->container_type, POOL_NODE_LTS);
	assert_int_equal(d->lifecycle, POOL_MAX_LIFETIME);
	assert_int_equal(d->max_alive_s, 7200);
	assert_int_equal(d->network, POOL_EGRESS_ENABLED);
	assert_string_equal(d->template_name, "mine");
}

static void what_is_not_named_stays(void **state)
{
	struct error err = { 0 };

	(void)state;
	read_new("{\"tags\":{\"a\":\"b\"},\"location\":\"here\",\"properties\":{\"templateName\":\"mine\","
		 "\"dynamicPoolConfiguration\":{\"cooldownPeriodInSeconds\":90}}}");
	assert_int_equal(read_text("{\"properties\":{\"scaleConfiguration\":{\"readySessionInstances\":0}}}", &err), 0);
	assert_int_equal(record.definition.ready_session_instances, 0);
	assert_int_equal(record.definition.max_concurrent_sessions, 100);
	assert_int_equal(record.definition.cooldown_s, 90);
	assert_string_equal(record.definition.template_name, "mine");
	assert_string_equal(record.tags, "{\"a\":\"b\"}");
	assert_string_equal(record.location, "here");
	assert_int_equal(read_text("{}", &err), 0);
	assert_int_equal(read_text("{\"properties\":null,\"tags\":{}}", &err), 0);
	assert_int_equal(record.definition.cooldown_s, 90);
	assert_string_equal(record.tags, "{}");
	assert_int_equal(read_text("{\"properties\":{\"templateName\":\"\"}}", &err), 0);
	assert_string_equal(record.definition.template_name, "");
}

static void an_identity_is_offered_if_its_lifecycle_says_so(void **state)
{
	struct error err = { 0 };

	(void)state;
	read_new("{\"properties\":{\"managedIdentitySettings\":[{\"identity\":\"billing\",\"lifecycle\":\"main\"}]}}");
	assert_string_equal(record.definition.identity, "billing");
	assert_true(record.definition.identity_is_offered);
	assert_int_equal(read_text("{\"properties\":{\"managedIdentitySettings\":null}}", &err), 0);
	assert_true(record.definition.identity_is_offered);
	assert_int_equal(read_text("{\"properties\":{\"managedIdentitySettings\":[{\"identity\":\"b\"}]}}", &err), 0);
	assert_string_equal(record.definition.identity, "b");
	assert_false(record.definition.identity_is_offered);
	assert_int_equal(read_text("{\"properties\":{\"managedIdentitySettings\":[]}}", &err), 0);
	assert_string_equal(record.definition.identity, "");
	check_error("{\"properties\":{\"managedIdentitySettings\":{}}}", "list of at most one");
	check_error("{\"properties\":{\"managedIdentitySettings\":[3]}}", "list of at most one");
	check_error("{\"properties\":{\"managedIdentitySettings\":[{},{}]}}", "list of at most one");
	check_error("{\"properties\":{\"managedIdentitySettings\":[{\"lifecycle\":\"Main\"}]}}", "'identity'");
	check_error("{\"properties\":{\"managedIdentitySettings\":[{\"identity\":\"b\",\"lifecycle\":\"All\"}]}}",
		    "Main or None");
}

static void a_maximum_limits_the_stock(void **state)
{
	(void)state;
	assert_int_equal(read_new("{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":2}}}")
				 ->ready_session_instances,
			 2);
	assert_int_equal(read_new("{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":2,"
				  "\"readySessionInstances\":3}}}")
				 ->ready_session_instances,
			 2);
}

static void check_resources(const char *resources, uint32_t cpu_milli, uint32_t memory_mib)
{
	char text[256];
	const struct pool_definition *d;

	snprintf(text, sizeof(text), "{\"properties\":{\"resources\":%s}}", resources);
	d = read_new(text);
	assert_int_equal(d->cpu_milli, cpu_milli);
	assert_int_equal(d->memory_mib, memory_mib);
}

static void processors_and_memory_are_rounded_up(void **state)
{
	(void)state;
	check_resources("{}", 1000, 1024);
	check_resources("{\"cpu\":0.25,\"memory\":\"0.5Gi\"}", 250, 512);
	check_resources("{\"cpu\":\"1.5\",\"memory\":\"2Gi\"}", 1500, 2048);
	check_resources("{\"cpu\":2,\"memory\":\"512Mi\"}", 2000, 512);
	check_resources("{\"cpu\":1.1,\"memory\":\"512Mi\"}", 1100, 512);
	check_resources("{\"cpu\":\"2.0\",\"memory\":0.3}", 2000, 308);
	check_resources("{\"cpu\":null,\"memory\":\"1\"}", 1000, 1024);
}

static void wrong_types_and_values_name_the_property(void **state)
{
	(void)state;
	check_error("[]", "object");
	check_error("{\"properties\":[]}", "'properties'");
	check_error("{\"properties\":{\"scaleConfiguration\":5}}", "'scaleConfiguration'");
	check_error("{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":\"many\"}}}",
		    "'maxConcurrentSessions'");
	check_error("{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":-1}}}",
		    "'maxConcurrentSessions'");
	check_error("{\"properties\":{\"scaleConfiguration\":{\"readySessionInstances\":99999999999}}}",
		    "'readySessionInstances'");
	check_error("{\"properties\":{\"containerType\":\"GpuBase\"}}",
		    "Valid types are: [PythonLTS, NodeLTS, Shell, CustomContainer]");
	check_error("{\"properties\":{\"containerType\":7}}", "'containerType'");
	check_error("{\"properties\":{\"containerType\":\"Shell\\u0000x\"}}", "'containerType'");
	check_error("{\"properties\":{\"poolManagementType\":\"Manual\"}}", "'poolManagementType'");
	check_error("{\"properties\":{\"dynamicPoolConfiguration\":{\"executionType\":\"Never\"}}}", "'executionType'");
	check_error("{\"properties\":{\"dynamicPoolConfiguration\":{\"lifecycleConfiguration\":[]}}}",
		    "'lifecycleConfiguration'");
	check_error("{\"properties\":{\"sessionNetworkConfiguration\":{\"status\":\"Open\"}}}", "'status'");
	check_error("{\"properties\":{\"templateName\":true}}", "'templateName'");
	check_error("{\"properties\":{\"mcpServerSettings\":true}}", "'mcpServerSettings'");
	check_error("{\"properties\":{\"mcpServerSettings\":{\"isMcpServerEnabled\":1}}}", "'isMcpServerEnabled'");
	check_error("{\"tags\":{\"a\":1}}", "'a'");
	check_error("{\"tags\":\"x\"}", "'tags'");
	check_error("{\"location\":[\"x\"]}", "'location'");
	check_error("{\"location\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
		    "'location'");
}

#define CONTAINER(template, more)                                                                                      \
	"{\"properties\":{\"containerType\":\"CustomContainer\"," more "\"customContainerTemplate\":" template "}}"
#define INGRESS ",\"ingress\":{\"targetPort\":8080}}"

static void a_container_is_read_and_written(void **state)
{
	const struct pool_address address = { "/id", "http://e" };
	const struct pool_definition *d = read_new(CONTAINER(
		"{\"registryCredentials\":null,\"containers\":[{\"name\":\"web\",\"image\":\"r.example/"
		"web:1\",\"command\":["
		"\"/bin/"
		"sh\",\"\"],\"args\":[\"-c\"],\"env\":[{\"name\":\"A\",\"value\":\"\"},{\"name\":\"B\",\"secretRef\":"
		"\"s1\"}],\"resources\":{\"cpu\":0.5,\"memory\":\"2Gi\"},\"probes\":[{\"type\":\"startup\",\"httpGet\":"
		"{"
		"\"path\":\"/"
		"h\",\"port\":8080,\"httpHeaders\":[{\"name\":\"X\",\"value\":\"1\"}]},\"periodSeconds\":2},{"
		"\"type\":\"Liveness\",\"tcpSocket\":{\"port\":\"81\"}}]}]" INGRESS,
		"\"secrets\":[{\"name\":\"s1\",\"value\":\"hidden\"}],"));
	json_t *resource, *template;
	struct error err = { 0 };
	char *text;

	(void)state;
	assert_int_equal(d->container_type, POOL_CUSTOM_CONTAINER);
	assert_int_equal(d->cpu_milli, 500);
	assert_int_equal(d->memory_mib, 2048);
	assert_string_equal(d->secrets, "{\"s1\":\"hidden\"}");
	resource = pool_resource_write(&record, &address, false);
	text = json_dumps(resource, 0);
	assert_null(strstr(text, "hidden"));
	template = json_object_get(json_object_get(resource, "properties"), "customContainerTemplate");
	free(text);
	text = json_dumps(template, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, "{\"containers\":[{\"args\":[\"-c\"],\"command\":[\"/bin/"
				  "sh\",\"\"],\"env\":[{\"name\":\"A\",\"value\":\"\"},{"
				  "\"name\":\"B\",\"secretRef\":\"s1\"}],\"image\":\"r.example/"
				  "web:1\",\"name\":\"web\",\"probes\":[{\"httpGet\":{"
				  "\"httpHeaders\":[{\"name\":\"X\",\"value\":\"1\"}],\"path\":\"/"
				  "h\",\"port\":8080},\"periodSeconds\":2,\"type\":"
				  "\"Startup\"},{\"tcpSocket\":{\"port\":81},\"type\":\"Liveness\"}],\"resources\":{"
				  "\"cpu\":0.5,\"memory\":\"2Gi\"}}],"
				  "\"ingress\":{\"targetPort\":8080}}");
	free(text);
	/* What was shown may be sent back, and a part alone be changed. */
	assert_int_equal(pool_resource_read(&record, resource, &err), 0);
	assert_string_equal(record.definition.secrets, "{\"s1\":\"hidden\"}");
	json_decref(resource);
	assert_int_equal(
		read_text("{\"properties\":{\"customContainerTemplate\":{\"ingress\":{\"targetPort\":81}}}}", &err), 0);
	assert_non_null(strstr(record.definition.container_template, "\"targetPort\":81"));
	assert_non_null(strstr(record.definition.container_template, "web:1"));
	assert_int_equal(record.definition.cpu_milli, 500);
	assert_true(read_text("{\"properties\":{\"secrets\":[]}}", &err) < 0);
	assert_non_null(strstr(err.text, "'s1'"));
}

/* Where the pool says nothing, the image may say it: nothing is kept then. */
static void a_container_may_leave_port_and_snapshot_to_its_image(void **state)
{
	const struct pool_definition *d = read_new(CONTAINER("{\"containers\":[{\"image\":\"a\"}]}", ""));
	struct error err = { 0 };

	(void)state;
	assert_string_equal(d->container_template, "{\"containers\":[{\"image\":\"a\"}]}");
	assert_int_equal(
		read_text("{\"properties\":{\"customContainerTemplate\":{\"snapshot\":\"beforeEntrypoint\"}}}", &err),
		0);
	assert_string_equal(d->container_template,
			    "{\"containers\":[{\"image\":\"a\"}],\"snapshot\":\"BeforeEntrypoint\"}");
	assert_int_equal(
		read_text("{\"properties\":{\"customContainerTemplate\":{\"ingress\":{\"targetPort\":80}}}}", &err), 0);
	assert_string_equal(d->container_template, "{\"containers\":[{\"image\":\"a\"}],\"ingress\":{\"targetPort\":"
						   "80},\"snapshot\":\"BeforeEntrypoint\"}");
	assert_int_equal(read_text("{\"properties\":{\"customContainerTemplate\":{\"snapshot\":null}}}", &err), 0);
	assert_null(strstr(d->container_template, "snapshot"));
}

static void what_is_no_container_is_refused(void **state)
{
	static const char *const parts[][2] = {
		{ "\"image\":\"\"", "'image'" },
		{ "\"image\":\"a b\"", "'image'" },
		{ "\"name\":\"n\"", "'image'" },
		{ "\"image\":\"a\",\"command\":\"sh\"", "'command'" },
		{ "\"image\":\"a\",\"args\":[1]", "'args'" },
		{ "\"image\":\"a\",\"args\":[\"a\\u0000b\"]", "'args'" },
		{ "\"image\":\"a\",\"env\":[{\"value\":\"x\"}]", "'name'" },
		{ "\"image\":\"a\",\"env\":[{\"name\":\"A=B\"}]", "'env'" },
		{ "\"image\":\"a\",\"env\":[{\"name\":\"A\",\"secretRef\":\"none\"}]", "'none'" },
		{ "\"image\":\"a\",\"env\":[1]", "'env'" },
		{ "\"image\":\"a\",\"probes\":[{\"type\":\"Odd\"}]", "'type'" },
		{ "\"image\":\"a\",\"probes\":[{\"type\":\"Startup\"}]", "'httpGet'" },
		{ "\"image\":\"a\",\"probes\":[{\"type\":\"Startup\",\"tcpSocket\":{\"port\":0}}]", "'port'" },
		{ "\"image\":\"a\",\"probes\":[{\"type\":\"Startup\",\"tcpSocket\":{}}]", "'port'" },
		{ "\"image\":\"a\",\"probes\":[{\"type\":\"Startup\",\"tcpSocket\":{\"port\":1},"
		  "\"failureThreshold\":0}]",
		  "'failureThreshold'" },
		{ "\"image\":\"a\",\"resources\":{\"cpu\":\"much\"}", "'cpu'" },
	};
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char text[512];

		snprintf(text, sizeof(text), CONTAINER("{\"containers\":[{%s}]" INGRESS, ""), parts[i][0]);
		check_error(text, parts[i][1]);
	}
	check_error(CONTAINER("[]", ""), "'customContainerTemplate'");
	check_error(CONTAINER("{}", ""), "'containers'");
	check_error(CONTAINER("{\"containers\":[]" INGRESS, ""), "'containers'");
	check_error(CONTAINER("{\"containers\":[{\"image\":\"a\"},{\"image\":\"b\"}]" INGRESS, ""), "'containers'");
	check_error(CONTAINER("{\"containers\":[{\"image\":\"a\"}],\"ingress\":80}", ""), "'ingress'");
	check_error(CONTAINER("{\"containers\":[{\"image\":\"a\"}],\"snapshot\":\"Later\"}", ""), "'snapshot'");
	check_error(CONTAINER("{\"containers\":[{\"image\":\"a\"}],\"snapshot\":true}", ""), "'snapshot'");
	check_error(CONTAINER("{\"containers\":[{\"image\":\"a\"}],\"ingress\":{\"targetPort\":65536}}", ""),
		    "'targetPort'");
	check_error(CONTAINER("{\"containers\":[{\"image\":\"a\"}]" INGRESS, "\"secrets\":[{\"name\":\"s\"}],"), "'s'");
	read_new("{\"properties\":{\"containerType\":\"CustomContainer\"}}");
	assert_true(pool_definition_check(&record.definition, &(struct pool_limits) { .min_cooldown_s = 60 }, &err) <
		    0);
	assert_non_null(strstr(err.text, "'customContainerTemplate'"));
	read_new("{\"properties\":{\"customContainerTemplate\":{\"containers\":[{\"image\":\"a\"}]" INGRESS "}}");
	assert_true(pool_definition_check(&record.definition, &(struct pool_limits) { .min_cooldown_s = 60 }, &err) <
		    0);
}

static void wrong_quantities_are_refused(void **state)
{
	static const char *const bad[] = { "0",       "-1",    "\"\"",   "\"-1\"",  "\"1e3\"", "\"0x10\"", "\"1.5.2\"",
					   "\"nan\"", "\".\"", "\"Gi\"", "\"1Ti\"", "1e300",   "true",     "{}" };
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "{\"properties\":{\"resources\":{\"memory\":%s}}}", bad[i]);
		check_error(text, "'memory'");
		snprintf(text, sizeof(text), "{\"properties\":{\"resources\":{\"cpu\":%s}}}", bad[i]);
		check_error(text, "'cpu'");
	}
}

static void many_tags_are_refused(void **state)
{
	char text[6000] = "{\"tags\":{\"a\":\"";

	(void)state;
	memset(text + strlen(text), 'x', 5000);
	strcat(text, "\"}}");
	check_error(text, "The tags have more than 4095");
}

static const struct pool_address address = { .id = "/sessionPools/aa", .endpoint = "http://h:1/sessionPools/aa" };

static void an_egress_policy_is_read_and_written(void **state)
{
	struct error err = { 0 };
	json_t *written, *policy;

	(void)state;
	read_new("{\"properties\":{\"sessionNetworkConfiguration\":{\"status\":\"EgressEnabled\",\"egressPolicy\":{"
		 "\"defaultAction\":\"deny\",\"allow\":[\"Example.org\",\"10.0.0.0/8\"],\"deny\":[\"10.0.0.5\"]}}}}");
	assert_true(record.definition.egress.is_denied_by_default);
	assert_string_equal(record.definition.egress.lines, "allow example.org\nallow 10.0.0.0/8\ndeny 10.0.0.5\n");
	/* What is not named stays, a list that is named is replaced. */
	assert_int_equal(read_text("{\"properties\":{\"sessionNetworkConfiguration\":{\"egressPolicy\":{"
				   "\"allow\":[\"*.a.example\"]}}}}",
				   &err),
			 0);
	assert_string_equal(record.definition.egress.lines, "deny 10.0.0.5\nallow *.a.example\n");
	assert_true(record.definition.egress.is_denied_by_default);
	written = pool_resource_write(&record, &address, false);
	policy = json_object_get(json_object_get(json_object_get(written, "properties"), "sessionNetworkConfiguration"),
				 "egressPolicy");
	assert_string_equal(json_string_value(json_object_get(policy, "defaultAction")), "Deny");
	assert_string_equal(json_string_value(json_array_get(json_object_get(policy, "allow"), 0)), "*.a.example");
	assert_string_equal(json_string_value(json_array_get(json_object_get(policy, "deny"), 0)), "10.0.0.5");
	json_decref(written);
}

/* Written and read back, over other values, it is the same again. */
static void check_round_trip(const struct pool_definition *d, bool is_old_form)
{
	struct pool_record in = { .definition = *d, .location = "x", .tags = "{\"k\":\"v\"}" };
	json_t *json = pool_resource_write(&in, &address, is_old_form);
	struct error err = { 0 };

	assert_non_null(json);
	record = (struct pool_record) { .definition = pool_definition_default(d->name) };
	record.definition.cooldown_s = d->cooldown_s;
	record.definition.max_alive_s = d->max_alive_s;
	if (pool_resource_read(&record, json, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(&record, &in, sizeof(in));
	json_decref(json);
}

static void limits_below_what_will_do_are_raised(void **state)
{
	const struct pool_definition *d =
		read_new("{\"properties\":{\"sessionLimits\":{\"processes\":\"1\",\"disk\":\"1Mi\"}}}");

	(void)state;
	assert_int_equal(d->limits.processes, 64);
	assert_int_equal(d->limits.disk_mib, 16);
	d = read_new("{\"properties\":{\"sessionLimits\":{\"processes\":0,\"disk\":\"0\"}}}");
	assert_int_equal(d->limits.processes, 0);
	assert_int_equal(d->limits.disk_mib, 0);
}

static void what_is_written_reads_back(void **state)
{
	struct pool_definition d = pool_definition_default("aa");

	(void)state;
	check_round_trip(&d, false);
	check_round_trip(&d, true);
	d.container_type = POOL_SHELL;
	d.lifecycle = POOL_MAX_LIFETIME;
	d.max_alive_s = 12345;
	d.max_concurrent_sessions = 1000;
	d.ready_session_instances = 999;
	d.cpu_milli = 250;
	d.limits = (struct pool_session_limits) { .processes = 64,
						  .disk_mib = 48,
						  .execution_s = 9,
						  .output_bytes = 1024,
						  .session_rate = 60,
						  .pool_rate = 600 };
	strcpy(d.template_name, "mine");
	check_round_trip(&d, false);
	check_round_trip(&d, true);
	for (int i = 0; i < 4; i++) {
		struct pool_definition standard = pool_definition_default(POOL_DEFAULT_NAME);

		d.mcp_is_enabled = standard.mcp_is_enabled = i & 1;
		d.mcp_key_is_disabled = standard.mcp_key_is_disabled = i & 2;
		check_round_trip(&d, false);
		check_round_trip(&standard, false);
	}
	for (d.memory_mib = 128; d.memory_mib <= 16384; d.memory_mib++)
		check_round_trip(&d, false);
}

static void the_resource_has_what_clients_look_for(void **state)
{
	struct pool_record in = { .definition = pool_definition_default("aa"), .created_ms = 1731315902486 };
	json_t *json = pool_resource_write(&in, &address, false);
	char *text = json_dumps(json, JSON_COMPACT);

	(void)state;
	assert_non_null(text);
	assert_non_null(
		strstr(text, "\"id\":\"/sessionPools/aa\",\"name\":\"aa\",\"type\":\"Microsoft.App/sessionpools\""));
	assert_non_null(strstr(text, "\"createdAt\":\"2024-11-11T09:05:02.4860000Z\""));
	assert_non_null(strstr(text, "\"mcpServerSettings\":null"));
	assert_non_null(strstr(text, "\"poolManagementEndpoint\":\"http://h:1/sessionPools/aa\""));
	assert_non_null(strstr(text, "{\"lifecycleConfiguration\":{\"lifecycleType\":\"Timed\","
				     "\"cooldownPeriodInSeconds\":300}}"));
	free(text);
	json_decref(json);
	json = pool_resource_write(&in, &address, true);
	text = json_dumps(json, JSON_COMPACT);
	assert_non_null(strstr(text, "{\"executionType\":\"Timed\",\"cooldownPeriodInSeconds\":300}"));
	free(text);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_body_of_az_is_understood),
		cmocka_unit_test(the_form_of_2025_is_understood_in_any_case),
		cmocka_unit_test(an_egress_policy_is_read_and_written),
		cmocka_unit_test(what_is_not_named_stays),
		cmocka_unit_test(a_maximum_limits_the_stock),
		cmocka_unit_test(processors_and_memory_are_rounded_up),
		cmocka_unit_test(wrong_types_and_values_name_the_property),
		cmocka_unit_test(wrong_quantities_are_refused),
		cmocka_unit_test(a_container_is_read_and_written),
		cmocka_unit_test(a_container_may_leave_port_and_snapshot_to_its_image),
		cmocka_unit_test(what_is_no_container_is_refused),
		cmocka_unit_test(many_tags_are_refused),
		cmocka_unit_test(an_identity_is_offered_if_its_lifecycle_says_so),
		cmocka_unit_test(limits_below_what_will_do_are_raised),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(the_resource_has_what_clients_look_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
