#include "api/container_spec.h"
#include "api/folder.h"
#include "api/folder_make.h"
#include "api/template_private.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	RETRY_FIRST_MS = 5000,
	RETRY_LAST_MS = 300000,
	/* Restores in a row, of one that never worked and of one that did: that may be the host's fault, not its own. */
	FAILURES_OF_A_NEW_ONE = 2,
	FAILURES_OF_A_PROVEN_ONE = 3,
};

static const char *const state_names[] = { "absent", "building", "ready", "failed" };

const char *template_state(const struct template *t)
{
	return state_names[t->state];
}

bool template_is_user(const struct template *t)
{
	return t->name[0] != '\0';
}

const char *template_label(const struct template *t)
{
	return template_is_user(t) ? t->name : t->key;
}

void template_tell_changed(const struct template *t)
{
	if (!t->all->is_stopping)
		t->all->changed(t->all->data);
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

static void on_retry(uv_timer_t *timer)
{
	struct template *t = timer->data;

	t->state = t->snapshot ? TEMPLATE_READY : TEMPLATE_ABSENT;
	template_tell_changed(t);
}

void template_fail(struct template *t, const char *problem)
{
	uint64_t wait_ms = RETRY_FIRST_MS;

	for (unsigned int i = 1; i < t->n_failures && wait_ms < RETRY_LAST_MS; i++)
		wait_ms *= 2;
	wait_ms = wait_ms < RETRY_LAST_MS ? wait_ms : RETRY_LAST_MS;
	log_warn("template=%s state=failed retry_s=%llu: %s", template_label(t), (unsigned long long)wait_ms / 1000,
		 problem);
	t->state = TEMPLATE_FAILED;
	uv_timer_start(&t->retry, on_retry, wait_ms, 0);
}

void template_recorded(struct template *t)
{
	log_info("template=%s state=ready took_ms=%.0f working_set=%d size_mib=%.1f", template_label(t),
		 (double)(uv_hrtime() - t->began_ns) / 1e6, t->snapshot->has_working_set,
		 (double)snapshot_own_bytes(t->snapshot) / (1 << 20));
	if (t->state != TEMPLATE_BUILDING)
		return;
	t->state = TEMPLATE_READY;
	t->n_failures = 0;
	t->has_worked = false;
	template_tell_changed(t);
}

void template_build_failed(struct template *t, const char *problem)
{
	t->n_failures++;
	template_fail(t, problem);
}

int template_hide(struct template *t)
{
	char hidden[SNAPSHOT_PATH_MAX];

	snprintf(hidden, sizeof(hidden), "%s/discarded-%.32s-%llx", t->all->workspace, template_label(t),
		 (unsigned long long)uv_hrtime());
	return snapshot_rename(t->snapshot->folder, hidden);
}

void template_discard(struct template *t)
{
	t->snapshot->is_temporary = true;
	snapshot_release(STEAL(&t->snapshot));
	t->state = TEMPLATE_ABSENT;
	t->has_worked = false;
	t->n_failures = 0;
}

static bool is_building_any(const struct templates *all)
{
	for (const struct template *t = all->list; t; t = t->next)
		if (t->state == TEMPLATE_BUILDING)
			return true;
	return false;
}

/* Opens the one on disk if its inputs are these. */
static void open_builtin(struct template *t, const char *inputs)
{
	char folder[SNAPSHOT_PATH_MAX], path[SNAPSHOT_PATH_MAX + 16], text[TEMPLATE_INPUTS_MAX] = "";
	struct error err = { 0 };
	FILE *file;

	snprintf(folder, sizeof(folder), "%s/%s", t->all->root, t->key);
	snprintf(path, sizeof(path), "%s/inputs", folder);
	file = fopen(path, "re");
	if (!file)
		return;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	if (strcmp(text, inputs) == 0)
		t->snapshot = snapshot_open(t->all->host->loop, folder, &err);
	if (!t->snapshot) {
		log_warn("template=%.8s is not whole and is removed", t->key);
		folder_remove(folder);
		return;
	}
	t->began_ns = uv_hrtime();
	if (t->snapshot->has_working_set) {
		t->state = TEMPLATE_READY;
		log_info("template=%.8s state=ready size_mib=%.1f", t->key,
			 (double)snapshot_own_bytes(t->snapshot) / (1 << 20));
		return;
	}
	/* The hearthd that made it ended before it was done. */
	t->state = TEMPLATE_BUILDING;
	template_record(t);
}

static int inputs_of(const struct template *t, char text[TEMPLATE_INPUTS_MAX], struct error *err)
{
	return template_inputs(t->all->host, &t->shape, t->language,
			       t->container ? container_spec_inputs(t->container) : "", text, TEMPLATE_INPUTS_MAX, err);
}

static struct snapshot *use_builtin(struct template *t)
{
	char inputs[TEMPLATE_INPUTS_MAX], key[TEMPLATE_KEY_SIZE];
	struct error err = { 0 };

	if (t->state == TEMPLATE_BUILDING || t->state == TEMPLATE_FAILED || t->all->is_stopping ||
	    t->all->has_no_builtin)
		return NULL;
	if (inputs_of(t, inputs, &err) < 0) {
		template_build_failed(t, err.text);
		return NULL;
	}
	template_key(inputs, key);
	if (t->state == TEMPLATE_READY && strcmp(key, t->key) != 0) {
		log_info("template=%.8s is out of date: kernel, image or hearth-vmm have changed", t->key);
		template_discard(t);
	}
	memcpy(t->key, key, sizeof(key));
	if (t->state == TEMPLATE_ABSENT)
		open_builtin(t, inputs);
	if (t->state == TEMPLATE_ABSENT && !is_building_any(t->all))
		template_build(t, inputs);
	return t->state == TEMPLATE_READY ? t->snapshot : NULL;
}

struct snapshot *template_use(struct template *t)
{
	return template_is_user(t) ? template_use_user(t) : use_builtin(t);
}

void template_tell(struct template *t, const struct snapshot *s, const char *problem)
{
	if (s != t->snapshot || t->state != TEMPLATE_READY)
		return;
	if (!problem[0]) {
		t->has_worked = true;
		t->was_rebuilt = false;
		t->n_failures = 0;
		return;
	}
	if (++t->n_failures < (t->has_worked ? FAILURES_OF_A_PROVEN_ONE : FAILURES_OF_A_NEW_ONE))
		return;
	if (template_is_user(t) || t->was_rebuilt) {
		template_fail(t, problem);
		return;
	}
	log_warn("template=%.8s cannot be restored and is built anew: %s", t->key, problem);
	t->was_rebuilt = true;
	template_hide(t);
	template_discard(t);
	template_tell_changed(t);
}

/* ---- the lists --------------------------------------------------------------------------------------------------- */

struct template *template_add(struct templates *all)
{
	struct template *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->all = all;
	t->next = all->list;
	t->writer = (struct snapshot_writer) { .state_fd = -1, .memory_fd = -1 };
	all->list = t;
	uv_timer_init(all->host->loop, &t->retry);
	t->retry.data = t;
	/* Waiting for a retry alone does not keep hearthd alive. */
	uv_unref((uv_handle_t *)&t->retry);
	uv_timer_init(all->host->loop, &t->limit);
	t->limit.data = t;
	return t;
}

static bool is_of_shape(const struct template *t, const struct microvm_shape *shape)
{
	return t->shape.memory_mib == shape->memory_mib && t->shape.n_vcpus == shape->n_vcpus &&
	       t->shape.has_network == shape->has_network;
}

struct template *templates_builtin(struct templates *all, const struct microvm_shape *shape,
				   enum agent_language language)
{
	struct template *t;

	for (t = all->list; t; t = t->next)
		if (!template_is_user(t) && !t->container && is_of_shape(t, shape) && t->language == language)
			return t;
	t = template_add(all);
	if (t) {
		t->shape = *shape;
		t->language = language;
	}
	return t;
}

struct template *templates_container(struct templates *all, const struct microvm_shape *shape,
				     struct container_spec *container)
{
	struct template *t = all->list;

	while (t && !(t->container && is_of_shape(t, shape) && container_spec_equal(t->container, container)))
		t = t->next;
	if (!t) {
		t = template_add(all);
		if (!t)
			return NULL;
		t->shape = *shape;
		t->container = container_spec_hold(container);
	}
	t->n_users++;
	return t;
}

static void on_retry_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_limit_closed(uv_handle_t *handle)
{
	struct template *t = handle->data;

	uv_close((uv_handle_t *)&t->retry, on_retry_closed);
}

void template_free(struct template *t)
{
	container_spec_release(t->container);
	uv_close((uv_handle_t *)&t->limit, on_limit_closed);
}

/* Its snapshot goes when nobody runs over it. */
void template_let_go(struct template *t)
{
	struct template **link;

	if (!t || !t->container || --t->n_users || t->all->is_stopping)
		return;
	for (link = &t->all->list; *link != t;)
		link = &(*link)->next;
	*link = t->next;
	t->is_gone = true;
	template_build_abort(t);
	if (t->snapshot) {
		template_hide(t);
		t->snapshot->is_temporary = true;
		snapshot_release(STEAL(&t->snapshot));
	}
	/* Else it is freed when the machine that is ending has told that it is gone. */
	if (!t->is_recorder_ending)
		template_free(t);
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

const char *templates_workspace(const struct templates *all)
{
	return all->workspace;
}

static void for_each_folder(const char *path, void (*visit)(void *data, const char *name), void *data)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			visit(data, entry->d_name);
	if (dir)
		closedir(dir);
}

/* Its own folder for each runtime directory, of which a hearthd has one to itself. */
static void name_workspace(struct templates *all)
{
	AUTO_FREE char *real = realpath(all->host->runtime_directory, NULL);
	char key[TEMPLATE_KEY_SIZE];

	template_key(real ? real : all->host->runtime_directory, key);
	snprintf(all->workspace, sizeof(all->workspace), "%s/instance-%.8s", all->root, key);
}

struct templates *templates_create(struct microvm_host *host, const char *directory, void (*changed)(void *data),
				   void *data, struct error *err)
{
	struct templates *all = calloc(1, sizeof(*all));
	int rc = all ? 0 : -ENOMEM;

	if (rc == 0 && (size_t)snprintf(all->root, sizeof(all->root), "%s", directory) >= sizeof(all->root))
		rc = -ENAMETOOLONG;
	if (rc == 0) {
		all->host = host;
		all->changed = changed;
		all->data = data;
		snprintf(all->user, sizeof(all->user), "%s/user", all->root);
		name_workspace(all);
		rc = folder_make(all->user);
	}
	if (rc == 0)
		rc = folder_make(all->workspace);
	if (rc < 0) {
		error_set(err, -rc, "cannot make template-dir %s: %s", directory, strerror(-rc));
		free(all);
		return NULL;
	}
	for_each_folder(all->user, template_find_user, all);
	return all;
}

struct sweep {
	struct templates *all;
	bool (*is_kept)(void *data, const char *folder);
	void *data;
};

static void sweep_workspace(void *data, const char *name)
{
	const struct sweep *sweep = data;
	char folder[SNAPSHOT_PATH_MAX + 256];

	snprintf(folder, sizeof(folder), "%s/%s", sweep->all->workspace, name);
	if (!snapshot_find_open(folder) && !sweep->is_kept(sweep->data, folder))
		folder_remove_later(sweep->all->host->loop, folder);
}

/* The text of a line `name=` in `inputs`, up to its end; NULL if there is none. */
static const char *find_input(const char *inputs, const char *name, size_t *length)
{
	const char *line = strstr(inputs, name);

	if (!line || (line != inputs && line[-1] != '\n'))
		return NULL;
	*length = strcspn(line, "\n");
	return line;
}

/*
 * True if a file that went into `inputs` stands at its place with another content. What was made of files at other places
 * may be in use by another hearthd.
 */
static bool is_out_of_date(const char *inputs)
{
	static const char *const names[] = { "kernel=", "image=", "vmm=" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t length;
		const char *line = find_input(inputs, names[i], &length), *value;
		char path[SNAPSHOT_DISK_MAX], now[SNAPSHOT_DISK_MAX];
		const char *path_end = line ? strstr(line, " inode=") : NULL;
		struct error err = { 0 };

		if (!path_end || path_end > line + length)
			return true;
		value = line + strlen(names[i]);
		snprintf(path, sizeof(path), "%.*s", (int)(path_end - value), value);
		if (file_identity(path, now, sizeof(now), &err) < 0 || strlen(now) != length - strlen(names[i]) ||
		    strncmp(now, value, strlen(now)) != 0)
			return true;
	}
	return false;
}

static bool is_of_container(const char *inputs)
{
	size_t length;

	return find_input(inputs, "container_start=", &length) != NULL;
}

/* A pool has it, by a name that it may not have been asked for yet. */
static bool is_wanted(const struct templates *all, const char *name)
{
	for (const struct template *t = all->list; t; t = t->next) {
		char inputs[TEMPLATE_INPUTS_MAX], key[TEMPLATE_KEY_SIZE];
		struct error err = { 0 };

		if (!t->container || inputs_of(t, inputs, &err) < 0)
			continue;
		template_key(inputs, key);
		if (strcmp(key, name) == 0)
			return true;
	}
	return false;
}

static void sweep_builtin(void *data, const char *name)
{
	const struct templates *all = ((const struct sweep *)data)->all;
	char folder[SNAPSHOT_PATH_MAX + 256], path[SNAPSHOT_PATH_MAX + 288], inputs[TEMPLATE_INPUTS_MAX] = "";
	FILE *file;

	if (strlen(name) != TEMPLATE_KEY_SIZE - 1 || strspn(name, "0123456789abcdef") != TEMPLATE_KEY_SIZE - 1)
		return;
	snprintf(folder, sizeof(folder), "%s/%s", all->root, name);
	snprintf(path, sizeof(path), "%s/inputs", folder);
	file = fopen(path, "re");
	if (file) {
		inputs[fread(inputs, 1, sizeof(inputs) - 1, file)] = '\0';
		fclose(file);
	}
	if (!is_out_of_date(inputs) && (!is_of_container(inputs) || is_wanted(all, name)))
		return;
	log_info("template=%.8s is out of date, or no pool's any more, and is removed", name);
	snapshot_remove(all->host->loop, folder);
}

void templates_sweep(struct templates *all, bool (*is_kept)(void *data, const char *folder), void *data)
{
	struct sweep sweep = { all, is_kept, data };

	for_each_folder(all->workspace, sweep_workspace, &sweep);
	for_each_folder(all->root, sweep_builtin, &sweep);
}

void templates_forgo_builtin(struct templates *all)
{
	all->has_no_builtin = true;
}

void templates_stop(struct templates *all)
{
	all->is_stopping = true;
	for (struct template *t = all->list; t; t = t->next) {
		template_build_abort(t);
		if (t->state == TEMPLATE_BUILDING)
			t->state = TEMPLATE_ABSENT;
		uv_close((uv_handle_t *)&t->limit, NULL);
		uv_close((uv_handle_t *)&t->retry, NULL);
	}
}

void templates_destroy(struct templates *all)
{
	if (!all)
		return;
	while (all->list) {
		struct template *t = all->list;

		all->list = t->next;
		snapshot_release(t->snapshot);
		container_spec_release(t->container);
		free(t);
	}
	rmdir(all->workspace);
	free(all);
}
