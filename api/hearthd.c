/*
 * hearthd, the control plane: start-up in the order in which it happens, then the loop, then the end. On SIGTERM or
 * SIGINT it takes no more work, answers what waits or runs with 503, ends all microVMs, and leaves nothing behind. On
 * SIGUSR2 it leaves the sessions to the next hearthd, which takes them over.
 */
#include "api/config.h"
#include "api/http_server.h"
#include "api/image_manifest.h"
#include "api/microvm_directory.h"
#include "api/router.h"
#include "api/service_log.h"
#include "api/stock_policy.h"
#include "api/stored_pools.h"
#include "api/timestamp.h"
#include "api/token_source.h"
#include "api/usage.h"
#include "api/vmm_cgroups.h"
#include "api/vmm_process.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

enum {
	DRAIN_MS = 2000,      /* for clients to take their last answer */
	DRAIN_STEP_MS = 20,   /* between two looks at whether they have */
	DESCRIPTORS_EACH = 8, /* of a microVM: control, pidfd, agent, and some air */
	DESCRIPTORS_OF_POOLS = 16384,
	N_SIGNALS = 3,
};

struct hearthd {
	uv_loop_t loop;
	struct config config;
	struct microvm_host host;
	struct vmm_cgroups *cgroups;
	char netd[PATH_MAX]; /* path of hearth-netd: beside hearth-vmm */
	struct token_sources *tokens;
	struct service service;
	struct http_server *http;
	int runtime_lock;
	uv_signal_t signals[N_SIGNALS];
	uv_signal_t hangup; /* runs if there is a log file */
	uv_timer_t drain;
	uint64_t drain_since_ms;
};

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_drain(uv_timer_t *timer)
{
	struct hearthd *h = timer->data;

	if (http_server_n_requests(h->http) && uv_now(&h->loop) - h->drain_since_ms < DRAIN_MS)
		return;
	http_server_destroy(h->http);
	usage_destroy(h->service.usage);
	issuer_close(h->service.auth.issuer);
	uv_close((uv_handle_t *)&h->drain, NULL);
	/* Nothing holds the loop now, and uv_run() returns. */
}

static void on_all_microvms_gone(void *data)
{
	struct hearthd *h = data;

	if (!h->service.is_stopping || uv_is_active((uv_handle_t *)&h->drain) ||
	    uv_is_closing((uv_handle_t *)&h->drain))
		return;
	h->drain_since_ms = uv_now(&h->loop);
	uv_timer_start(&h->drain, on_drain, 0, DRAIN_STEP_MS);
}

static void stop(struct hearthd *h, bool is_leaving)
{
	h->service.is_stopping = true;
	for (size_t i = 0; i < N_SIGNALS; i++)
		uv_close((uv_handle_t *)&h->signals[i], NULL);
	uv_close((uv_handle_t *)&h->hangup, NULL);
	http_server_quiesce(h->http);
	if (is_leaving)
		pools_leave(h->service.pools);
	else
		pools_stop(h->service.pools);
	if (h->host.n_microvms == 0)
		on_all_microvms_gone(h);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct hearthd *h = handle->data;

	bool is_leaving = number == SIGUSR2 || (number == SIGTERM && h->config.keep_sessions);

	log_info("stopping on %s%s",
		 number == SIGINT    ? "SIGINT"
		 : number == SIGTERM ? "SIGTERM"
				     : "SIGUSR2",
		 is_leaving ? "; sessions are left to the next hearthd" : "");
	if (!h->service.is_stopping)
		stop(h, is_leaving);
}

static void on_hangup(uv_signal_t *handle, int number)
{
	(void)handle;
	(void)number;
	service_log_reopen();
}

/* ---- the start --------------------------------------------------------------------------------------------------- */

/*
 * A connection and a microVM take descriptors each; the soft limit is often 1024. Pools that are created later have
 * sessions as well, so there is always room for some thousand.
 */
static void raise_descriptor_limit(const struct config *c)
{
	rlim_t wanted = (rlim_t)(2 * c->max_connections +
				 DESCRIPTORS_EACH * (c->max_sessions + STOCK_CAP_FACTOR * c->ready_sessions) +
				 DESCRIPTORS_OF_POOLS);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < wanted)
		log_info("%llu file descriptors are wanted for connections and sessions, %llu are allowed",
			 (unsigned long long)wanted, (unsigned long long)limit.rlim_cur);
}

static void fill_host(struct hearthd *h)
{
	const struct config *c = &h->config;

	const char *slash = strrchr(c->vmm, '/');

	snprintf(h->netd, sizeof(h->netd), "%.*shearth-netd", slash ? (int)(slash - c->vmm + 1) : 0, c->vmm);
	h->host = (struct microvm_host) {
		.loop = &h->loop,
		.runtime_directory = c->runtime_dir,
		.vmm = c->vmm,
		.netd = h->netd,
		.kernel = c->kernel,
		.image = c->image,
		.kernel_arguments = c->kernel_arguments,
		.boot_timeout_ms = (uint32_t)c->boot_timeout_s * 1000,
		.orphan_timeout_s = (uint32_t)c->orphan_timeout_s,
		.all_gone = on_all_microvms_gone,
		.data = h,
	};
}

/* What of the jail this machine does not allow is said once, here; VMMs run with the rest. */
static int prepare_jail(struct hearthd *h, struct error *err)
{
	char lacks[256];

	if (h->config.unsafe_no_jail) {
		h->host.jail = MICROVM_JAIL_OFF;
		log_error(
			"UNSAFE: hearth-vmm runs without its jail (unsafe-no-jail): code that breaks out of a microVM "
			"has all rights of hearthd");
		return 0;
	}
	if (geteuid() == 0)
		h->host.first_user = (uint32_t)h->config.jail_first_user;
	else
		log_info("jail: all VMMs have hearthd's user, since only root may give each its own");
	if (vmm_process_probe_jail(h->config.vmm, lacks, sizeof(lacks), err) < 0)
		log_warn("jail: it is not known whether this machine allows all of it: %s", err->text);
	h->host.jail = *lacks ? MICROVM_JAIL_PARTIAL : MICROVM_JAIL_FULL;
	if (*lacks)
		log_warn("jail: %s (docs/security.md says what that costs)", lacks);
	h->cgroups = vmm_cgroups_open(h->config.runtime_dir, lacks, sizeof(lacks));
	h->host.cgroups = h->cgroups;
	if (*lacks)
		log_warn("jail: no limits by cgroup of: %s (as a systemd service: Delegate=yes)", lacks);
	log_info("jail=%s user=%u", *lacks || h->host.jail == MICROVM_JAIL_PARTIAL ? "partial" : "full",
		 h->host.first_user);
	return h->cgroups ? 0 : error_set(err, ENOMEM, "out of memory");
}

static void on_templates_changed(void *data)
{
	struct hearthd *h = data;

	if (h->service.pools)
		pools_templates_changed(h->service.pools);
}

/* The pool that the settings describe, which a stored definition overrules. */
static int start_all_pools(struct hearthd *h, struct error *err)
{
	const struct config *c = &h->config;
	struct pool_definition d = pool_definition_default(POOL_DEFAULT_NAME);

	d.lifecycle = (enum pool_lifecycle)pool_lifecycle_from_name(c->lifecycle);
	d.max_concurrent_sessions = (uint32_t)c->max_sessions;
	d.ready_session_instances = (uint32_t)c->ready_sessions;
	d.cooldown_s = (uint32_t)c->cooldown_s;
	d.max_alive_s = (uint32_t)c->max_alive_s;
	d.memory_mib = (uint32_t)c->session_memory_mib;
	d.cpu_milli = (uint32_t)c->session_vcpus * 1000;
	return stored_pools_start(h->service.pools, h->service.store, &d, err);
}

static int start_pools(struct hearthd *h, struct error *err)
{
	const struct config *c = &h->config;
	long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const struct pools_settings settings = {
		.sessions = {
			.max_queued = (unsigned int)c->max_queued,
			.start_grace_ms = (uint64_t)c->boot_timeout_s * 1000,
			.answer_grace_ms = (uint64_t)c->answer_grace_s * 1000,
			.suspend_after_ms = (uint64_t)c->suspend_after_s * 1000,
			.suspended_keep_ms = (uint64_t)c->suspended_keep_s * 1000,
			.used = usage_take,
			.used_data = h->service.usage,
		},
		.tokens = h->tokens,
		.image_folder = c->image_dir,
		.refill_concurrency = (unsigned int)(c->refill_concurrency ? c->refill_concurrency : n_cpus / 2),
	};
	int rc;

	h->service.templates = templates_create(&h->host, c->template_dir, on_templates_changed, h, err);
	if (!h->service.templates)
		return -err->code;
	if (c->boot_always)
		templates_forgo_builtin(h->service.templates);
	h->service.pools = pools_create(&h->host, h->service.templates, &settings);
	rc = h->service.pools ? start_all_pools(h, err) : error_set(err, ENOMEM, "out of memory");
	if (rc < 0)
		return rc;
	pools_adopt(h->service.pools);
	usage_watch(h->service.usage, h->service.pools);
	return 0;
}

static int start_usage(struct hearthd *h, struct error *err)
{
	const struct config *c = &h->config;
	const struct usage_settings settings = {
		.interval_ms = (uint64_t)c->usage_interval_s * 1000,
		.keep_ms = (uint64_t)c->usage_keep_days * 86400000,
	};

	h->service.usage_store = usage_store_open(c->database, err);
	if (!h->service.usage_store)
		return -err->code;
	h->service.usage = usage_create(&h->loop, h->service.usage_store, &settings);
	return h->service.usage ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int start_issuer(struct hearthd *h, struct error *err)
{
	const struct config *c = &h->config;
	const struct issuer_settings settings = {
		.keys = c->jwt_keys,
		.rules = {
			.issuer = c->jwt_issuer,
			.audiences = c->jwt_audiences,
			.role_claim = c->jwt_role_claim,
			.pools_claim = c->jwt_pools_claim,
			.default_role = role_from_name(c->jwt_default_role),
		},
	};

	if (!*c->jwt_issuer)
		return 0;
	h->service.auth.issuer = issuer_create(&h->loop, &settings, err);
	return h->service.auth.issuer ? 0 : -err->code;
}

static int start_service(struct hearthd *h, struct error *err)
{
	const struct config *c = &h->config;

	h->service = (struct service) {
		.loop = &h->loop,
		.default_timeout_s = (uint32_t)c->execution_timeout_s,
		.max_timeout_s = (uint32_t)c->max_execution_timeout_s,
		.output_limit = (uint64_t)c->output_limit_bytes,
		.is_metrics_open = c->metrics_open,
		.mcp_origins = c->mcp_allowed_origins,
		.file_size_max = (uint64_t)c->max_file_mib << 20,
		.proxy_start_timeout_ms = (uint64_t)c->proxy_start_timeout_s * 1000,
		.proxy_answer_timeout_ms = (uint64_t)c->proxy_answer_timeout_s * 1000,
		.started_ns = uv_hrtime(),
		.started_ms = timestamp_now_ms(),
		.pool_limits = { .min_cooldown_s = (uint32_t)c->min_cooldown_s },
	};
	if (auth_load(&h->service.auth, c->token_file, err) < 0)
		return -err->code;
	fill_host(h);
	if (prepare_jail(h, err) < 0)
		return -err->code;
	h->service.image_manifest = image_manifest_load(c->image, err);
	if (!h->service.image_manifest)
		log_warn("GET metadata has nothing to tell: %s", err->text);
	h->tokens = token_sources_load(&h->loop, c->identity_file, err);
	if (!h->tokens)
		return -err->code;
	h->service.store = pool_store_open(c->database, err);
	if (!h->service.store)
		return -err->code;
	h->service.auth.keys = api_keys_open(c->database, err);
	h->service.mcp_keys = h->service.auth.keys ? mcp_keys_open(c->database, &h->service.auth, err) : NULL;
	if (!h->service.mcp_keys || start_issuer(h, err) < 0)
		return -err->code;
	return start_usage(h, err);
}

static int start_http(struct hearthd *h, struct error *err)
{
	const struct config *c = &h->config;
	const struct http_handler handler = { router_begin, router_complete, router_over, &h->service };
	struct tls_pair tls = { 0 };
	const struct http_server_settings settings = {
		.listen = c->listen,
		.max_connections = (unsigned int)c->max_connections,
		.idle_timeout_s = (unsigned int)c->idle_timeout_s,
		.body_budget = (size_t)c->body_budget_mib << 20,
		.tls = *c->tls_certificate ? &tls : NULL,
		.allow_plain_http = c->allow_plain_http,
	};

	if (settings.tls && tls_pair_load(&tls, c->tls_certificate, c->tls_key, err) < 0) {
		tls_pair_fini(&tls);
		return -err->code;
	}
	h->http = http_server_create(&h->loop, &settings, &handler, err);
	tls_pair_fini(&tls);
	return h->http ? 0 : -err->code;
}

static void watch_signals(struct hearthd *h)
{
	static const int numbers[N_SIGNALS] = { SIGTERM, SIGINT, SIGUSR2 };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < N_SIGNALS; i++) {
		uv_signal_init(&h->loop, &h->signals[i]);
		h->signals[i].data = h;
		uv_signal_start(&h->signals[i], on_signal, numbers[i]);
	}
	/* Without a file, hanging up ends it as it ends other programs. */
	uv_signal_init(&h->loop, &h->hangup);
	if (*h->config.log_file)
		uv_signal_start(&h->hangup, on_hangup, SIGHUP);
	uv_timer_init(&h->loop, &h->drain);
	h->drain.data = h;
}

/* What every session needs is looked for now, so that a wrong path shows at the start and not at the first request. */
static int check_files(const struct config *c, struct error *err)
{
	if (access(c->vmm, X_OK) < 0)
		return error_set(err, errno, "vmm %s: %s (build it with: make)", c->vmm, strerror(errno));
	if (access(c->kernel, R_OK) < 0)
		return error_set(err, errno, "kernel %s: %s (build it with: scripts/build-kernel)", c->kernel,
				 strerror(errno));
	if (access(c->image, R_OK) < 0)
		return error_set(err, errno, "image %s: %s (build it with: scripts/build-rootfs)", c->image,
				 strerror(errno));
	if (strchr(c->image, ','))
		return error_set(err, EINVAL, "image %s: the path must not have a comma", c->image);
	return 0;
}

static void run(struct hearthd *h)
{
	watch_signals(h);
	log_info("version %s, at most %lld sessions of %lld MiB", HEARTH_VERSION, (long long)h->config.max_sessions,
		 (long long)h->config.session_memory_mib);
	printf("hearthd: serving on %s://%s\n", http_server_has_tls(h->http) ? "https" : "http",
	       http_server_address(h->http));
	fflush(stdout);
	uv_run(&h->loop, UV_RUN_DEFAULT);
	log_info("stopped");
}

static int serve(struct hearthd *h, struct error *err)
{
	int rc = check_files(&h->config, err);

	if (rc < 0)
		return rc;
	h->runtime_lock = runtime_directory_open(h->config.runtime_dir, err);
	if (h->runtime_lock < 0)
		return h->runtime_lock;
	raise_descriptor_limit(&h->config);
	uv_loop_init(&h->loop);
	rc = start_service(h, err);
	if (rc == 0)
		rc = start_http(h, err);
	if (rc == 0) {
		/* Last of all that can fail: from here on there are microVMs. */
		rc = start_pools(h, err);
		if (rc < 0)
			http_server_destroy(h->http);
	}
	if (rc == 0)
		run(h);
	pools_destroy(h->service.pools);
	templates_destroy(h->service.templates);
	usage_store_close(h->service.usage_store);
	mcp_keys_close(h->service.mcp_keys);
	api_keys_close(h->service.auth.keys);
	pool_store_close(h->service.store);
	token_sources_destroy(h->tokens);
	image_manifest_destroy(h->service.image_manifest);
	vmm_cgroups_close(h->cgroups);
	auth_fini(&h->service.auth);
	uv_loop_close(&h->loop);
	runtime_directory_close(h->config.runtime_dir, h->runtime_lock);
	return rc;
}

int main(int argc, char *argv[])
{
	struct hearthd h = { 0 };
	struct error err = { 0 };
	int rc;

	log_identity("hearthd");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = config_load(&h.config, argc, argv, &err);
	if (rc == 0 && h.config.wants_help)
		config_print_help(stdout);
	else if (rc == 0 && h.config.wants_version)
		printf("hearthd %s\n", HEARTH_VERSION);
	else if (rc == 0 && h.config.wants_print)
		config_print(&h.config, stdout);
	else if (rc == 0) {
		log_threshold((enum log_level)log_level_from_name(h.config.log_level));
		rc = service_log_open(h.config.log_file, strcmp(h.config.log_format, "json") == 0, &err);
		if (rc == 0)
			rc = serve(&h, &err);
	}
	if (rc < 0)
		log_error("%s", err.text);
	service_log_close();
	config_fini(&h.config);
	return rc < 0 ? 1 : 0;
}
