/*
 * hearthd, the control plane: start-up in the order in which it happens, then the loop, then the end. On SIGTERM or
 * SIGINT it takes no more work, answers what waits or runs with 503, ends all microVMs, and leaves nothing behind.
 */
#include "api/config.h"
#include "api/http_server.h"
#include "api/microvm_directory.h"
#include "api/router.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

enum {
	DRAIN_MS = 2000,      /* for clients to take their last answer */
	DRAIN_STEP_MS = 20,   /* between two looks at whether they have */
	DESCRIPTORS_EACH = 8, /* of a session: control, pidfd, agent, and some air */
};

struct hearthd {
	uv_loop_t loop;
	struct config config;
	struct microvm_host host;
	struct service service;
	struct http_server *http;
	int runtime_lock;
	uv_signal_t signals[2];
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

static void stop(struct hearthd *h)
{
	h->service.is_stopping = true;
	for (size_t i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&h->signals[i], NULL);
	http_server_quiesce(h->http);
	sessions_stop(h->service.sessions);
	if (h->host.n_microvms == 0)
		on_all_microvms_gone(h);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct hearthd *h = handle->data;

	log_info("stopping on %s", number == SIGINT ? "SIGINT" : "SIGTERM");
	if (!h->service.is_stopping)
		stop(h);
}

/* ---- the start --------------------------------------------------------------------------------------------------- */

/* A connection and a session take descriptors each; the soft limit is often 1024. */
static void raise_descriptor_limit(const struct config *c)
{
	rlim_t wanted = (rlim_t)(2 * c->max_connections + DESCRIPTORS_EACH * c->max_sessions + 64);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < wanted)
		log_warn("%llu file descriptors are wanted for max-connections and max-sessions, %llu are allowed",
			 (unsigned long long)wanted, (unsigned long long)limit.rlim_cur);
}

static void fill_host(struct hearthd *h)
{
	const struct config *c = &h->config;

	h->host = (struct microvm_host) {
		.loop = &h->loop,
		.runtime_directory = c->runtime_dir,
		.vmm = c->vmm,
		.kernel = c->kernel,
		.image = c->image,
		.kernel_arguments = c->kernel_arguments,
		.memory_mib = (uint32_t)c->session_memory_mib,
		.n_vcpus = (uint32_t)c->session_vcpus,
		.boot_timeout_ms = (uint32_t)c->boot_timeout_s * 1000,
		.all_gone = on_all_microvms_gone,
		.data = h,
	};
}

static int start_service(struct hearthd *h, struct error *err)
{
	const struct config *c = &h->config;
	const struct sessions_settings settings = {
		.max_sessions = (unsigned int)c->max_sessions,
		.max_queued = (unsigned int)c->max_queued,
		.cooldown_ms = (uint64_t)c->cooldown_s * 1000,
		.start_grace_ms = (uint64_t)c->boot_timeout_s * 1000,
		.answer_grace_ms = (uint64_t)c->answer_grace_s * 1000,
	};

	h->service = (struct service) {
		.loop = &h->loop,
		.default_timeout_s = (uint32_t)c->execution_timeout_s,
		.max_timeout_s = (uint32_t)c->max_execution_timeout_s,
		.output_limit = (uint64_t)c->output_limit_bytes,
		.started_ns = uv_hrtime(),
	};
	if (auth_load(&h->service.auth, c->token_file, err) < 0)
		return -err->code;
	fill_host(h);
	h->service.sessions = sessions_create(&h->host, &settings);
	return h->service.sessions ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int start_http(struct hearthd *h, struct error *err)
{
	const struct config *c = &h->config;
	const struct http_handler handler = { router_begin, router_complete, &h->service };
	const struct http_server_settings settings = {
		.listen = c->listen,
		.max_connections = (unsigned int)c->max_connections,
		.idle_timeout_s = (unsigned int)c->idle_timeout_s,
		.body_budget = (size_t)c->body_budget_mib << 20,
	};

	h->http = http_server_create(&h->loop, &settings, &handler, err);
	return h->http ? 0 : -err->code;
}

static void watch_signals(struct hearthd *h)
{
	static const int numbers[2] = { SIGTERM, SIGINT };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < 2; i++) {
		uv_signal_init(&h->loop, &h->signals[i]);
		h->signals[i].data = h;
		uv_signal_start(&h->signals[i], on_signal, numbers[i]);
	}
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
		watch_signals(h);
		log_info("version %s, at most %lld sessions of %lld MiB", HEARTH_VERSION,
			 (long long)h->config.max_sessions, (long long)h->config.session_memory_mib);
		printf("hearthd: serving on http://%s\n", http_server_address(h->http));
		fflush(stdout);
		uv_run(&h->loop, UV_RUN_DEFAULT);
		log_info("stopped");
	}
	sessions_destroy(h->service.sessions);
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
	rc = config_load(&h.config, argc, argv, &err);
	if (rc == 0 && h.config.wants_help)
		config_print_help(stdout);
	else if (rc == 0 && h.config.wants_version)
		printf("hearthd %s\n", HEARTH_VERSION);
	else if (rc == 0 && h.config.wants_print)
		config_print(&h.config, stdout);
	else if (rc == 0) {
		log_threshold((enum log_level)log_level_from_name(h.config.log_level));
		rc = serve(&h, &err);
	}
	if (rc < 0)
		log_error("%s", err.text);
	config_fini(&h.config);
	return rc < 0 ? 1 : 0;
}
