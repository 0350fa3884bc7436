#include "api/image/description.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct image_description image;

static int read_manifest(const char *text, struct error *err)
{
	*err = (struct error) { 0 };
	return image_description_read_manifest(&image, text, strlen(text), err);
}

static json_t *read_config(const char *text, struct error *err)
{
	*err = (struct error) { 0 };
	return image_description_read_config(&image, text, strlen(text), err);
}

static void a_manifest_names_its_blobs(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(read_manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:" A
				       "\"},\"layers\":[{\"digest\":\"sha256:" B "\",\"size\":1}]}",
				       &err),
			 0);
	assert_string_equal(image.config, A);
	assert_int_equal(image.n_layers, 1);
	assert_string_equal(image.layers[0].blob, B);
}

static void what_is_no_manifest_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"[]",
		"{}",
		"{\"schemaVersion\":1}",
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"" A "\"},\"layers\":[{\"digest\":\"sha256:" B "\"}]}",
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:" A "\"},\"layers\":[]}",
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:" A "\"},\"layers\":[{\"digest\":\"sha256:" B
		"b\"}]}",
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:" A
		"\"},\"layers\":[{\"digest\":\"sha256:../b\"}]}",
		"{\"schemaVersion\":2,\"schemaVersion\":2}",
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_manifest(cases[i], &err), -EINVAL);
		assert_true(err.text[0] != '\0');
	}
}

static void a_configuration_is_translated(void **state)
{
	struct error err;
	json_t *config, *expected;

	(void)state;
	image.n_layers = 1;
	config = read_config(
		"{\"os\":\"linux\",\"architecture\":\"amd64\",\"created\":\"now\",\"rootfs\":{\"diff_ids\":[\"sha256:" A
		"\"]},\"config\":{\"Cmd\":[\"x\"],\"Env\":null,\"User\":\"\",\"ExposedPorts\":{\"80/tcp\":{}},"
		"\"Other\":[1]}}",
		&err);
	expected = json_pack("{s:s, s:s, s:s, s:{s:[s], s:[s]}}", "os", "linux", "architecture", "amd64", "createdAt",
			     "now", "config", "cmd", "x", "exposedPorts", "80/tcp");
	assert_true(config && json_equal(config, expected));
	assert_string_equal(image.layers[0].diff_id, A);
	json_decref(config);
	json_decref(expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_names_its_blobs),
		cmocka_unit_test(what_is_no_manifest_is_refused),
		cmocka_unit_test(a_configuration_is_translated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
