/* A template's name changes with everything that its content depends on, and with nothing else. */
#include "api/template_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test-template-XXXXXX";
static char kernel[64], image[64], vmm[64];
static struct microvm_host host;
static struct microvm_shape shape = { .memory_mib = 512, .n_vcpus = 1 };

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void key_of(enum agent_language language, char key[TEMPLATE_KEY_SIZE])
{
	char inputs[TEMPLATE_INPUTS_MAX];
	struct error err;

	assert_int_equal(template_inputs(&host, &shape, language, "", inputs, sizeof(inputs), &err), 0);
	template_key(inputs, key);
	assert_int_equal(strlen(key), TEMPLATE_KEY_SIZE - 1);
	assert_int_equal(strspn(key, "0123456789abcdef"), TEMPLATE_KEY_SIZE - 1);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(kernel, sizeof(kernel), "%s/kernel", folder);
	snprintf(image, sizeof(image), "%s/image", folder);
	snprintf(vmm, sizeof(vmm), "%s/vmm", folder);
	write_file(kernel, "kernel");
	write_file(image, "image");
	write_file(vmm, "vmm");
	host = (struct microvm_host) { .kernel = kernel, .image = image, .vmm = vmm, .kernel_arguments = "" };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(kernel);
	unlink(image);
	unlink(vmm);
	return rmdir(folder);
}

static void the_digest_is_the_published_one(void **state)
{
	char key[TEMPLATE_KEY_SIZE];

	(void)state;
	template_key("", key);
	assert_string_equal(key, "6c62272e07bb014262b821756295c58d");
	template_key("a", key);
	assert_string_equal(key, "d228cb696f1a8caf78912b704e4a8964");
	template_key("foobar", key);
	assert_string_equal(key, "343e1662793c64bf6f0d3597ba446f18");
}

static void the_same_inputs_give_the_same_key(void **state)
{
	char one[TEMPLATE_KEY_SIZE], two[TEMPLATE_KEY_SIZE];

	(void)state;
	key_of(AGENT_PYTHON, one);
	key_of(AGENT_PYTHON, two);
	assert_string_equal(one, two);
}

static void each_input_changes_the_key(void **state)
{
	char keys[8][TEMPLATE_KEY_SIZE];
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000 } };
	char fresh[80];

	(void)state;
	key_of(AGENT_PYTHON, keys[0]);
	key_of(AGENT_NODE, keys[1]);
	shape.memory_mib++;
	key_of(AGENT_PYTHON, keys[2]);
	shape.n_vcpus++;
	key_of(AGENT_PYTHON, keys[3]);
	host.kernel_arguments = "quiet";
	key_of(AGENT_PYTHON, keys[4]);
	write_file(kernel, "kernel of another size");
	key_of(AGENT_PYTHON, keys[5]);
	assert_int_equal(utimensat(AT_FDCWD, vmm, times, 0), 0);
	key_of(AGENT_PYTHON, keys[6]);
	/* Another file of the same size and time at the same place. */
	snprintf(fresh, sizeof(fresh), "%s.new", vmm);
	write_file(fresh, "vmm");
	assert_int_equal(utimensat(AT_FDCWD, fresh, times, 0), 0);
	assert_int_equal(rename(fresh, vmm), 0);
	key_of(AGENT_PYTHON, keys[7]);
	for (int i = 0; i < 8; i++)
		for (int n = 0; n < i; n++)
			assert_string_not_equal(keys[i], keys[n]);
}

static void what_a_container_is_started_from_changes_the_key(void **state)
{
	static const char *const containers[] = { "", "container_image=a\n", "container_image=b\n" };
	char keys[3][TEMPLATE_KEY_SIZE], inputs[TEMPLATE_INPUTS_MAX], much[TEMPLATE_INPUTS_MAX + 1];
	struct error err;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			template_inputs(&host, &shape, AGENT_PYTHON, containers[i], inputs, sizeof(inputs), &err), 0);
		assert_non_null(strstr(inputs, containers[i]));
		template_key(inputs, keys[i]);
		for (int n = 0; n < i; n++)
			assert_string_not_equal(keys[i], keys[n]);
	}
	/* Nothing is cut off, so that what differs at its end has another key. */
	memset(much, 'x', sizeof(much) - 1);
	much[sizeof(much) - 1] = '\0';
	assert_int_equal(template_inputs(&host, &shape, AGENT_PYTHON, much, inputs, sizeof(inputs), &err), -E2BIG);
}

static void a_file_that_is_not_there_is_told(void **state)
{
	char inputs[TEMPLATE_INPUTS_MAX];
	struct error err;

	(void)state;
	host.image = "/nonexistent/image";
	assert_true(template_inputs(&host, &shape, AGENT_PYTHON, "", inputs, sizeof(inputs), &err) < 0);
	assert_non_null(strstr(err.text, "/nonexistent/image"));
	host.image = image;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_digest_is_the_published_one),
		cmocka_unit_test(the_same_inputs_give_the_same_key),
		cmocka_unit_test(each_input_changes_the_key),
		cmocka_unit_test(what_a_container_is_started_from_changes_the_key),
		cmocka_unit_test(a_file_that_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
