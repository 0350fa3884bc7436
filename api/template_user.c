/* The users' own templates. */
#include "api/template_private.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A user's template lies over an image that must still be the same. */
struct snapshot *template_use_user(struct template *t)
{
	char disk[SNAPSHOT_DISK_MAX];
	struct error err = { 0 };

	if (t->state != TEMPLATE_READY)
		return NULL;
	if (file_identity(t->all->host->image, disk, sizeof(disk), &err) < 0 ||
	    strcmp(disk, t->snapshot->machine.disk) != 0) {
		t->n_failures++;
		template_fail(t, "it was made over another guest image: make it anew");
		return NULL;
	}
	return t->snapshot;
}

struct template *templates_user(struct templates *all, const char *name)
{
	for (struct template *t = all->list; t; t = t->next)
		if (template_is_user(t) && strcmp(t->name, name) == 0 && t->snapshot)
			return t;
	return NULL;
}

/* An entry that was deleted is used again, since somebody may still point to it. */
static struct template *get_user_entry(struct templates *all, const char *name)
{
	for (struct template *t = all->list; t; t = t->next)
		if (template_is_user(t) && strcmp(t->name, name) == 0)
			return t;
	return template_add(all);
}

static int open_user(struct templates *all, const char *name, struct error *err)
{
	char folder[SNAPSHOT_PATH_MAX];
	struct template *t = get_user_entry(all, name);

	if (!t)
		return error_set(err, ENOMEM, "out of memory");
	snprintf(t->name, sizeof(t->name), "%s", name);
	snprintf(folder, sizeof(folder), "%s/%s", all->user, t->name);
	t->snapshot = snapshot_open(all->host->loop, folder, err);
	t->state = t->snapshot ? TEMPLATE_READY : TEMPLATE_ABSENT;
	t->n_failures = 0;
	return t->snapshot ? 0 : -err->code;
}

int templates_add_user(struct templates *all, struct snapshot_writer *w, const char *name, struct error *err)
{
	char folder[SNAPSHOT_PATH_MAX];
	int rc;

	if (templates_user(all, name))
		return error_set(err, EEXIST, "there is a template %s already", name);
	snprintf(folder, sizeof(folder), "%s/%s", all->user, name);
	rc = snapshot_writer_commit(w, all->host->loop, folder, err);
	if (rc == 0) {
		rc = open_user(all, name, err);
		if (rc < 0) /* or its name could not be used again */
			snapshot_remove(all->host->loop, folder);
	}
	if (rc == 0) {
		struct template *t = templates_user(all, name);

		log_info("template=%s state=ready", name);
		t->began_ns = uv_hrtime();
		t->language = AGENT_PYTHON;
		template_record(t);
		all->changed(all->data);
	}
	return rc;
}

static void fill_info(const struct template *t, struct template_info *info)
{
	char path[SNAPSHOT_PATH_MAX + 16];
	struct stat st = { 0 };

	snprintf(path, sizeof(path), "%s/state", t->snapshot->folder);
	stat(path, &st);
	*info = (struct template_info) {
		.name = t->name,
		.memory_mib = t->snapshot->machine.shape.memory_mib,
		.n_vcpus = t->snapshot->machine.shape.n_vcpus,
		.has_network = t->snapshot->machine.shape.has_network,
		.created_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
		.size_bytes = snapshot_own_bytes(t->snapshot),
		.n_layers = t->snapshot->n_layers,
	};
}

void templates_each(const struct templates *all, void (*visit)(void *data, const struct template_info *info),
		    void *data)
{
	for (const struct template *t = all->list; t; t = t->next) {
		struct template_info info;

		if (!template_is_user(t) || !t->snapshot)
			continue;
		fill_info(t, &info);
		visit(data, &info);
	}
}

bool templates_find(const struct templates *all, const char *name, struct template_info *info)
{
	const struct template *t = templates_user((struct templates *)all, name);

	if (t)
		fill_info(t, info);
	return t != NULL;
}

int templates_delete(struct templates *all, const char *name)
{
	struct template *t = templates_user(all, name);
	int rc;

	if (!t)
		return -ENOENT;
	template_build_abort(t);
	/* The name is free at once; the files go when nobody runs over them. */
	rc = template_hide(t);
	if (rc < 0)
		return rc;
	template_discard(t);
	log_info("template=%s state=deleted", name);
	template_tell_changed(t);
	return 0;
}

void template_find_user(void *data, const char *name)
{
	struct templates *all = data;
	struct error err = { 0 };

	if (strlen(name) >= sizeof(((struct template *)NULL)->name))
		return;
	if (open_user(all, name, &err) < 0)
		log_warn("template=%s cannot be used: %s", name, err.text);
}
