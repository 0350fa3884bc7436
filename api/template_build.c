/* How a built-in template is made: boot ▶ ready ▶ settled ▶ saved ▶ named. */
#include "api/folder.h"
#include "api/template_private.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void clear(struct template *t)
{
	snapshot_writer_abort(&t->writer, t->all->host->loop);
	free(STEAL(&t->inputs));
	t->microvm = NULL;
}

void template_build_abort(struct template *t)
{
	struct microvm *vm = t->microvm;

	clear(t);
	microvm_destroy(vm, NULL, NULL);
}

static void fail(struct template *t, const char *problem)
{
	template_build_abort(t);
	template_build_failed(t, problem);
}

static void vm_ready(void *owner)
{
	struct template *t = owner;

	if (microvm_settle(t->microvm) < 0)
		fail(t, "its agent cannot be given orders");
}

static void vm_lost(void *owner, const char *reason)
{
	struct template *t = owner;

	clear(t);
	template_build_failed(t, reason);
}

static void vm_settled(void *owner, const char *problem)
{
	struct template *t = owner;
	struct snapshot_machine machine = { .shape = t->shape };
	struct error err = { 0 };
	char text[320];

	if (problem[0]) {
		snprintf(text, sizeof(text), "its guest did not settle: %.256s", problem);
		fail(t, text);
		return;
	}
	if (file_identity(t->all->host->image, machine.disk, sizeof(machine.disk), &err) < 0 ||
	    snapshot_writer_open(&t->writer, t->all->workspace, NULL, &machine, &err) < 0) {
		fail(t, err.text);
		return;
	}
	microvm_save(t->microvm, &t->writer, true);
}

static int write_inputs(const struct template *t)
{
	char path[SNAPSHOT_PATH_MAX + 32];
	AUTO_FD int fd = -1;
	size_t size = strlen(t->inputs);

	snprintf(path, sizeof(path), "%s/inputs", t->writer.folder);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, t->inputs, size) != (ssize_t)size || fsync(fd) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

/* Names it and opens it. One that another hearthd made meanwhile is as good. */
static struct snapshot *finish(struct template *t, struct error *err)
{
	char folder[SNAPSHOT_PATH_MAX];
	int rc = write_inputs(t);

	if (rc < 0) {
		error_set(err, -rc, "cannot write in %s: %s", t->writer.folder, strerror(-rc));
		return NULL;
	}
	snprintf(folder, sizeof(folder), "%s/%s", t->all->root, t->key);
	rc = snapshot_writer_commit(&t->writer, t->all->host->loop, folder, err);
	return rc < 0 && rc != -EEXIST ? NULL : snapshot_open(t->all->host->loop, folder, err);
}

static void vm_saved(void *owner, const char *problem)
{
	struct template *t = owner;
	struct error err = { 0 };
	struct snapshot *snapshot;

	if (problem) {
		fail(t, problem);
		return;
	}
	snapshot = finish(t, &err);
	template_build_abort(t); /* what is left of the work */
	if (snapshot)
		template_built(t, snapshot);
	else
		template_build_failed(t, err.text);
}

/* No execution runs here, and an agent that says otherwise breaks the protocol: the rest is never called. */
static const struct microvm_owner callbacks = {
	.ready = vm_ready,
	.lost = vm_lost,
	.settled = vm_settled,
	.saved = vm_saved,
};

void template_build(struct template *t, const char *inputs)
{
	const struct microvm_start start = { .way = MICROVM_BOOT, .shape = t->shape };
	struct error err = { 0 };

	t->inputs = strdup(inputs);
	t->began_ns = uv_hrtime();
	t->state = TEMPLATE_BUILDING;
	log_info("template=%.8s state=building memory_mib=%u vcpus=%u", t->key, t->shape.memory_mib, t->shape.n_vcpus);
	if (t->inputs)
		t->microvm = microvm_create(t->all->host, &start, &callbacks, t, &err);
	if (!t->microvm)
		fail(t, t->inputs ? err.text : "out of memory");
}
