/* What a container is started from: images in a folder as `hearth image` makes it, and pools as requests make them. */
#include "api/container_spec.h"
#include "api/image/store.h"
#include "api/json.h"
#include "api/pool_resource.h"
#include "api/signal_name.h"
#include "common/agent_container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_1      "1111111111111111111111111111111111111111111111111111111111111111"
#define KEY_2      "2222222222222222222222222222222222222222222222222222222222222222"
#define KEY_3      "3333333333333333333333333333333333333333333333333333333333333333"
#define LAYER(key) "{\"file\":\"" key ".erofs\"}"

/* A pool's template and an image's configuration that another part is put into. */
#define POOL(container) "{\"containers\":[{\"image\":\"app:1\"" container "}],\"ingress\":{\"targetPort\":8080}}"
#define CONFIG(more)    "{\"entrypoint\":[\"/app\"]" more "}"

static char folder[] = "/tmp/test-container-spec-XXXXXX";
static char image_folder[64];
static struct pool_record record;
static struct agent_container started;

/* ---- the folder with images -------------------------------------------------------------------------------------- */

static void add_layer(const struct image_store *store, const struct image_work *work, const char *key)
{
	char path[PATH_MAX + 16];
	FILE *file;

	snprintf(path, sizeof(path), "%s/layer.erofs", work->folder);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(key, file);
	fclose(file);
	assert_int_equal(image_store_keep_layer(store, path, key), 0);
}

/* Keeps an image as an import does. */
static void import_image(const char *name, const char *digest, const char *stack, const char *config)
{
	json_t *image = json_pack("{s:s, s:s, s:o, s:o}", "name", name, "digest", digest, "stack",
				  json_loads(stack, 0, NULL), "config", json_loads(config, 0, NULL));
	static const char *const keys[] = { KEY_1, KEY_2, KEY_3 };
	struct image_store store;
	struct image_work work;
	struct error err;

	assert_non_null(image);
	assert_int_equal(image_store_open(&store, image_folder, false, &err), 0);
	assert_int_equal(image_work_begin(&work, &store, &err), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strstr(stack, keys[i]))
			add_layer(&store, &work, keys[i]);
	assert_int_equal(image_work_keep_image(&work, &store, name, image, &err), 0);
	image_work_end(&work);
	image_store_close(&store);
	json_decref(image);
}

static struct image_pruned prune(void)
{
	struct image_pruned pruned;
	struct image_store store;
	struct error err;

	assert_int_equal(image_store_open(&store, image_folder, true, &err), 0);
	assert_int_equal(image_store_prune(&store, &pruned, &err), 0);
	image_store_close(&store);
	return pruned;
}

static void remove_image(const char *name)
{
	struct image_store store;
	struct error err;

	assert_int_equal(image_store_open(&store, image_folder, false, &err), 0);
	assert_int_equal(image_store_remove(&store, name, &err), 0);
	image_store_close(&store);
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

static const struct pool_definition *define(const char *template)
{
	char text[8192];
	struct error err = { 0 };
	json_t *resource;

	record = (struct pool_record) { .definition = pool_definition_default("aa") };
	snprintf(text, sizeof(text),
		 "{\"properties\":{\"containerType\":\"CustomContainer\",\"secrets\":[{\"name\":\"key\",\"value\":"
		 "\"hidden value\"}],\"customContainerTemplate\":%s}}",
		 template);
	resource = json_parse(text, strlen(text), &err);
	if (!resource || pool_resource_read(&record, resource, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	json_decref(resource);
	return &record.definition;
}

/* What becomes of that image in that pool; the caller's. */
static struct container_spec *make(const char *template, const char *config)
{
	struct container_spec *spec;
	struct error err = { 0 };
	const void *body;
	size_t size;

	import_image("app:1", "sha256:aa", "[" LAYER(KEY_1) "," LAYER(KEY_2) "]", config);
	spec = container_spec_make(define(template), image_folder, &err);
	if (!spec)
		fail_msg("%s, %s: %s", template, config, err.text);
	body = container_spec_start(spec, &size);
	assert_null(agent_container_decode(body, size, &started));
	return spec;
}

/* Makes it for what is in `started`, which stays until the next call. */
static void start(const char *template, const char *config)
{
	static struct container_spec *last;

	container_spec_release(last);
	last = NULL;
	if (template)
		last = make(template, config);
}

static void check_error(const char *template, const char *config, const char *part)
{
	struct error err = { 0 };

	import_image("app:1", "sha256:aa", "[" LAYER(KEY_1) "]", config);
	if (container_spec_make(define(template), image_folder, &err))
		fail_msg("taken: %s, %s", template, config);
	assert_int_equal(err.code, EINVAL);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void check_texts(const char *const *texts, uint32_t n, const char *expected)
{
	char text[1024] = "";

	for (uint32_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", texts[i]);
	assert_string_equal(text, expected);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void an_image_and_a_pool_make_a_start(void **state)
{
	struct container_spec *spec = make(
		POOL(",\"env\":[{\"name\":\"MODE\",\"value\":\"fast\"},{\"name\":\"KEY\",\"secretRef\":\"key\"},{"
		     "\"name\":\"EMPTY\"}]"),
		CONFIG(",\"cmd\":[\"--serve\",\"\"],\"env\":[\"PATH=/bin\",\"MODE=slow\",\"ODD\",\"=x\",\"MODE2=a=b\"],"
		       "\"user\":\"1000:web\",\"workingDirectory\":\"/srv\",\"stopSignal\":\"SIGINT\","
		       "\"exposedPorts\":[\"9000/tcp\"]"));
	char path[PATH_MAX];
	struct stat status;

	(void)state;
	assert_string_equal(container_spec_image(spec), "app:1");
	assert_int_equal(container_spec_n_disks(spec), 2);
	snprintf(path, sizeof(path), "%s/layers/%s.erofs", image_folder, KEY_1);
	assert_string_equal(container_spec_disk(spec, 0), path);
	assert_int_equal(stat(container_spec_disk(spec, 1), &status), 0);
	assert_int_equal(started.target_port, 8080);
	assert_false(container_spec_is_held(spec));
	assert_int_equal(started.n_disks, 2);
	assert_int_equal(started.flags, 0);
	assert_int_equal(started.stop_signal, SIGINT);
	assert_int_equal(started.target_port, 8080);
	assert_string_equal(started.user, "1000:web");
	assert_string_equal(started.directory, "/srv");
	assert_int_equal(started.n_probes, 0);
	check_texts(started.arguments, started.n_arguments, "/app --serve ");
	check_texts(started.variables, started.n_variables, "PATH=/bin MODE=fast MODE2=a=b KEY=hidden value EMPTY=");
	container_spec_release(container_spec_hold(spec));
	assert_string_equal(container_spec_image(spec), "app:1");
	container_spec_release(spec);
	container_spec_release(NULL);
}

static void a_command_replaces_what_the_image_runs(void **state)
{
	static const char *const cases[][3] = {
		{ "", "{\"entrypoint\":[\"/e\"],\"cmd\":[\"c\"]}", "/e c" },
		{ "", "{\"cmd\":[\"/c\",\"d\"]}", "/c d" },
		{ ",\"command\":[],\"args\":[]", "{\"entrypoint\":[\"/e\"],\"cmd\":[\"c\"]}", "/e c" },
		{ ",\"args\":[\"a\"]", "{\"entrypoint\":[\"/e\"],\"cmd\":[\"c\"]}", "/e a" },
		{ ",\"command\":[\"/o\"]", "{\"entrypoint\":[\"/e\"],\"cmd\":[\"c\"]}", "/o" },
		{ ",\"command\":[\"/o\",\"p\"],\"args\":[\"a\",\"b\"]", "{\"entrypoint\":[\"/e\"],\"cmd\":[\"c\"]}",
		  "/o p a b" },
		{ ",\"args\":[\"/a\"]", "{}", "/a" },
	};
	char template[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(template, sizeof(template), POOL("%s"), cases[i][0]);
		start(template, cases[i][1]);
		check_texts(started.arguments, started.n_arguments, cases[i][2]);
	}
	check_error(POOL(""), "{}", "'command'");
	check_error(POOL(""), "{\"entrypoint\":[\"\"]}", "'command'");
	start(NULL, NULL);
}

static void what_an_image_leaves_open(void **state)
{
	(void)state;
	start(POOL(""), CONFIG(""));
	assert_int_equal(started.stop_signal, SIGTERM);
	assert_string_equal(started.user, "");
	assert_string_equal(started.directory, "");
	assert_int_equal(started.n_variables, 0);
	start(POOL(""), CONFIG(",\"workingDirectory\":\"srv\""));
	assert_string_equal(started.directory, "/srv");
	start(NULL, NULL);
}

static void signals_have_names(void **state)
{
	(void)state;
	assert_int_equal(signal_from_name("SIGTERM"), SIGTERM);
	assert_int_equal(signal_from_name("term"), SIGTERM);
	assert_int_equal(signal_from_name("15"), 15);
	assert_int_equal(signal_from_name("SIGQUIT"), SIGQUIT);
	assert_int_equal(signal_from_name("SIGWINCH"), SIGWINCH);
	assert_int_equal(signal_from_name("SIGIO"), SIGIO);
	assert_int_equal(signal_from_name("SIGRTMIN"), 34);
	assert_int_equal(signal_from_name("SIGRTMIN+3"), 37);
	assert_int_equal(signal_from_name("SIGRTMAX-1"), 63);
	assert_int_equal(signal_from_name("64"), 64);
	for (const char *const *none = (const char *const[]) { "", "0", "65", "-1", "SIG", "SIGNONE", "SIGRTMIN+31",
							       "SIGRTMIN-1", "SIGRTMIN+", "RTMAX-31", "15 ", NULL };
	     *none; none++)
		assert_int_equal(signal_from_name(*none), 0);
	check_error(POOL(""), CONFIG(",\"stopSignal\":\"SIGNONE\""), "'SIGNONE'");
}

static void a_port_comes_of_the_pool_or_of_the_image(void **state)
{
	(void)state;
	start("{\"containers\":[{\"image\":\"app:1\"}]}", CONFIG(",\"exposedPorts\":[\"53/udp\",\"9000/tcp\"]"));
	assert_int_equal(started.target_port, 9000);
	start("{\"containers\":[{\"image\":\"app:1\"}],\"ingress\":{}}", CONFIG(",\"exposedPorts\":[\"80\"]"));
	assert_int_equal(started.target_port, 80);
	check_error("{\"containers\":[{\"image\":\"app:1\"}]}", CONFIG(""), "'ingress.targetPort'");
	check_error("{\"containers\":[{\"image\":\"app:1\"}]}", CONFIG(",\"exposedPorts\":[\"80/tcp\",\"81/tcp\"]"),
		    "'ingress.targetPort'");
	check_error("{\"containers\":[{\"image\":\"app:1\"}]}", CONFIG(",\"exposedPorts\":[\"80-81\",\"99999/tcp\"]"),
		    "'ingress.targetPort'");
	check_error("{\"containers\":[{\"image\":\"app:1\"}]}", CONFIG(",\"exposedPorts\":[\"1026\"]"), "1026");
	check_error("{\"containers\":[{\"image\":\"app:1\"}],\"ingress\":{\"targetPort\":1026}}", CONFIG(""), "1026");
	start(NULL, NULL);
}

static void probes_are_as_kubernetes_has_them(void **state)
{
	const struct agent_probe *probe = started.probes;

	(void)state;
	start(POOL(",\"probes\":[{\"type\":\"Readiness\",\"httpGet\":{\"path\":\"health?x=1\",\"port\":81,\"scheme\":"
		   "\"http\",\"httpHeaders\":[{\"name\":\"X-A\",\"value\":\"b c\"}]},\"initialDelaySeconds\":1,"
		   "\"periodSeconds\":2,\"timeoutSeconds\":3,\"successThreshold\":4,\"failureThreshold\":5},"
		   "{\"type\":\"Liveness\",\"tcpSocket\":{\"port\":82}},{\"type\":\"Startup\",\"httpGet\":{\"port\":83}"
		   "}]"),
	      CONFIG(""));
	assert_int_equal(started.n_probes, 3);
	assert_int_equal(probe->kind, AGENT_PROBE_READINESS);
	assert_int_equal(probe->action, AGENT_PROBE_HTTP);
	assert_int_equal(probe->port, 81);
	assert_string_equal(probe->path, "/health?x=1");
	check_texts(probe->headers, probe->n_headers, "X-A: b c");
	assert_int_equal(probe->initial_delay_ms, 1000);
	assert_int_equal(probe->period_ms, 2000);
	assert_int_equal(probe->timeout_ms, 3000);
	assert_int_equal(probe->success_threshold, 4);
	assert_int_equal(probe->failure_threshold, 5);
	probe++;
	assert_int_equal(probe->kind, AGENT_PROBE_LIVENESS);
	assert_int_equal(probe->action, AGENT_PROBE_TCP);
	assert_int_equal(probe->port, 82);
	assert_int_equal(probe->initial_delay_ms, 0);
	assert_int_equal(probe->period_ms, 10000);
	assert_int_equal(probe->timeout_ms, 1000);
	assert_int_equal(probe->success_threshold, 1);
	assert_int_equal(probe->failure_threshold, 3);
	probe++;
	assert_int_equal(probe->kind, AGENT_PROBE_STARTUP);
	assert_string_equal(probe->path, "/");
	start(NULL, NULL);
}

static void probes_that_cannot_be(void **state)
{
	static const char *const cases[][2] = {
		{ "{\"type\":\"Startup\",\"tcpSocket\":{\"port\":1}},{\"type\":\"startup\",\"tcpSocket\":{\"port\":2}}",
		  "two Startup probes" },
		{ "{\"type\":\"Startup\",\"httpGet\":{\"port\":1,\"scheme\":\"HTTPS\"}}", "'scheme'" },
		{ "{\"type\":\"Liveness\",\"tcpSocket\":{\"port\":1},\"successThreshold\":2}", "'successThreshold'" },
		{ "{\"type\":\"Startup\",\"httpGet\":{\"port\":1026}}", "1026" },
		{ "{\"type\":\"Startup\",\"httpGet\":{\"port\":1,\"path\":\"/a b\"}}", "path" },
		{ "{\"type\":\"Startup\",\"httpGet\":{\"port\":1,\"httpHeaders\":[{\"name\":\"A\",\"value\":\"b\\r\\nC:"
		  " "
		  "d\"}]}}",
		  "header" },
	};
	char template[2048], headers[1024] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(template, sizeof(template), POOL(",\"probes\":[%s]"), cases[i][0]);
		check_error(template, CONFIG(""), cases[i][1]);
	}
	for (int i = 0; i < AGENT_PROBE_HEADERS_MAX + 1; i++)
		strcat(headers, i ? ",{\"name\":\"A\",\"value\":\"b\"}" : "{\"name\":\"A\",\"value\":\"b\"}");
	snprintf(template, sizeof(template),
		 POOL(",\"probes\":[{\"type\":\"Startup\",\"httpGet\":{\"port\":1,\"httpHeaders\":[%s]}}]"), headers);
	check_error(template, CONFIG(""), "'httpHeaders'");
}

static void a_pool_says_when_the_snapshot_is_taken(void **state)
{
	static const struct {
		const char *pool;
		const char *labels;
		uint32_t flags;
	} cases[] = {
		{ "", "{}", 0 },
		{ "\"snapshot\":\"Running\",", "{}", 0 },
		{ "\"snapshot\":\"beforeentrypoint\",", "{}", AGENT_CONTAINER_HOLD },
		{ "", "{\"hearth.snapshot\":\"before-entrypoint\"}", AGENT_CONTAINER_HOLD },
		{ "", "{\"hearth.snapshot\":\"running\",\"hearth.init\":\"false\"}", 0 },
		{ "\"snapshot\":null,", "{\"hearth.snapshot\":\"before-entrypoint\"}", AGENT_CONTAINER_HOLD },
		{ "\"snapshot\":\"Running\",", "{\"hearth.snapshot\":\"before-entrypoint\",\"hearth.init\":\"true\"}",
		  AGENT_CONTAINER_INIT },
	};
	char template[512], config[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct container_spec *spec;

		snprintf(template, sizeof(template),
			 "{%s\"containers\":[{\"image\":\"app:1\"}],\"ingress\":{\"targetPort\":80}}", cases[i].pool);
		snprintf(config, sizeof(config), CONFIG(",\"labels\":%s"), cases[i].labels);
		spec = make(template, config);
		assert_int_equal(started.flags, cases[i].flags);
		assert_int_equal(container_spec_is_held(spec), cases[i].flags == AGENT_CONTAINER_HOLD);
		container_spec_release(spec);
	}
	check_error(POOL(""), CONFIG(",\"labels\":{\"hearth.snapshot\":\"later\"}"), "hearth.snapshot=later");
	check_error(POOL(""), CONFIG(",\"labels\":{\"hearth.init\":\"1\"}"), "hearth.init=1");
}

static void names_are_what_import_makes_of_them(void **state)
{
	struct container_spec *spec;
	struct error err = { 0 };

	(void)state;
	import_image("host:5000/team/app:latest", "sha256:bb", "[" LAYER(KEY_3) "]", CONFIG(""));
	spec = container_spec_make(
		define("{\"containers\":[{\"image\":\"host:5000/team/app\"}],\"ingress\":{\"targetPort\":80}}"),
		image_folder, &err);
	assert_non_null(spec);
	assert_string_equal(container_spec_image(spec), "host:5000/team/app:latest");
	container_spec_release(spec);
	remove_image("host:5000/team/app:latest");
	spec = container_spec_make(
		define("{\"containers\":[{\"image\":\"none/such\"}],\"ingress\":{\"targetPort\":80}}"), image_folder,
		&err);
	assert_null(spec);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "There is no image 'none/such': import it with `hearth image import none/such`.");
	spec = container_spec_make(
		define("{\"containers\":[{\"image\":\"../../etc/passwd\"}],\"ingress\":{\"targetPort\":80}}"),
		image_folder, &err);
	assert_null(spec);
	assert_int_equal(err.code, EINVAL);
}

static void an_image_that_cannot_be_stacked(void **state)
{
	struct error err = { 0 };
	char path[PATH_MAX];
	const struct pool_definition *d;

	(void)state;
	d = define(POOL(""));
	import_image("app:1", "sha256:aa",
		     "[" LAYER(KEY_1) "," LAYER(KEY_1) "," LAYER(KEY_1) "," LAYER(KEY_1) "," LAYER(KEY_1) "," LAYER(
			     KEY_1) "," LAYER(KEY_1) "," LAYER(KEY_1) "]",
		     CONFIG(""));
	assert_null(container_spec_make(d, image_folder, &err));
	assert_int_equal(err.code, EINVAL);
	import_image("app:1", "sha256:aa", "[{\"file\":\"../images/app%3A1.json\"}]", CONFIG(""));
	assert_null(container_spec_make(d, image_folder, &err));
	assert_int_equal(err.code, ENOENT);
	import_image("app:1", "sha256:aa", "[" LAYER(KEY_1) "]", CONFIG(""));
	snprintf(path, sizeof(path), "%s/layers/%s.erofs", image_folder, KEY_1);
	unlink(path);
	assert_null(container_spec_make(d, image_folder, &err));
	assert_int_equal(err.code, ENOENT);
	assert_non_null(strstr(err.text, "import it again"));
}

/* An image's configuration may be as large as 4 MiB. */
static void what_is_too_large_for_a_start(void **state)
{
	static const struct {
		size_t count;
		size_t size;
	} cases[] = { { 1025, 2 }, { 1, 128 << 10 }, { 1000, 2000 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *env = json_array(), *config;
		char *text = malloc(cases[i].size + 32), *json;

		for (size_t n = 0; n < cases[i].count; n++) {
			int length = sprintf(text, "V%zu=", n);

			memset(text + length, 'x', cases[i].size);
			text[(size_t)length + cases[i].size] = '\0';
			json_array_append_new(env, json_string(text));
		}
		config = json_pack("{s:[s], s:o}", "entrypoint", "/app", "env", env);
		json = json_dumps(config, 0);
		check_error(POOL(""), json, "large");
		free(json);
		json_decref(config);
		free(text);
	}
}

static void the_inputs_change_with_what_they_are_made_of(void **state)
{
	static const char *const templates[] = {
		POOL(""),
		POOL(",\"env\":[{\"name\":\"A\",\"secretRef\":\"key\"}]"),
		POOL(",\"env\":[{\"name\":\"A\",\"value\":\"hidden valuf\"}]"),
		POOL(",\"args\":[\"x\"]"),
	};
	struct container_spec *specs[sizeof(templates) / sizeof(templates[0])], *again, *imported;
	size_t n = sizeof(specs) / sizeof(specs[0]), size;
	struct error err = { 0 };
	const void *body;

	(void)state;
	for (size_t i = 0; i < n; i++)
		specs[i] = make(templates[i], CONFIG(""));
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
			assert_int_equal(container_spec_equal(specs[i], specs[j]), i == j);
	body = container_spec_start(specs[1], &size);
	assert_non_null(memmem(body, size, "hidden value", 12));
	assert_null(strstr(container_spec_inputs(specs[1]), "hidden"));
	assert_non_null(strstr(container_spec_inputs(specs[0]), "container_image=sha256:aa\ncontainer_disk=" KEY_1
								"\ncontainer_disk=" KEY_2 "\ncontainer_start="));
	again = make(templates[0], CONFIG(""));
	assert_true(container_spec_equal(specs[0], again));
	assert_string_equal(container_spec_inputs(specs[0]), container_spec_inputs(again));
	import_image("app:1", "sha256:cc", "[" LAYER(KEY_1) "," LAYER(KEY_2) "]", CONFIG(""));
	imported = container_spec_make(define(templates[0]), image_folder, &err);
	assert_non_null(imported);
	assert_false(container_spec_equal(specs[0], imported));
	assert_false(container_spec_equal(specs[0], NULL));
	assert_true(container_spec_equal(NULL, NULL));
	container_spec_release(imported);
	container_spec_release(again);
	for (size_t i = 0; i < n; i++)
		container_spec_release(specs[i]);
}

static void what_is_held_is_not_pruned(void **state)
{
	struct container_spec *spec = make(POOL(""), CONFIG(""));
	struct image_pruned pruned;
	char path[PATH_MAX];

	(void)state;
	import_image("other", "sha256:dd", "[" LAYER(KEY_3) "]", CONFIG(""));
	prune();
	remove_image("app:1");
	remove_image("other");
	pruned = prune();
	assert_int_equal(pruned.n_held, 2);
	assert_int_equal(pruned.n_files, 1);
	assert_int_equal(access(container_spec_disk(spec, 0), F_OK), 0);
	assert_int_equal(access(container_spec_disk(spec, 1), F_OK), 0);
	snprintf(path, sizeof(path), "%s", container_spec_disk(spec, 0));
	container_spec_release(spec);
	pruned = prune();
	assert_int_equal(pruned.n_held, 0);
	assert_int_equal(pruned.n_files, 2);
	assert_true(pruned.n_bytes > 0);
	assert_int_equal(access(path, F_OK), -1);
}

/* ---- the folder of the tests ------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(image_folder, sizeof(image_folder), "%s/images", folder);
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status;
	(void)type;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_and_a_pool_make_a_start),
		cmocka_unit_test(a_command_replaces_what_the_image_runs),
		cmocka_unit_test(what_an_image_leaves_open),
		cmocka_unit_test(signals_have_names),
		cmocka_unit_test(a_port_comes_of_the_pool_or_of_the_image),
		cmocka_unit_test(probes_are_as_kubernetes_has_them),
		cmocka_unit_test(probes_that_cannot_be),
		cmocka_unit_test(a_pool_says_when_the_snapshot_is_taken),
		cmocka_unit_test(names_are_what_import_makes_of_them),
		cmocka_unit_test(an_image_that_cannot_be_stacked),
		cmocka_unit_test(what_is_too_large_for_a_start),
		cmocka_unit_test(the_inputs_change_with_what_they_are_made_of),
		cmocka_unit_test(what_is_held_is_not_pruned),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
