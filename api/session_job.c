/*
 * Orders to a session that are not executions: fork, suspend, resume, and making a template. All but the third save its
 * machine: ready or idle ▶ saving ▶ ready, idle or suspended.
 */
#include "api/session_private.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_told(uv_timer_t *timer)
{
	struct session_job *job = timer->data;

	if (job->done)
		job->done(job->data, job->is_failed ? NULL : &job->info, job->is_failed ? &job->err : NULL);
	uv_close((uv_handle_t *)timer, on_timer_closed);
}

static void unlink_job(struct session *s, struct session_job *job)
{
	struct session_job **link = &s->jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	job->next = NULL;
}

static void append_job(struct session *s, struct session_job *job)
{
	struct session_job **link = &s->jobs;

	while (*link)
		link = &(*link)->next;
	*link = job;
}

static struct session_job *create_job(struct session *s, enum session_job_kind kind, const char *name)
{
	struct session_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->kind = kind;
	snprintf(job->name, sizeof(job->name), "%s", name);
	uv_timer_init(s->all->host->loop, &job->timer);
	job->timer.data = job;
	append_job(s, job);
	return job;
}

/* It is over: its giver is told from the loop. `err` NULL: all is well. */
static void finish_job(struct session *s, struct session_job *job, const struct error *err)
{
	unlink_job(s, job);
	if (err) {
		job->is_failed = true;
		job->err = *err;
		if (!job->done)
			s->is_suspend_off = true;
	} else {
		session_fill_info(s, &job->info);
	}
	uv_timer_start(&job->timer, on_told, 0, 0);
}

void session_finish_jobs(struct session *s, enum session_job_kind kind, const struct error *err)
{
	struct session_job *next;

	for (struct session_job *job = s->jobs; job; job = next) {
		next = job->next;
		if (job->kind == kind)
			finish_job(s, job, err);
	}
}

void session_fail_jobs(struct session *s, const char *reason)
{
	struct error err = { 0 };

	error_set(&err, SESSIONS_NO_MICROVM, "%s", reason);
	while (s->jobs)
		finish_job(s, s->jobs, &err);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

/* 0, or negative with *err filled: there may not be a new session of that identifier. */
static int check_new(const struct sessions *all, const char *identifier, struct error *err)
{
	if (session_find(all, identifier))
		return error_set(err, SESSIONS_EXISTS, "There is a session '%.64s' already.", identifier);
	return session_check_room(all, err);
}

/* Makes the new session from `snapshot`; the job becomes one of its own, and ends when it can be used. */
static void fork_from(struct session *s, struct snapshot *snapshot, struct session_job *job)
{
	struct error err = { 0 };
	struct session *fork = NULL;

	if (check_new(s->all, job->name, &err) == 0)
		fork = session_create(s->all, job->name, NULL, &err);
	if (fork && session_restore(fork, snapshot, SESSION_FORK, &err) < 0) {
		session_discard(fork);
		fork = NULL;
	}
	if (!fork) {
		finish_job(s, job, &err);
		return;
	}
	fork->was_used = s->was_used;
	fork->warm_languages = s->warm_languages;
	unlink_job(s, job);
	job->kind = JOB_RESUME;
	append_job(fork, job);
	s->all->changed(s->all->data);
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

static void fail_job(struct session *s, int code, const char *problem)
{
	struct error err = { 0 };

	error_set(&err, code, "The session could not be saved: %s", problem);
	finish_job(s, s->jobs, &err);
}

static void stop_saving(struct session *s, const char *reason)
{
	session_move(s, s->was_used ? SESSION_IDLE : SESSION_READY, reason);
	if (s->all->rules.container)
		session_container_begin(s);
}

static int open_writer(struct session *s, struct error *err)
{
	struct snapshot_machine machine = { .shape = *microvm_shape_of(s->microvm) };

	if (s->cannot_be_saved)
		return error_set(err, ENOENT, "what its memory is a difference over, or a disk, is not there any more");
	if (file_identity(s->all->host->image, machine.disk, sizeof(machine.disk), err) < 0)
		return -err->code;
	if (snapshot_writer_open(&s->writer, templates_workspace(s->all->templates), microvm_snapshot(s->microvm),
				 &machine, err) < 0)
		return -err->code;
	if (microvm_add_disks(s->microvm, &s->writer, err) < 0)
		snapshot_writer_abort(&s->writer, s->all->host->loop);
	return -err->code;
}

/* What is kept of it may hold connections into its machine, which a snapshot cannot. */
static void let_keepsakes_rest(struct session *s)
{
	for (struct session_keepsake *k = s->keepsakes; k; k = k->next)
		if (k->rests)
			k->rests(k);
}

/* The session is ready or idle. */
static void begin_saving(struct session *s, struct session_job *job)
{
	static const char *const reasons[] = { "it is forked", "it is suspended", "", "it is made a template" };
	struct error err = { 0 };

	if (open_writer(s, &err) < 0) {
		fail_job(s, err.code == EMLINK ? SESSIONS_TOO_DEEP : SESSIONS_NO_MICROVM, err.text);
		session_go_on(s);
		return;
	}
	let_keepsakes_rest(s);
	session_container_leave(s);
	uv_timer_stop(&s->timer);
	session_move(s, SESSION_SAVING, reasons[job->kind]);
	session_enter_foreground(s);
	if (job->kind != JOB_TEMPLATE)
		microvm_save(s->microvm, &s->writer, job->kind == JOB_SUSPEND);
	else if (microvm_settle(s->microvm) < 0)
		session_settled(s, "its agent cannot be given orders");
}

void session_settled(void *owner, const char *problem)
{
	struct session *s = owner;

	if (!problem[0]) {
		microvm_save(s->microvm, &s->writer, false);
		return;
	}
	snapshot_writer_abort(&s->writer, s->all->host->loop);
	fail_job(s, SESSIONS_NO_MICROVM, problem);
	stop_saving(s, "it could not be saved");
	session_go_on(s);
}

/* Names what was written and opens it: temporary, held by the caller. NULL with *err filled. */
static struct snapshot *finish_writer(struct session *s, struct error *err)
{
	char folder[SNAPSHOT_PATH_MAX];
	uv_loop_t *loop = s->all->host->loop;
	struct snapshot *snapshot;

	snprintf(folder, sizeof(folder), "%s/%s-%llx", templates_workspace(s->all->templates), s->guid,
		 (unsigned long long)uv_hrtime());
	if (snapshot_writer_commit(&s->writer, loop, folder, err) < 0)
		return NULL;
	snapshot = snapshot_open(loop, folder, err);
	if (snapshot)
		snapshot->is_temporary = true;
	return snapshot;
}

static void finish_fork(struct session *s, struct session_job *job)
{
	struct error err = { 0 };
	struct snapshot *snapshot = finish_writer(s, &err);

	if (snapshot)
		fork_from(s, snapshot, job);
	else
		fail_job(s, SESSIONS_NO_MICROVM, err.text);
	snapshot_release(snapshot);
}

static void finish_template(struct session *s, struct session_job *job)
{
	struct error err = { 0 };
	int rc = templates_add_user(s->all->templates, &s->writer, job->name, &err);

	if (rc < 0)
		snapshot_writer_abort(&s->writer, s->all->host->loop);
	if (rc < 0)
		fail_job(s, rc == -EEXIST ? SESSIONS_EXISTS : SESSIONS_NO_MICROVM, err.text);
	else
		finish_job(s, job, NULL);
}

static int write_record(const struct session *s, const struct snapshot *snapshot)
{
	char path[SNAPSHOT_PATH_MAX + 16];
	struct session_record r;

	session_describe(s, &snapshot->machine.shape, &r);
	snprintf(path, sizeof(path), "%s/session", snapshot->folder);
	return session_record_write(&r, path);
}

/* Its machine is paused and can only be ended: from here on the session is the snapshot. */
static void finish_suspend(struct session *s, struct session_job *job)
{
	struct error err = { 0 };
	struct snapshot *snapshot = finish_writer(s, &err);
	struct microvm *vm = s->microvm;
	int rc;

	if (!snapshot) {
		session_end(s, EXECUTION_ABORTED, err.text, true);
		return;
	}
	rc = write_record(s, snapshot);
	if (rc < 0)
		log_warn("session=%.8s cannot be taken over later: %s", s->guid, strerror(-rc));
	session_account(s);
	s->suspended = snapshot;
	s->microvm = NULL;
	s->has_record = false;
	session_become_suspended(s, "it is saved");
	microvm_destroy(vm, NULL, NULL);
	finish_job(s, job, NULL);
	s->all->changed(s->all->data);
}

/* A suspended session that is wanted again already. */
static void go_on_suspended(struct session *s)
{
	struct error err = { 0 };

	if (s->jobs)
		session_begin_job(s);
	else if ((s->queue || s->uses) && session_wake(s, &err) < 0)
		session_refuse_waiting(s, err.text);
}

void session_saved(void *owner, const char *problem)
{
	struct session *s = owner;
	struct session_job *job = s->jobs;

	if (!problem && job->kind == JOB_SUSPEND) {
		finish_suspend(s, job);
		if (s->state == SESSION_SUSPENDED)
			go_on_suspended(s);
		return;
	}
	stop_saving(s, problem ? "it could not be saved" : "it is saved");
	if (problem) {
		snapshot_writer_abort(&s->writer, s->all->host->loop);
		fail_job(s, SESSIONS_NO_MICROVM, problem);
	} else if (job->kind == JOB_FORK) {
		finish_fork(s, job);
	} else {
		finish_template(s, job);
	}
	session_go_on(s);
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

/* The head of the jobs of a suspended session. */
static void begin_suspended_job(struct session *s, struct session_job *job)
{
	struct error err = { 0 };

	if (job->kind == JOB_SUSPEND) {
		finish_job(s, job, NULL);
	} else if (job->kind == JOB_FORK) {
		fork_from(s, s->suspended, job);
	} else {
		/* A template is made of a session that runs; the job is the first thing that it does. */
		if (session_wake(s, &err) < 0)
			finish_job(s, job, &err);
		else
			return;
	}
	go_on_suspended(s);
}

void session_begin_job(struct session *s)
{
	struct session_job *job = s->jobs;

	if (s->state == SESSION_SUSPENDED) {
		begin_suspended_job(s, job);
	} else if (job->kind == JOB_RESUME) {
		finish_job(s, job, NULL);
		session_go_on(s);
	} else {
		begin_saving(s, job);
	}
}

void session_suspend_idle(struct session *s)
{
	if (create_job(s, JOB_SUSPEND, ""))
		session_begin_job(s);
}

static int check_depth(const struct session *s, struct error *err)
{
	const struct snapshot *below = s->microvm ? microvm_snapshot(s->microvm) : NULL;

	if (below && below->n_layers + 1 > SNAPSHOT_LAYERS_MAX)
		return error_set(err, SESSIONS_TOO_DEEP,
				 "The session's memory is a chain of %u snapshots already, and %d are the most.",
				 below->n_layers, SNAPSHOT_LAYERS_MAX);
	return 0;
}

static unsigned int count_jobs(const struct session *s)
{
	unsigned int n = 0;

	for (const struct session_job *job = s->jobs; job; job = job->next)
		n++;
	return n;
}

static int check_order(struct sessions *all, const struct session *s, enum session_job_kind kind, const char *name,
		       struct error *err)
{
	struct template_info info;

	if (all->is_stopping)
		return error_set(err, SESSIONS_STOPPING, "The service is stopping.");
	if (!s)
		return error_set(err, SESSIONS_NOT_FOUND, "There is no such session.");
	if (count_jobs(s) >= all->settings.max_queued)
		return error_set(err, SESSIONS_QUEUE_FULL, "There are already '%u' orders that wait in this session.",
				 count_jobs(s));
	if (kind == JOB_FORK)
		return check_new(all, name, err) < 0 ? -err->code : check_depth(s, err);
	if (kind == JOB_TEMPLATE && all->rules.container)
		return error_set(err, EINVAL, "The template of a pool of containers is its image.");
	if (kind == JOB_TEMPLATE && !pool_name_is_valid(name))
		return error_set(err, EINVAL, "'%.64s' is no name for a template.", name);
	if (kind == JOB_TEMPLATE && templates_find(all->templates, name, &info))
		return error_set(err, SESSIONS_EXISTS, "There is a template '%s' already.", name);
	return kind == JOB_RESUME ? 0 : check_depth(s, err);
}

static int give(struct sessions *all, const char *identifier, enum session_job_kind kind, const char *name,
		session_done_cb done, void *data, struct error *err)
{
	struct session *s = session_find(all, identifier);
	int rc = check_order(all, s, kind, name, err);
	struct session_job *job;

	if (rc < 0)
		return rc;
	job = create_job(s, kind, name);
	if (!job)
		return error_set(err, SESSIONS_NO_MICROVM, "out of memory");
	job->done = done;
	job->data = data;
	if (s->state == SESSION_READY || s->state == SESSION_IDLE)
		session_go_on(s);
	else if (s->state == SESSION_SUSPENDED)
		session_begin_job(s);
	return 0;
}

int sessions_fork(struct sessions *all, const char *identifier, const char *new_identifier, session_done_cb done,
		  void *data, struct error *err)
{
	return give(all, identifier, JOB_FORK, new_identifier, done, data, err);
}

int sessions_suspend(struct sessions *all, const char *identifier, session_done_cb done, void *data, struct error *err)
{
	return give(all, identifier, JOB_SUSPEND, "", done, data, err);
}

int sessions_resume(struct sessions *all, const char *identifier, session_done_cb done, void *data, struct error *err)
{
	return give(all, identifier, JOB_RESUME, "", done, data, err);
}

int sessions_make_template(struct sessions *all, const char *identifier, const char *name, session_done_cb done,
			   void *data, struct error *err)
{
	return give(all, identifier, JOB_TEMPLATE, name, done, data, err);
}
