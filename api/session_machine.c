/*
 * Where a session's machine comes from: the stock, else the template, else a boot; or the snapshot that the session was
 * suspended to; or an earlier hearthd.
 */
#include "api/metrics.h"
#include "api/session_private.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void use(struct session *s, struct microvm *vm, enum session_source source)
{
	char identifier[2 * SESSION_IDENTIFIER_MAX + 4];

	session_account(s);
	s->microvm = vm;
	s->has_container = !microvm_container(vm);
	s->source = s->next_source = source;
	microvm_name_session(vm, s->guid, s->pool);
	/* What a stock or a template holds was settled; a fork or a suspended session is as it was. */
	if (source == SESSION_BOOT)
		s->warm_languages = 0;
	else if (source == SESSION_WARM || source == SESSION_RESTORE)
		s->warm_languages = 1u << AGENT_PYTHON | 1u << AGENT_NODE;
	/* Commands need no interpreter. */
	s->warm_languages |= 1u << AGENT_SHELL;
	metrics_count_session(source);
	log_info("session=%.8s vm=%s source=%s pool=%s identifier=%s", s->guid, microvm_id(vm),
		 session_source_name(source), s->pool, log_quote(identifier, sizeof(identifier), s->identifier));
}

int session_restore(struct session *s, struct snapshot *snapshot, enum session_source source, struct error *err)
{
	const struct microvm_start start = {
		.way = MICROVM_RESTORE,
		.snapshot = snapshot,
		.identity = source == SESSION_RESUME ? AGENT_IDENTITY_KEEP : AGENT_IDENTITY_NEW,
		.tokens = s->all->rules.tokens,
		.network = s->all->rules.network,
	};
	struct microvm *vm = microvm_create(s->all->host, &start, &session_microvm_callbacks, s, err);

	if (!vm)
		return -(err->code = SESSIONS_NO_MICROVM);
	use(s, vm, source);
	return 0;
}

static int boot(struct session *s, struct error *err)
{
	const struct microvm_start start = {
		.way = MICROVM_BOOT,
		.shape = s->all->rules.shape,
		.tokens = s->all->rules.tokens,
		.network = s->all->rules.network,
		.container = s->all->rules.container,
	};
	struct microvm *vm = microvm_create(s->all->host, &start, &session_microvm_callbacks, s, err);

	if (!vm)
		return -(err->code = SESSIONS_NO_MICROVM);
	use(s, vm, SESSION_BOOT);
	return 0;
}

int session_start(struct session *s, struct error *err)
{
	struct sessions *all = s->all;
	struct microvm *vm = stock_take(all->stock);
	struct snapshot *snapshot;

	if (vm) {
		microvm_hand_over(vm, &session_microvm_callbacks, s);
		use(s, vm, SESSION_WARM);
		if (all->rules.container) {
			microvm_run(vm);
			session_container_begin(s);
			return 0;
		}
		s->ready_ns = s->idle_since_ns = uv_hrtime();
		session_move(s, SESSION_READY, "a microVM was ready");
		session_limit(s);
		return 0;
	}
	snapshot = all->rules.template ? template_use(all->rules.template) : NULL;
	if (snapshot)
		return session_restore(s, snapshot, SESSION_RESTORE, err);
	if (!all->rules.template || template_is_user(all->rules.template))
		return error_set(err, SESSIONS_NO_MICROVM, "the template of its pool cannot be used");
	return boot(s, err);
}

int session_wake(struct session *s, struct error *err)
{
	int rc = session_check_room(s->all, err);

	if (rc < 0)
		return rc;
	uv_timer_stop(&s->timer);
	session_move(s, SESSION_BOOTING, "it is resumed");
	rc = session_restore(s, s->suspended, SESSION_RESUME, err);
	if (rc < 0)
		session_become_suspended(s, err->text);
	return rc;
}

/* ---- ready, and lost --------------------------------------------------------------------------------------------- */

/* The template of a machine that came straight from it is told what that came to. */
static void tell_template(const struct session *s, const char *problem)
{
	if (s->source == SESSION_RESTORE && s->state == SESSION_BOOTING && s->all->rules.template)
		template_tell(s->all->rules.template, microvm_snapshot(s->microvm), problem);
}

/* It runs: the snapshot is only what its memory is a difference over, and goes when the machine does. */
static void forget_suspended(struct session *s)
{
	char path[SNAPSHOT_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/session", s->suspended->folder);
	unlink(path);
	snapshot_release(s->suspended);
	s->suspended = NULL;
}

void session_become_usable(struct session *s)
{
	tell_template(s, "");
	s->ready_ns = uv_hrtime();
	if (s->source != SESSION_REUSED)
		s->idle_since_ns = s->ready_ns;
	session_move(s, s->was_used ? SESSION_IDLE : SESSION_READY, "its microVM is ready");
	session_limit(s);
	if (s->was_used && !s->has_record)
		session_record(s);
	if (s->suspended)
		forget_suspended(s);
	session_finish_jobs(s, JOB_RESUME, NULL);
	session_go_on(s);
}

static void vm_ready(void *owner)
{
	struct session *s = owner;

	if (s->all->rules.container)
		session_container_begin(s);
	else
		session_become_usable(s);
}

/* A template that cannot be restored costs its session time, not its execution. */
static bool boot_instead(struct session *s, const char *reason)
{
	struct error err = { 0 };

	if (s->state != SESSION_BOOTING || s->source != SESSION_RESTORE || !s->all->rules.template ||
	    template_is_user(s->all->rules.template))
		return false;
	log_warn("session=%.8s is booted instead of restored: %s", s->guid, reason);
	return boot(s, &err) == 0;
}

static void on_kept_long(uv_timer_t *timer)
{
	session_end(timer->data, EXECUTION_ABORTED, "suspended for suspended-keep-seconds", false);
}

void session_become_suspended(struct session *s, const char *reason)
{
	session_move(s, SESSION_SUSPENDED, reason);
	uv_timer_start(&s->timer, on_kept_long, s->all->settings.suspended_keep_ms, 0);
}

void session_refuse_waiting(struct session *s, const char *reason)
{
	struct execution *queue = s->queue;

	s->queue = NULL;
	s->n_queued = 0;
	session_fail_jobs(s, reason);
	session_fail_uses(s, SESSIONS_NO_MICROVM, reason);
	while (queue) {
		struct execution *e = queue;

		queue = e->next;
		session_finish_early(e, EXECUTION_NOT_STARTED, reason);
	}
}

/* A session whose resumption fails is suspended as it was; what waited for it is told. */
static bool suspend_again(struct session *s, const char *reason)
{
	if (s->state != SESSION_BOOTING || !s->suspended)
		return false;
	session_become_suspended(s, reason);
	session_refuse_waiting(s, reason);
	return true;
}

static void vm_lost(void *owner, const char *reason)
{
	struct session *s = owner;
	bool was_starting = s->state == SESSION_BOOTING;

	tell_template(s, reason);
	metrics_count_error(METRICS_SESSION_LOST);
	session_account(s);
	session_container_leave(s);
	s->microvm = NULL;
	s->has_record = false;
	if (boot_instead(s, reason) || suspend_again(s, reason))
		return;
	session_end(s, was_starting ? EXECUTION_NOT_STARTED : EXECUTION_ABORTED, reason, !was_starting);
}

const struct microvm_owner session_microvm_callbacks = {
	.ready = vm_ready,
	.lost = vm_lost,
	.started = session_vm_started,
	.output = session_vm_output,
	.display = session_vm_display,
	.done = session_vm_done,
	.settled = session_settled,
	.saved = session_saved,
};

/* ---- an earlier hearthd's ---------------------------------------------------------------------------------------- */

static struct session *revive(struct sessions *all, const struct session_record *record)
{
	struct error err = { 0 };
	struct session *s = session_find(all, record->identifier)
				    ? NULL
				    : session_create(all, record->identifier, record->guid, &err);
	int64_t idle_ms = record->was_busy ? 0 : timestamp_now_ms() - record->last_end_ms;

	if (!s)
		return NULL;
	s->created_ms = record->created_ms;
	s->was_used = record->was_used;
	s->last_end_ms = record->was_busy ? timestamp_now_ms() : record->last_end_ms;
	s->idle_since_ns = uv_hrtime() - (uint64_t)(idle_ms > 0 ? idle_ms : 0) * 1000000;
	s->source = s->next_source = SESSION_REUSED;
	session_start_life(s);
	return s;
}

/* What its memory is a difference over: no other that has got its name since. */
static struct snapshot *open_base(const struct sessions *all, const struct session_record *record)
{
	struct error err = { 0 };
	struct snapshot *snapshot = snapshot_open(all->host->loop, record->snapshot, &err);

	if (snapshot && (snapshot->memory_inode != record->snapshot_inode ||
			 snapshot->memory_changed_ns != record->snapshot_changed_ns)) {
		snapshot_release(snapshot);
		snapshot = NULL;
	}
	return snapshot;
}

bool sessions_adopt(struct sessions *all, const struct session_record *record, const char *vm_id,
		    const struct microvm_directory *d)
{
	struct session *s = revive(all, record);
	struct snapshot *snapshot = NULL;
	struct error err = { 0 };

	if (!s)
		return false;
	if (record->snapshot[0]) {
		snapshot = open_base(all, record);
		s->cannot_be_saved = !snapshot;
		if (snapshot && strncmp(snapshot->folder, templates_workspace(all->templates),
					strlen(templates_workspace(all->templates))) == 0)
			snapshot->is_temporary = true;
	}
	/* Which disks it was booted with is not known any more. */
	if (all->rules.container && !record->snapshot[0])
		s->cannot_be_saved = true;
	session_account(s);
	s->has_container = true;
	s->microvm = microvm_attach(all->host, vm_id, d, &record->shape, snapshot, all->rules.tokens,
				    &session_microvm_callbacks, s, &err);
	snapshot_release(snapshot);
	if (!s->microvm) {
		log_warn("session=%.8s vm=%s cannot be taken over: %s", s->guid, vm_id, err.text);
		session_discard(s);
		return false;
	}
	s->has_record = true;
	microvm_name_session(s->microvm, s->guid, s->pool);
	log_info("session=%.8s vm=%s state=booting is taken over", s->guid, vm_id);
	return true;
}

bool sessions_adopt_suspended(struct sessions *all, const struct session_record *record, const char *folder)
{
	struct session *s = revive(all, record);
	struct error err = { 0 };
	int64_t left_ms;

	if (!s)
		return false;
	s->suspended = snapshot_open(all->host->loop, folder, &err);
	if (!s->suspended) {
		log_warn("session=%.8s cannot be taken over: %s", s->guid, err.text);
		session_discard(s);
		return false;
	}
	s->suspended->is_temporary = true;
	session_become_suspended(s, "it was when the earlier hearthd ended");
	left_ms = record->last_end_ms + (int64_t)all->settings.suspended_keep_ms - timestamp_now_ms();
	uv_timer_start(&s->timer, on_kept_long, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
	return true;
}
