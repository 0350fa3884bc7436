#include "api/pools.h"

#include "api/container_spec.h"
#include "api/network.h"
#include "api/session_pool.h"
#include "api/stock.h"
#include "api/timestamp.h"
#include "api/token_source.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct pool {
	struct pools *all;
	struct pool *next;
	struct pool_definition definition;
	char *network;                    /* the policy, for hearth-netd; NULL: no network */
	struct template *template;        /* NULL: the user's template that it names does not exist */
	struct container_spec *container; /* of a pool of containers */
	struct stock *stock;
	struct sessions *sessions;
};

/* The name of one that cannot run. */
struct unable {
	struct unable *next;
	char name[POOL_NAME_SIZE];
};

struct pools {
	struct microvm_host *host;
	struct templates *templates;
	struct pools_settings settings;
	struct refill refill;
	struct pool *list; /* in the order in which they were made: the default one first */
	struct unable *unable;
	bool is_stopping;
};

/* ---- the stocks -------------------------------------------------------------------------------------------------- */

static void refill_all(void *data)
{
	struct pools *all = data;

	for (struct pool *p = all->list; p && !all->is_stopping; p = p->next)
		stock_refill(p->stock);
}

static unsigned int count_running(void *data)
{
	const struct pools *all = data;
	unsigned int n = 0;

	for (const struct pool *p = all->list; p; p = p->next) {
		struct sessions_counts counts = sessions_count(p->sessions);

		n += counts.n_busy + counts.n_starting;
	}
	return n;
}

static unsigned int room_of(void *data)
{
	const struct pool *p = data;

	return sessions_room(p->sessions);
}

static void on_sessions_changed(void *data)
{
	struct pool *p = data;

	if (!p->all->is_stopping)
		stock_refill_later(p->stock);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

/* The policy's text: the one that was, where nothing has changed. NULL without a network; false without memory. */
static bool update_network(struct pool *p, char **old)
{
	char text[EGRESS_TEXT_SIZE];

	*old = NULL;
	egress_policy_format(&p->definition.egress, text);
	if (p->definition.network == POOL_EGRESS_ENABLED && p->network && strcmp(p->network, text) == 0)
		return true;
	*old = p->network;
	p->network = p->definition.network == POOL_EGRESS_ENABLED ? strdup(text) : NULL;
	return p->network || p->definition.network == POOL_EGRESS_DISABLED;
}

static struct template *find_template(const struct pool *p, const struct microvm_shape *shape)
{
	const struct pool_definition *d = &p->definition;

	if (p->container)
		return templates_container(p->all->templates, shape, p->container);
	if (d->template_name[0])
		return templates_user(p->all->templates, d->template_name);
	return templates_builtin(p->all->templates, shape, pool_language(d->container_type));
}

/* Makes what runs agree with the definition, and with the templates that there are. */
static void apply(struct pool *p)
{
	const struct pool_definition *d = &p->definition;
	struct sessions_rules rules = {
		.max_sessions = d->max_concurrent_sessions,
		.cooldown_ms = d->lifecycle == POOL_TIMED ? (uint64_t)d->cooldown_s * 1000 : 0,
		.max_alive_ms = d->lifecycle == POOL_MAX_LIFETIME ? (uint64_t)d->max_alive_s * 1000 : 0,
		.shape = { .memory_mib = d->memory_mib,
			   .n_vcpus = pool_definition_vcpus(d),
			   .has_network = d->network == POOL_EGRESS_ENABLED },
		.limits = { .cpu_milli = d->cpu_milli,
			    .n_processes = d->limits.processes,
			    .disk_bytes = (uint64_t)d->limits.disk_mib << 20 },
		.session_rate = d->limits.session_rate,
		.pool_rate = d->limits.pool_rate,
		.tokens = d->identity_is_offered ? token_sources_find(p->all->settings.tokens, d->identity) : NULL,
	};

	struct template *old_template;
	char *old_network;

	if (!update_network(p, &old_network))
		log_error("pool=%s has no network: out of memory", d->name);
	rules.network = p->network;
	memcpy(rules.pool, d->name, sizeof(rules.pool));
	old_template = p->template;
	p->template = find_template(p, &rules.shape);
	rules.template = p->template;
	rules.container = p->container;
	sessions_set_rules(p->sessions, &rules);
	stock_set(p->stock, p->template, rules.tokens, rules.network, d->ready_session_instances);
	free(old_network);
	template_let_go(old_template);
}

void pools_templates_changed(struct pools *all)
{
	for (struct pool *p = all->list; p && !all->is_stopping; p = p->next)
		apply(p);
}

static int check_network(struct pools *all, const struct pool_definition *d, struct error *err)
{
	struct template_info info;
	char lacks[256];

	if (!network_is_possible(all->host->netd, lacks, sizeof(lacks)))
		return error_set(err, POOLS_NOT_SUPPORTED, "EgressEnabled is not possible on this machine: %s.", lacks);
	if (d->template_name[0] && templates_find(all->templates, d->template_name, &info) && !info.has_network)
		return error_set(
			err, POOLS_NOT_SUPPORTED,
			"The template '%s' has no network device: for EgressEnabled make one from a session of "
			"a pool that has EgressEnabled.",
			d->template_name);
	return 0;
}

static int check(struct pools *all, const struct pool_definition *d, struct error *err)
{
	if (all->is_stopping)
		return error_set(err, SESSIONS_STOPPING, "The service is stopping.");
	if (d->template_name[0] && !templates_user(all->templates, d->template_name))
		return error_set(err, POOLS_NO_TEMPLATE, "There is no template '%s'.", d->template_name);
	if (d->network == POOL_EGRESS_ENABLED && check_network(all, d, err) < 0)
		return -err->code;
	if (d->identity_is_offered && !token_sources_find(all->settings.tokens, d->identity))
		return error_set(err, POOLS_NO_IDENTITY,
				 "There is no identity '%.64s': the administrator names them in identity-file.",
				 d->identity);
	return 0;
}

static struct pool *create(struct pools *all)
{
	struct pool *p = calloc(1, sizeof(*p));
	struct pool **link = &all->list;

	if (!p)
		return NULL;
	p->all = all;
	p->stock = stock_create(all->host, &all->refill, room_of, p);
	if (p->stock)
		p->sessions = sessions_create(all->host, all->templates, p->stock, &all->settings.sessions,
					      on_sessions_changed, p);
	if (!p->sessions) {
		stock_destroy(p->stock);
		free(p);
		return NULL;
	}
	while (*link)
		link = &(*link)->next;
	*link = p;
	return p;
}

/* What a pool of containers runs, NULL for others. 0, or negative with *err filled. */
static int make_container(const struct pools *all, const struct pool_definition *d, struct container_spec **container,
			  struct error *err)
{
	*container = NULL;
	if (d->container_type != POOL_CUSTOM_CONTAINER)
		return 0;
	*container = container_spec_make(d, all->settings.image_folder, err);
	if (*container)
		return 0;
	if (err->code == ENOENT)
		err->code = POOLS_NO_IMAGE;
	else if (err->code == EINVAL)
		err->code = POOLS_NOT_SUPPORTED;
	return -err->code;
}

int pools_put(struct pools *all, const struct pool_definition *definition, struct error *err)
{
	struct pool *p = pools_find(all, definition->name);
	struct container_spec *container = NULL, *old_container;
	int rc = check(all, definition, err);

	if (rc == 0)
		rc = make_container(all, definition, &container, err);
	if (rc < 0)
		return rc;
	if (!p)
		p = create(all);
	if (!p) {
		container_spec_release(container);
		return error_set(err, ENOMEM, "out of memory");
	}
	old_container = p->container;
	p->container = container;
	p->definition = *definition;
	log_info("pool=%s max=%u ready=%u memory_mib=%u cpu=%g template=%s", definition->name,
		 definition->max_concurrent_sessions, definition->ready_session_instances, definition->memory_mib,
		 definition->cpu_milli / 1000.0, definition->template_name[0] ? definition->template_name : "built-in");
	apply(p);
	container_spec_release(old_container);
	return 0;
}

static void destroy(struct pool *p)
{
	stock_destroy(p->stock);
	sessions_destroy(p->sessions);
	template_let_go(p->template);
	container_spec_release(p->container);
	free(p->network);
	free(p);
}

int pools_delete(struct pools *all, const char *name, struct error *err)
{
	struct pool *p = pools_find(all, name);
	struct pool **link = &all->list;

	if (!p)
		return error_set(err, POOLS_NOT_FOUND, "There is no session pool '%.64s'.", name);
	if (strcasecmp(p->definition.name, POOL_DEFAULT_NAME) == 0)
		return error_set(err, POOLS_IS_DEFAULT, "The default pool cannot be deleted.");
	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	log_info("pool=%s is deleted", p->definition.name);
	sessions_stop(p->sessions, EXECUTION_ABORTED, "its pool was deleted");
	destroy(p);
	refill_all(all);
	return 0;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

struct pool *pools_find(const struct pools *all, const char *name)
{
	for (struct pool *p = all->list; p; p = p->next)
		if (strcasecmp(p->definition.name, name ? name : POOL_DEFAULT_NAME) == 0)
			return p;
	return NULL;
}

struct pool *pools_next(const struct pools *all, const struct pool *pool)
{
	return pool ? pool->next : all->list;
}

const struct pool_definition *pool_definition_of(const struct pool *pool)
{
	return &pool->definition;
}

struct sessions *pool_sessions(const struct pool *pool)
{
	return pool->sessions;
}

struct pool_counts pool_count(const struct pool *pool)
{
	struct stock_counts stock = stock_count(pool->stock);

	return (struct pool_counts) {
		.sessions = sessions_count(pool->sessions),
		.n_ready = stock.n_ready,
		.n_preparing = stock.n_preparing,
		.target = stock.target,
		.template_state = pool->template ? template_state(pool->template) : "absent",
	};
}

/* ---- an earlier hearthd's ---------------------------------------------------------------------------------------- */

struct adoption {
	struct pools *all;
	unsigned int n_taken, n_waiting, n_removed;
};

int pools_set_aside(struct pools *all, const char *name)
{
	struct unable *one = calloc(1, sizeof(*one));

	if (!one)
		return -ENOMEM;
	snprintf(one->name, sizeof(one->name), "%s", name);
	one->next = all->unable;
	all->unable = one;
	return 0;
}

/* Its pool cannot run just now. */
static bool must_wait(const struct pools *all, const struct session_record *record)
{
	for (const struct unable *one = all->unable; one; one = one->next)
		if (strcasecmp(one->name, record->pool) == 0 && !pools_find(all, record->pool))
			return true;
	return false;
}

/* Ends the microVM if it lives, and removes its directory. */
static void clear_away(struct pools *all, const char *id, const struct microvm_directory *d)
{
	const struct microvm_shape unknown = { 0 };
	struct microvm_directory copy = *d;
	struct error err = { 0 };
	struct microvm *vm = microvm_attach(all->host, id, d, &unknown, NULL, NULL, NULL, NULL, &err);

	if (vm)
		microvm_destroy(vm, NULL, NULL);
	else
		microvm_directory_remove(&copy);
}

static void adopt_microvm(void *data, const char *id, const struct microvm_directory *d)
{
	struct adoption *a = data;
	struct session_record record;
	struct error err = { 0 };
	const bool has_record = session_record_read(&record, d->session, &err) == 0;
	struct pool *p = has_record ? pools_find(a->all, record.pool) : NULL;

	if (p && sessions_adopt(p->sessions, &record, id, d)) {
		a->n_taken++;
	} else if (has_record && must_wait(a->all, &record)) {
		a->n_waiting++;
	} else {
		a->n_removed++;
		clear_away(a->all, id, d);
	}
}

static bool read_suspended(const char *folder, struct session_record *record)
{
	char path[SNAPSHOT_PATH_MAX + 16];
	struct error err = { 0 };

	snprintf(path, sizeof(path), "%s/session", folder);
	return session_record_read(record, path, &err) == 0;
}

static bool is_kept(void *data, const char *folder)
{
	const struct pools *all = data;
	struct session_record record;

	return read_suspended(folder, &record) && must_wait(all, &record) &&
	       record.last_end_ms + (int64_t)all->settings.sessions.suspended_keep_ms > timestamp_now_ms();
}

static void adopt_suspended(struct pools *all, const char *folder)
{
	struct session_record record;
	struct pool *p = NULL;

	if (read_suspended(folder, &record))
		p = pools_find(all, record.pool);
	/* The others are swept away. */
	if (p)
		sessions_adopt_suspended(p->sessions, &record, folder);
}

static void adopt_all_suspended(struct pools *all)
{
	DIR *dir = opendir(templates_workspace(all->templates));
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char folder[SNAPSHOT_PATH_MAX];

		if (entry->d_name[0] == '.' || snapshot_is_unfinished(entry->d_name))
			continue;
		if ((size_t)snprintf(folder, sizeof(folder), "%s/%s", templates_workspace(all->templates),
				     entry->d_name) < sizeof(folder))
			adopt_suspended(all, folder);
	}
	if (dir)
		closedir(dir);
}

void pools_adopt(struct pools *all)
{
	struct adoption a = { .all = all };

	runtime_directory_each(all->host->runtime_directory, adopt_microvm, &a);
	if (a.n_taken || a.n_removed)
		log_info("an earlier hearthd left %u sessions that go on, and %u microVMs that are cleared away",
			 a.n_taken, a.n_removed);
	if (a.n_waiting)
		log_warn("an earlier hearthd left %u sessions in pools that cannot run: they end after their "
			 "orphan-timeout-seconds",
			 a.n_waiting);
	adopt_all_suspended(all);
	templates_sweep(all->templates, is_kept, all);
	/* Not sooner: what stocks make must not be taken for what the earlier hearthd left. */
	all->refill.is_open = true;
	refill_all(all);
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

struct pools *pools_create(struct microvm_host *host, struct templates *templates,
			   const struct pools_settings *settings)
{
	struct pools *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->host = host;
	all->templates = templates;
	all->settings = *settings;
	all->refill = (struct refill) {
		.limit = settings->refill_concurrency ? settings->refill_concurrency : 1,
		.n_running = count_running,
		.freed = refill_all,
		.data = all,
	};
	return all;
}

static void stop(struct pools *all, bool is_leaving)
{
	all->is_stopping = true;
	for (struct pool *p = all->list; p; p = p->next) {
		if (is_leaving)
			sessions_leave(p->sessions);
		else
			sessions_stop(p->sessions, EXECUTION_STOPPING, "hearthd is stopping");
		stock_destroy(p->stock);
		p->stock = NULL;
	}
	templates_stop(all->templates);
}

void pools_stop(struct pools *all)
{
	stop(all, false);
}

void pools_leave(struct pools *all)
{
	stop(all, true);
}

void pools_destroy(struct pools *all)
{
	while (all && all->list) {
		struct pool *p = all->list;

		all->list = p->next;
		destroy(p);
	}
	while (all && all->unable) {
		struct unable *one = all->unable;

		all->unable = one->next;
		free(one);
	}
	free(all);
}
