/* What hearthd writes down of a session, and reads again: also what somebody else wrote there. */
#include "api/session_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char path[] = "/tmp/test-record-XXXXXX";

static const struct session_record record = {
	.identifier = "a user's = session / with % all",
	.guid = "01234567-89ab-4def-8123-456789abcdef",
	.pool = "default",
	.created_ms = 1795623396543,
	.was_used = true,
	.shape = { 512, 2 },
	.snapshot = "/run/templates/x",
};

static int set_up(void **state)
{
	(void)state;
	return close(mkstemp(path));
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static void what_is_written_is_read(void **state)
{
	struct session_record r;
	struct error err;

	(void)state;
	assert_int_equal(session_record_write(&record, path), 0);
	assert_int_equal(session_record_read(&r, path, &err), 0);
	assert_string_equal(r.identifier, record.identifier);
	assert_string_equal(r.guid, record.guid);
	assert_string_equal(r.pool, record.pool);
	assert_string_equal(r.snapshot, record.snapshot);
	assert_int_equal(r.created_ms, record.created_ms);
	assert_int_equal(r.shape.memory_mib, 512);
	assert_int_equal(r.shape.n_vcpus, 2);
	assert_true(r.was_used);
	assert_false(r.shape.has_network);
}

static void a_network_is_written_where_there_is_one(void **state)
{
	struct session_record networked = record, r;
	struct error err;

	(void)state;
	networked.shape.has_network = true;
	assert_int_equal(session_record_write(&networked, path), 0);
	assert_int_equal(session_record_read(&r, path, &err), 0);
	assert_true(r.shape.has_network);
	assert_int_equal(r.snapshot_inode, 0);
}

static void the_memory_is_written_where_it_is_known(void **state)
{
	struct session_record restored = record, r;
	struct error err;

	(void)state;
	restored.snapshot_inode = INT64_MAX;
	restored.snapshot_changed_ns = -5;
	assert_int_equal(session_record_write(&restored, path), 0);
	assert_int_equal(session_record_read(&r, path, &err), 0);
	assert_true(r.snapshot_inode == INT64_MAX && r.snapshot_changed_ns == -5);
}

static void the_files_time_tells_the_end_of_the_last_execution(void **state)
{
	struct session_record r;
	struct error err;
	int64_t now_ms = (int64_t)time(NULL) * 1000;

	(void)state;
	assert_int_equal(session_record_write(&record, path), 0);
	session_record_touch(path, true);
	assert_int_equal(session_record_read(&r, path, &err), 0);
	assert_true(r.was_busy);
	session_record_touch(path, false);
	assert_int_equal(session_record_read(&r, path, &err), 0);
	assert_false(r.was_busy);
	assert_in_range(r.last_end_ms, now_ms - 2000, now_ms + 5000);
}

static void check_refused(const char *text, size_t size)
{
	struct session_record r;
	struct error err = { 0 };
	FILE *file = fopen(path, "w");

	fwrite(text, 1, size, file);
	fclose(file);
	assert_true(session_record_read(&r, path, &err) < 0);
	assert_true(err.text[0] != '\0');
}

static void what_is_no_record_is_refused(void **state)
{
	char text[8192], cut[8192];
	FILE *file;
	size_t size;

	(void)state;
	assert_int_equal(session_record_write(&record, path), 0);
	file = fopen(path, "r");
	size = fread(text, 1, sizeof(text), file);
	fclose(file);
	/* Each line is needed, and each must be whole. */
	for (size_t n = 0; n + 1 < size; n++)
		if (text[n] == '\n')
			check_refused(text, n);
	for (char *line = text; line < text + size; line = strchr(line, '\n') + 1) {
		size_t before = (size_t)(line - text), length = (size_t)(strchr(line, '\n') - line) + 1;

		memcpy(cut, text, before);
		memcpy(cut + before, line + length, size - before - length);
		check_refused(cut, size - length);
	}
	check_refused("", 0);
	check_refused("format=2\n", 9);
	text[size / 2] = '\0';
	check_refused(text, size);
	memset(text, 'x', sizeof(text));
	check_refused(text, sizeof(text));
}

static void values_out_of_range_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "memory_mib=512", "memory_mib=0" },
		{ "memory_mib=512", "memory_mib=x" },
		{ "vcpus=2", "vcpus=-1" },
		{ "created_ms=1795623396543", "created_ms=99999999999999999999" },
		{ "was_used=1", "was_used=7" },
		{ "identifier=a user's", "identifier=\x01 user's" },
		{ "guid=01234567-89ab", "guid=01234567" },
		{ "pool=default", "pool=" },
	};
	char text[4096], changed[4096];
	FILE *file;
	size_t size;

	(void)state;
	assert_int_equal(session_record_write(&record, path), 0);
	file = fopen(path, "r");
	size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[size] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *at = strstr(text, bad[i][0]);

		assert_non_null(at);
		snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, bad[i][1],
			 at + strlen(bad[i][0]));
		check_refused(changed, strlen(changed));
	}
}

static void a_file_that_is_not_there_is_told(void **state)
{
	struct session_record r;
	struct error err = { 0 };

	(void)state;
	assert_true(session_record_read(&r, "/nonexistent/session", &err) < 0);
	assert_non_null(strstr(err.text, "/nonexistent/session"));
	session_record_touch("/nonexistent/session", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_files_time_tells_the_end_of_the_last_execution),
		cmocka_unit_test(a_network_is_written_where_there_is_one),
		cmocka_unit_test(the_memory_is_written_where_it_is_known),
		cmocka_unit_test(what_is_no_record_is_refused),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(a_file_that_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
