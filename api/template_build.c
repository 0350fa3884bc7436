/*
 * How a built-in template is made: boot ▶ ready ▶ settled ▶ saved ▶ named; then a clone of it runs a first execution
 * and writes down which pages that touched, so that later clones have them ready.
 */
#include "api/container_spec.h"
#include "api/folder.h"
#include "api/shell_code.h"
#include "api/template_private.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	RECORDED_RUNS = 2,
	/* Beyond the time that a run may take: the guest of a user's template may be hostile. */
	RECORDING_GRACE_MS = 10000,
};

static void clear(struct template *t)
{
	snapshot_writer_abort(&t->writer, t->all->host->loop);
	free(STEAL(&t->inputs));
	t->microvm = NULL;
}

void template_build_abort(struct template *t)
{
	struct microvm *vm = t->microvm;

	template_container_abort(t);
	uv_timer_stop(&t->limit);
	clear(t);
	microvm_destroy(vm, NULL, NULL);
}

static void fail(struct template *t, const char *problem)
{
	template_build_abort(t);
	template_build_failed(t, problem);
}

static void settle(struct template *t)
{
	if (microvm_settle(t->microvm) < 0)
		fail(t, "its agent cannot be given orders");
}

static void vm_ready(void *owner)
{
	struct template *t = owner;

	if (t->container)
		template_container_start(t);
	else
		settle(t);
}

void template_container_started(struct template *t, const char *problem)
{
	if (problem)
		fail(t, problem);
	else
		settle(t);
}

static void vm_lost(void *owner, const char *reason)
{
	struct template *t = owner;

	template_container_abort(t);
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
	    snapshot_writer_open(&t->writer, t->all->workspace, NULL, &machine, &err) < 0 ||
	    microvm_add_disks(t->microvm, &t->writer, &err) < 0) {
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
	t->snapshot = snapshot;
	if (snapshot)
		template_record(t);
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

/* ---- the working set --------------------------------------------------------------------------------------------- */

static void fresh_path(const struct template *t, char path[SNAPSHOT_PATH_MAX + 32])
{
	snprintf(path, SNAPSHOT_PATH_MAX + 32, "%s/working-set.new", t->snapshot->folder);
}

/* Its VMM made the file at its start, before it was jailed, and has filled it at its end, if it could. */
static void recorder_gone(void *data)
{
	struct template *t = data;
	char fresh[SNAPSHOT_PATH_MAX + 32], path[SNAPSHOT_PATH_MAX + 32];
	struct stat status;

	t->is_recorder_ending = false;
	if (t->is_gone) {
		template_free(t);
		return;
	}
	if (t->all->is_stopping || !t->snapshot)
		return;
	fresh_path(t, fresh);
	snprintf(path, sizeof(path), "%s/working-set", t->snapshot->folder);
	t->snapshot->has_working_set = stat(fresh, &status) == 0 && status.st_size > 0 && rename(fresh, path) == 0;
	if (!t->snapshot->has_working_set)
		unlink(fresh);
	template_recorded(t);
}

static void end_recorder(struct template *t)
{
	struct microvm *vm = t->microvm;

	uv_timer_stop(&t->limit);
	t->microvm = NULL;
	t->is_recorder_ending = true;
	microvm_destroy(vm, recorder_gone, t);
}

void template_container_asked(struct template *t, const char *problem)
{
	if (problem)
		log_warn("template=%s its container did not answer in a clone: %s", template_label(t), problem);
	end_recorder(t);
}

static void put_first_code(enum agent_language language, struct buffer *code)
{
	if (language == AGENT_SHELL)
		shell_code_put(code, "ls | cat");
	else
		buffer_put_text(code, language == AGENT_NODE ? "console.log(1)" : "print(1)");
}

static void on_late_run(uv_timer_t *timer)
{
	struct template *t = timer->data;

	microvm_lose(t->microvm, "its agent does not answer");
}

static void record_execution(struct template *t)
{
	struct buffer code = { 0 };
	struct agent_order order = {
		.language = t->language,
		.timeout_ms = t->all->host->boot_timeout_ms,
		.output_limit = 1024,
	};

	put_first_code(t->language, &code);
	order.code = code.data;
	order.code_size = code.size;
	uv_timer_start(&t->limit, on_late_run, order.timeout_ms + RECORDING_GRACE_MS, 0);
	if (microvm_execute(t->microvm, &order) < 0)
		log_debug("template=%s: nothing can be recorded", template_label(t)); /* it is being lost */
	buffer_fini(&code);
}

static void recorder_ready(void *owner)
{
	struct template *t = owner;

	if (t->container)
		template_container_ask(t);
	else
		record_execution(t);
}

static void recorder_lost(void *owner, const char *reason)
{
	struct template *t = owner;

	template_container_abort(t);
	uv_timer_stop(&t->limit);
	log_warn("template=%s has no working set, first executions are slower: %s", template_label(t), reason);
	t->microvm = NULL;
	template_recorded(t);
}

static void recorder_started(void *owner, uint64_t waited_us)
{
	(void)owner;
	(void)waited_us;
}

static void recorder_output(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	(void)owner;
	(void)stream;
	(void)data;
	(void)size;
}

static void recorder_display(void *owner, const struct mime_bundle *bundle, bool is_result)
{
	(void)owner;
	(void)bundle;
	(void)is_result;
}

/* The second execution touches what the first did not: a user's comes as soon as the first was answered. */
static void recorder_done(void *owner, const struct agent_done *done)
{
	struct template *t = owner;

	(void)done;
	if (++t->n_runs < RECORDED_RUNS)
		record_execution(t);
	else
		end_recorder(t);
}

static const struct microvm_owner recorder_callbacks = {
	.ready = recorder_ready,
	.lost = recorder_lost,
	.started = recorder_started,
	.output = recorder_output,
	.display = recorder_display,
	.done = recorder_done,
};

void template_record(struct template *t)
{
	char path[SNAPSHOT_PATH_MAX + 32];
	const struct microvm_start start = {
		.way = MICROVM_RESTORE,
		.snapshot = t->snapshot,
		.identity = AGENT_IDENTITY_NEW,
		.working_set = path,
	};
	struct error err = { 0 };

	fresh_path(t, path);
	t->n_runs = 0;
	t->microvm = microvm_create(t->all->host, &start, &recorder_callbacks, t, &err);
	if (!t->microvm)
		recorder_lost(t, err.text);
}

/* ------------------------------------------------------------------------------------------------------------------ */

void template_build(struct template *t, const char *inputs)
{
	const struct microvm_start start = { .way = MICROVM_BOOT, .shape = t->shape, .container = t->container };
	struct error err = { 0 };

	t->inputs = strdup(inputs);
	t->began_ns = uv_hrtime();
	t->state = TEMPLATE_BUILDING;
	log_info("template=%.8s state=building memory_mib=%u vcpus=%u%s%s", t->key, t->shape.memory_mib,
		 t->shape.n_vcpus, t->container ? " image=" : "",
		 t->container ? container_spec_image(t->container) : "");
	if (t->inputs)
		t->microvm = microvm_create(t->all->host, &start, &callbacks, t, &err);
	if (!t->microvm)
		fail(t, t->inputs ? err.text : "out of memory");
}
