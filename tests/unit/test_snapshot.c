/* Snapshots on disk: written, linked into chains, opened, removed. What the files hold does not matter here. */
#include "api/snapshot.h"

#include "api/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uv_loop_t loop;
static char root[] = "/tmp/test-snapshot-XXXXXX";
static const struct snapshot_machine machine = { .shape = { 512, 2 }, .disk = "/an/image inode=1" };

static int set_up(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	assert_non_null(mkdtemp(root));
	return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
	(void)state;
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return rmdir(root); /* nothing was left in it */
}

static void path_of(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", root, name);
}

static bool exists(const char *folder, const char *name)
{
	char path[SNAPSHOT_PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return access(path, F_OK) == 0;
}

/* Writes one over `parent` whose memory file holds `text`, and opens it: temporary. */
static struct snapshot *make(const struct snapshot *parent, const char *name, const char *text)
{
	struct snapshot_writer w;
	struct error err = { 0 };
	struct snapshot *s;
	char path[128];

	path_of(path, name);
	assert_int_equal(snapshot_writer_open(&w, root, parent, &machine, &err), 0);
	assert_int_equal(write(w.memory_fd, text, strlen(text)), strlen(text));
	assert_int_equal(snapshot_writer_commit(&w, &loop, path, &err), 0);
	s = snapshot_open(&loop, path, &err);
	assert_non_null(s);
	s->is_temporary = true;
	return s;
}

static void check_layer(const struct snapshot *s, unsigned int layer, const char *text)
{
	char path[SNAPSHOT_PATH_MAX + 32], found[64] = "";
	FILE *file;

	snapshot_memory_path(s, layer, path, sizeof(path));
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(found, sizeof(found), file));
	fclose(file);
	assert_string_equal(found, text);
}

static void what_is_written_can_be_opened(void **state)
{
	struct snapshot *s = make(NULL, "one", "memory");

	(void)state;
	assert_int_equal(s->n_layers, 1);
	assert_int_equal(s->machine.shape.memory_mib, 512);
	assert_int_equal(s->machine.shape.n_vcpus, 2);
	assert_string_equal(s->machine.disk, machine.disk);
	assert_false(s->has_working_set);
	check_layer(s, 0, "memory");
	snapshot_release(s);
}

static void one_folder_is_one_snapshot(void **state)
{
	struct snapshot *s = make(NULL, "one", "memory");
	struct error err = { 0 };
	char path[128];

	(void)state;
	path_of(path, "one");
	assert_ptr_equal(snapshot_open(&loop, path, &err), s);
	assert_int_equal(s->n_holders, 2);
	snapshot_release(s);
	assert_ptr_equal(snapshot_find_open(path), s);
	snapshot_release(s);
	assert_null(snapshot_find_open(path));
}

static void a_chain_stands_without_its_parents(void **state)
{
	struct snapshot *base = make(NULL, "base", "lowest");
	struct snapshot *middle = make(base, "middle", "between");
	struct snapshot *top;

	(void)state;
	snapshot_release(base);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_false(exists(root, "base"));
	top = make(middle, "top", "highest");
	snapshot_release(middle);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(top->n_layers, 3);
	check_layer(top, 0, "lowest");
	check_layer(top, 1, "between");
	check_layer(top, 2, "highest");
	snapshot_release(top);
}

static void a_chain_has_an_end(void **state)
{
	struct snapshot *s = make(NULL, "0", "0"), *next;
	struct snapshot_writer w;
	struct error err = { 0 };

	(void)state;
	for (int i = 1; i < SNAPSHOT_LAYERS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		next = make(s, name, name);
		snapshot_release(s);
		s = next;
	}
	assert_int_equal(s->n_layers, SNAPSHOT_LAYERS_MAX);
	assert_int_equal(snapshot_writer_open(&w, root, s, &machine, &err), -EMLINK);
	assert_non_null(strstr(err.text, "chain of 8 snapshots"));
	snapshot_release(s);
}

static void a_name_is_given_once(void **state)
{
	struct snapshot *s = make(NULL, "one", "first");
	struct snapshot_writer w;
	struct error err = { 0 };
	char path[128];

	(void)state;
	path_of(path, "one");
	assert_int_equal(snapshot_writer_open(&w, root, NULL, &machine, &err), 0);
	assert_int_equal(snapshot_writer_commit(&w, &loop, path, &err), -EEXIST);
	check_layer(s, 0, "first");
	snapshot_release(s);
}

static void a_file_that_somebody_may_go_on_writing_is_refused(void **state)
{
	struct snapshot_writer w;
	struct error err = { 0 };
	char path[128];
	void *mapping;
	int kept;

	(void)state;
	path_of(path, "kept");
	assert_int_equal(snapshot_writer_open(&w, root, NULL, &machine, &err), 0);
	kept = dup(w.memory_fd);
	assert_int_equal(snapshot_writer_commit(&w, &loop, path, &err), -EBUSY);
	assert_non_null(strstr(err.text, "keeps the snapshot's memory open"));
	assert_int_equal(access(path, F_OK), -1);
	close(kept);

	assert_int_equal(snapshot_writer_open(&w, root, NULL, &machine, &err), 0);
	assert_int_equal(ftruncate(w.memory_fd, 4096), 0);
	mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, w.memory_fd, 0);
	assert_ptr_not_equal(mapping, MAP_FAILED);
	assert_int_equal(snapshot_writer_commit(&w, &loop, path, &err), -EBUSY);
	munmap(mapping, 4096);
}

static void what_was_given_up_goes(void **state)
{
	struct snapshot_writer w;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(snapshot_writer_open(&w, root, NULL, &machine, &err), 0);
	assert_true(snapshot_is_unfinished(strrchr(w.folder, '/') + 1));
	snapshot_writer_abort(&w, &loop);
	snapshot_writer_abort(&w, &loop);
}

static void a_snapshot_in_use_is_removed_later_and_can_be_renamed(void **state)
{
	struct snapshot *s = make(NULL, "one", "memory");
	char path[128], other[128];

	(void)state;
	path_of(path, "one");
	path_of(other, "other");
	s->is_temporary = false;
	assert_int_equal(snapshot_rename(path, other), 0);
	check_layer(s, 0, "memory");
	snapshot_remove(&loop, other);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(exists(root, "other"));
	snapshot_release(s);
}

static void what_is_not_whole_is_refused(void **state)
{
	static const char *const missing[] = { "state", "memory", "machine" };

	(void)state;
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		struct snapshot *s = make(NULL, "one", "memory");
		struct error err = { 0 };
		char folder[128], path[160];

		path_of(folder, "one");
		s->is_temporary = false;
		snapshot_release(s);
		snprintf(path, sizeof(path), "%s/%s", folder, missing[i]);
		unlink(path);
		assert_null(snapshot_open(&loop, folder, &err));
		assert_non_null(strstr(err.text, "no whole snapshot"));
		assert_int_equal(folder_remove(folder), 0);
	}
}

static void a_machine_file_that_makes_no_sense_is_refused(void **state)
{
	static const char *const texts[] = { "", "memory_mib=512\nvcpus=1\n", "memory_mib=0\nvcpus=1\ndisk=x\n",
					     "memory_mib=512\nvcpus=nothing\ndisk=x\n" };
	struct snapshot *s = make(NULL, "one", "memory");
	char folder[128], path[160];

	(void)state;
	path_of(folder, "one");
	s->is_temporary = false;
	snapshot_release(s);
	snprintf(path, sizeof(path), "%s/machine", folder);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct error err = { 0 };
		FILE *file = fopen(path, "w");

		fputs(texts[i], file);
		fclose(file);
		assert_null(snapshot_open(&loop, folder, &err));
	}
	assert_int_equal(folder_remove(folder), 0);
}

/* ---- disks ------------------------------------------------------------------------------------------------------- */

static void write_disk(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* One with these files as its disks. */
static struct snapshot *make_with_disks(const char *name, const char *const *paths, unsigned int n)
{
	struct snapshot_writer w;
	struct error err = { 0 };
	struct snapshot *s;
	char path[128];

	path_of(path, name);
	assert_int_equal(snapshot_writer_open(&w, root, NULL, &machine, &err), 0);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(snapshot_writer_add_disk(&w, i, paths[i]), 0);
	assert_int_equal(snapshot_writer_commit(&w, &loop, path, &err), 0);
	s = snapshot_open(&loop, path, &err);
	assert_non_null(s);
	assert_int_equal(s->n_disks, n);
	s->is_temporary = true;
	return s;
}

/* A symbolic link or not; and what it leads to. */
static void check_disk(const struct snapshot *s, unsigned int i, bool is_symbolic, const char *text)
{
	char path[SNAPSHOT_PATH_MAX + 32], found[64] = "";
	struct stat status;
	FILE *file;

	snapshot_disk_path(s, i, path, sizeof(path));
	assert_int_equal(lstat(path, &status), 0);
	assert_int_equal(S_ISLNK(status.st_mode), is_symbolic);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(found, sizeof(found), file));
	fclose(file);
	assert_string_equal(found, text);
}

static void disks_stay_without_their_files(void **state)
{
	char one[128], two[128];
	const char *const paths[] = { one, two };
	struct snapshot *s, *child;

	(void)state;
	path_of(one, "layer1");
	path_of(two, "layer2");
	write_disk(one, "lower");
	write_disk(two, "upper");
	s = make_with_disks("with", paths, 2);
	unlink(one);
	unlink(two);
	check_disk(s, 0, false, "lower");
	check_disk(s, 1, false, "upper");
	/* A child has them too, also when its parent has gone. */
	child = make(s, "child", "memory");
	assert_int_equal(child->n_disks, 2);
	snapshot_release(s);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_false(exists(root, "with"));
	check_disk(child, 0, false, "lower");
	check_disk(child, 1, false, "upper");
	snapshot_release(child);
}

/* /dev/shm is another file system than /tmp. */
static void disks_elsewhere_are_linked_by_name(void **state)
{
	char elsewhere[] = "/dev/shm/test-snapshot-XXXXXX", detour[128];
	const char *const paths[] = { detour };
	struct snapshot_writer w;
	struct error err = { 0 };
	struct snapshot *s, *child;
	struct stat here, there;
	int fd = mkstemp(elsewhere);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &there), 0);
	assert_int_equal(stat(root, &here), 0);
	if (there.st_dev == here.st_dev) {
		close(fd);
		unlink(elsewhere);
		skip();
	}
	assert_int_equal(write(fd, "far", 3), 3);
	close(fd);
	/* A link to it is followed: what it names may be named anew some day. */
	path_of(detour, "detour");
	assert_int_equal(symlink(elsewhere, detour), 0);
	s = make_with_disks("far", paths, 1);
	unlink(detour);
	check_disk(s, 0, true, "far");
	child = make(s, "child", "memory");
	snapshot_release(s);
	uv_run(&loop, UV_RUN_DEFAULT);
	check_disk(child, 0, true, "far");
	/* Once the file is gone nothing can be made of it any more. */
	unlink(elsewhere);
	assert_true(snapshot_writer_open(&w, root, child, &machine, &err) < 0);
	assert_non_null(strstr(err.text, strerror(ENOENT)));
	snapshot_release(child);
}

static void a_disk_that_is_not_there_is_no_disk(void **state)
{
	struct snapshot_writer w;
	struct error err = { 0 };
	char path[128];

	(void)state;
	path_of(path, "none");
	assert_int_equal(snapshot_writer_open(&w, root, NULL, &machine, &err), 0);
	assert_int_equal(snapshot_writer_add_disk(&w, 0, path), -ENOENT);
	write_disk(path, "disk");
	assert_int_equal(snapshot_writer_add_disk(&w, 0, path), 0);
	assert_int_equal(snapshot_writer_add_disk(&w, 0, path), -EEXIST); /* nothing is replaced */
	unlink(path);
	snapshot_writer_abort(&w, &loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_can_be_opened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_folder_is_one_snapshot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_chain_stands_without_its_parents, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_chain_has_an_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_name_is_given_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_somebody_may_go_on_writing_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_given_up_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_snapshot_in_use_is_removed_later_and_can_be_renamed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_whole_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_machine_file_that_makes_no_sense_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(disks_stay_without_their_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(disks_elsewhere_are_linked_by_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_disk_that_is_not_there_is_no_disk, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
