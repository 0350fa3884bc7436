#include "api/config.h"

#include "api/home.h"
#include "api/pool_definition.h"
#include "api/principal.h"
#include "api/toml.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum key_type { KEY_TEXT, KEY_INTEGER, KEY_BOOLEAN };

struct key {
	const char *name;
	enum key_type type;
	size_t offset;            /* in struct config */
	const char *default_text; /* NULL: see default_of(); what it is stands in `help` */
	int64_t default_integer;
	int64_t lowest, highest;
	const char *help;
};

#define TEXT(name, field, value, help)                                                                                 \
	{                                                                                                              \
		name, KEY_TEXT, offsetof(struct config, field), value, 0, 0, 0, help                                   \
	}
#define INTEGER(name, field, value, lowest, highest, help)                                                             \
	{                                                                                                              \
		name, KEY_INTEGER, offsetof(struct config, field), NULL, value, lowest, highest, help                  \
	}
#define BOOLEAN(name, field, help)                                                                                     \
	{                                                                                                              \
		name, KEY_BOOLEAN, offsetof(struct config, field), NULL, 0, 0, 1, help                                 \
	}

static const struct key keys[] = {
	TEXT("listen", listen, "127.0.0.1:8080", "address and port to serve on; port 0 takes a free one"),
	TEXT("home", home, NULL,
	     "where images and the token are; default: $HEARTH_HOME, else the folder of this executable if it has "
	     "images/, else /var/lib/hearth"),
	TEXT("runtime-dir", runtime_dir, NULL,
	     "short path on a tmpfs for the sockets of microVMs; default: /run/hearth for root, else "
	     "$XDG_RUNTIME_DIR/hearth"),
	TEXT("vmm", vmm, NULL, "the hearth-vmm executable; default: beside this executable"),
	TEXT("kernel", kernel, NULL, "guest kernel; default: <home>/images/vmlinux"),
	TEXT("image", image, NULL, "guest image; default: <home>/images/code-interpreter.erofs"),
	TEXT("kernel-arguments", kernel_arguments, "",
	     "further arguments for the guest kernel, e.g. loglevel=7 for its log on the console"),
	TEXT("token-file", token_file, NULL, "holds the administrator's bearer token; default: <home>/token"),
	TEXT("tls-certificate", tls_certificate, "",
	     "serve HTTPS with this certificate: a file in PEM, the server's own first, then those that lead to its "
	     "authority; `hearth cert init` makes one for trying"),
	TEXT("tls-key", tls_key, "", "the certificate's private key, a file in PEM"),
	BOOLEAN("allow-plain-http", allow_plain_http,
		"serve plain HTTP on other addresses than loopback ones, too: for use behind a proxy with TLS"),
	TEXT("jwt-issuer", jwt_issuer, "",
	     "the issuer (claim iss) whose JSON Web Tokens are accepted as bearer tokens; empty: none are"),
	TEXT("jwt-keys", jwt_keys, "",
	     "the issuer's public keys: a JWKS in a file, or at a URL (https://, or http:// on a loopback address)"),
	TEXT("jwt-audiences", jwt_audiences, "https://dynamicsessions.io https://acasessions.io",
	     "of these, with spaces between, a token must name one (claim aud); a slash at the end does not matter"),
	TEXT("jwt-role-claim", jwt_role_claim, "roles",
	     "the claim with the role: reader, executor or manager, also after `hearth.`; in a claim within a claim: "
	     "outer.inner"),
	TEXT("jwt-pools-claim", jwt_pools_claim, "pools",
	     "the claim with the session pools that the role is for; a token without it: all"),
	TEXT("jwt-default-role", jwt_default_role, "", "the role of a token without the role's claim; empty: none"),
	TEXT("identity-file", identity_file, "",
	     "the managed identities that pools may name, and where their tokens come from: a JSON file that only its "
	     "owner may read (docs/configuration.md)"),
	TEXT("database", database, NULL,
	     "keeps the pools that were created and the API keys; on a file system with locks and shared memory; "
	     "default: "
	     "<home>/hearth.db"),
	TEXT("image-dir", image_dir, NULL,
	     "container images, which `hearth image` imports, lists and removes; default: <home>/container-images"),
	TEXT("template-dir", template_dir, NULL,
	     "snapshots that sessions are started from, and suspended sessions; on a file system whose files can be "
	     "mapped and linked; default: <home>/templates"),
	BOOLEAN("boot-always", boot_always,
		"boot each session's machine, instead of cloning a snapshot of a booted one; to measure what that "
		"costs"),
	TEXT("log-level", log_level, "info", "error, warn, info or debug"),
	TEXT("log-format", log_format, "text", "text, or json: one object a line"),
	TEXT("log-file", log_file, "", "file that the log is appended to, opened again on SIGHUP; default: stderr"),
	INTEGER("session-memory-mib", session_memory_mib, 1024, 128, 16384, "memory of a session's microVM"),
	INTEGER("session-vcpus", session_vcpus, 1, 1, 64, "CPUs of a session's microVM"),
	INTEGER("max-sessions", max_sessions, 100, 1, 10000, "sessions that exist at a time"),
	INTEGER("max-file-mib", max_file_mib, 128, 1, 1 << 20, "size of a file that may be uploaded"),
	INTEGER("max-queued", max_queued, 32, 1, 10000, "executions, or orders, that may wait in one session"),
	INTEGER("cooldown-seconds", cooldown_s, 300, 1, 604800,
		"a session that was idle for so long is destroyed with its files"),
	TEXT("lifecycle", lifecycle, "Timed",
	     "of the default pool: Timed ends a session by cooldown-seconds, MaxLifetime by max-alive-seconds"),
	INTEGER("max-alive-seconds", max_alive_s, 3600, 1, 2592000,
		"with lifecycle MaxLifetime: time after which a session ends, used or not"),
	INTEGER("ready-sessions", ready_sessions, 2, 0, 1000,
		"of the default pool: microVMs that are kept ready, so that a new session costs a hand-over and no "
		"start"),
	INTEGER("refill-concurrency", refill_concurrency, 0, 0, 64,
		"microVMs that are prepared for stocks at a time; 0: half of the CPUs"),
	INTEGER("suspend-after-seconds", suspend_after_s, 0, 0, 604800,
		"a session that was idle for so long becomes a snapshot on disk until its next use; 0: never"),
	INTEGER("suspended-keep-seconds", suspended_keep_s, 86400, 1, 31536000,
		"a suspended session is destroyed after that time"),
	INTEGER("orphan-timeout-seconds", orphan_timeout_s, 60, 1, 86400,
		"how long microVMs live on when hearthd is gone, for the next one to take them over"),
	BOOLEAN("keep-sessions", keep_sessions,
		"on SIGTERM leave sessions to the next hearthd, as SIGUSR2 does, instead of ending them"),
	INTEGER("min-cooldown-seconds", min_cooldown_s, 60, 1, 3600,
		"the least cooldown, and the least lifetime, that a created pool may have"),
	INTEGER("execution-timeout-seconds", execution_timeout_s, 220, 1, 86400,
		"time for an execution that names none"),
	INTEGER("max-execution-timeout-seconds", max_execution_timeout_s, 1800, 1, 86400,
		"longest time that a request may ask for; more is cut to this"),
	INTEGER("output-limit-bytes", output_limit_bytes, 1 << 20, 1024, 64 << 20,
		"of each of stdout and stderr of an execution; the rest is cut and counted"),
	INTEGER("boot-timeout-seconds", boot_timeout_s, 120, 1, 3600,
		"time for a microVM to boot, and again for its interpreter to be warm, if it was not before"),
	INTEGER("answer-grace-seconds", answer_grace_s, 10, 1, 3600,
		"time for a guest to answer after an execution's time is over, before its microVM is ended"),
	INTEGER("proxy-start-timeout-seconds", proxy_start_timeout_s, 120, 1, 3600,
		"how long a request to a container waits for its session to start; then it is answered with 503"),
	INTEGER("proxy-answer-timeout-seconds", proxy_answer_timeout_s, 240, 1, 86400,
		"time for a container to begin its answer, once it has the request; then it is answered with 504"),
	INTEGER("max-connections", max_connections, 4000, 8, 100000, "HTTP connections at a time"),
	INTEGER("idle-timeout-seconds", idle_timeout_s, 60, 1, 3600,
		"an HTTP connection that neither sends nor takes anything for so long is closed, and one that has not "
		"sent "
		"the headers of a request by then"),
	INTEGER("body-budget-mib", body_budget_mib, 512, 64, 65536,
		"memory for the bodies of all requests that are being received"),
	INTEGER("usage-interval-seconds", usage_interval_s, 300, 1, 86400,
		"time between two usage records of a session that goes on"),
	INTEGER("usage-keep-days", usage_keep_days, 90, 0, 36500, "how long usage records are kept; 0: for ever"),
	TEXT("mcp-allowed-origins", mcp_allowed_origins, "",
	     "origins of web pages, with spaces between, that may use MCP servers, such as https://tools.example.com; "
	     "those on a loopback address always may"),
	BOOLEAN("unsafe-no-jail", unsafe_no_jail,
		"run hearth-vmm processes without their jail (docs/security.md): to find faults, never for code that "
		"nobody trusts"),
	INTEGER("jail-first-user", jail_first_user, 1879048192, 1000, 2147400000,
		"when hearthd is root: each VMM has a user and group of its own, of the 65536 from this one on"),
	BOOLEAN("metrics-open", metrics_open, "show /metrics to whoever asks, without a token"),
};

enum {
	N_KEYS = sizeof(keys) / sizeof(keys[0]), /* at most 64: see apply_line() */
	UNSET = INT64_MIN,
};

_Static_assert(sizeof(keys) / sizeof(keys[0]) <= 64, "apply_line() has a bit for each key in a uint64_t");

static char **text_of(const struct config *c, const struct key *k)
{
	return (char **)((uintptr_t)c + k->offset);
}

static int64_t *integer_of(const struct config *c, const struct key *k)
{
	return (int64_t *)((uintptr_t)c + k->offset);
}

static const struct key *find_key(const char *name, size_t length)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (strlen(keys[i].name) == length && strncmp(keys[i].name, name, length) == 0)
			return &keys[i];
	return NULL;
}

static int set_text(struct config *c, const struct key *k, const char *text, struct error *err)
{
	*text_of(c, k) = strdup(text);
	return *text_of(c, k) ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int set_integer(struct config *c, const struct key *k, int64_t value, struct error *err)
{
	if (value < k->lowest || value > k->highest)
		return error_set(err, EINVAL, "%s must be from %lld to %lld, not %lld", k->name, (long long)k->lowest,
				 (long long)k->highest, (long long)value);
	*integer_of(c, k) = value;
	return 0;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* `seen` has a bit for each key of this file. A key that a flag has set keeps the flag's value. */
struct reading {
	struct config *config;
	uint64_t seen; /* a bit for each key */
};

static int apply_line(void *data, const struct toml_line *line, struct error *err)
{
	struct reading *reading = data;
	struct config *c = reading->config;
	const struct key *k = find_key(line->key, strlen(line->key));

	if (!k)
		return error_set(err, EINVAL, "there is no key %s (see hearthd --help)", line->key);
	if (reading->seen & 1ull << (k - keys))
		return error_set(err, EINVAL, "the key %s is set twice", line->key);
	reading->seen |= 1ull << (k - keys);
	if (k->type == KEY_TEXT && line->type != TOML_STRING)
		return error_set(err, EINVAL, "%s must be a string in quotes", line->key);
	if (k->type == KEY_INTEGER && line->type != TOML_INTEGER)
		return error_set(err, EINVAL, "%s must be an integer", line->key);
	if (k->type == KEY_BOOLEAN && line->type != TOML_BOOLEAN)
		return error_set(err, EINVAL, "%s must be true or false", line->key);
	if (k->type == KEY_TEXT)
		return *text_of(c, k) ? 0 : set_text(c, k, line->text, err);
	if (*integer_of(c, k) != UNSET)
		return 0;
	return set_integer(c, k, k->type == KEY_BOOLEAN ? line->boolean : line->integer, err);
}

int config_parse(struct config *c, const char *text, const char *name, struct error *err)
{
	struct reading reading = { .config = c };

	return toml_parse(text, name, apply_line, &reading, err);
}

/* ---- the flags --------------------------------------------------------------------------------------------------- */

static int parse_integer(const struct key *k, const char *text, int64_t *value, struct error *err)
{
	char *end;

	errno = 0;
	*value = strtoll(text, &end, 10);
	if (!*text || *end || errno)
		return error_set(err, EINVAL, "--%s must be an integer, not %s", k->name, text);
	return 0;
}

static int parse_boolean(const struct key *k, const char *text, int64_t *value, struct error *err)
{
	*value = strcmp(text, "true") == 0;
	if (!*value && strcmp(text, "false") != 0)
		return error_set(err, EINVAL, "--%s must be true or false, not %s", k->name, text);
	return 0;
}

static int apply_flag(struct config *c, const struct key *k, const char *text, struct error *err)
{
	int64_t value;

	if (k->type != KEY_TEXT) {
		int rc = k->type == KEY_BOOLEAN ? parse_boolean(k, text, &value, err)
						: parse_integer(k, text, &value, err);

		return rc < 0 ? rc : set_integer(c, k, value, err);
	}
	free(*text_of(c, k));
	return set_text(c, k, text, err);
}

static bool parse_switch(struct config *c, const char *argument)
{
	if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
		c->wants_help = true;
	else if (strcmp(argument, "--version") == 0)
		c->wants_version = true;
	else if (strcmp(argument, "--print-config") == 0)
		c->wants_print = true;
	else
		return false;
	return true;
}

static int parse_flags(struct config *c, int argc, char *const argv[], struct error *err)
{
	for (int i = 1; i < argc; i++) {
		const char *name, *equals = strchr(argv[i], '=');
		const char *value = equals ? equals + 1 : argv[i + 1];
		const struct key *k;
		size_t length;
		int rc = 0;

		if (parse_switch(c, argv[i]))
			continue;
		if (strncmp(argv[i], "--", 2) != 0)
			return error_set(err, EINVAL, "%s is no flag (see hearthd --help)", argv[i]);
		name = argv[i] + 2;
		length = strcspn(name, "=");
		k = find_key(name, length);
		if (!k && !(length == 6 && strncmp(name, "config", 6) == 0))
			return error_set(err, EINVAL, "there is no flag %s (see hearthd --help)", argv[i]);
		if (!value)
			return error_set(err, EINVAL, "%s needs a value", argv[i]);
		i += !equals;
		if (k) {
			rc = apply_flag(c, k, value, err);
		} else {
			free(c->file);
			c->file = strdup(value);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- defaults ---------------------------------------------------------------------------------------------------- */

/* Joins into a fresh string; NULL if there is no memory. */
static char *join(const char *folder, const char *rest)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, rest) < 0 ? NULL : path;
}

static char *default_home(void)
{
	char home[PATH_MAX];

	return home_find(home) ? strdup(home) : NULL;
}

static char *default_runtime_dir(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return strdup("/run/hearth");
	return join(runtime ? runtime : "/tmp", "hearth");
}

static char *default_vmm(void)
{
	char folder[PATH_MAX];

	return join(home_own_folder(folder) ? folder : ".", "hearth-vmm");
}

/* The default of a text key; those that lie in the home need c->home. */
static char *default_of(const struct config *c, const struct key *k)
{
	if (k->default_text)
		return strdup(k->default_text);
	if (strcmp(k->name, "home") == 0)
		return default_home();
	if (strcmp(k->name, "runtime-dir") == 0)
		return default_runtime_dir();
	if (strcmp(k->name, "vmm") == 0)
		return default_vmm();
	if (strcmp(k->name, "kernel") == 0)
		return join(c->home, "images/vmlinux");
	if (strcmp(k->name, "image") == 0)
		return join(c->home, "images/code-interpreter.erofs");
	if (strcmp(k->name, "template-dir") == 0)
		return join(c->home, "templates");
	if (strcmp(k->name, "image-dir") == 0)
		return join(c->home, "container-images");
	if (strcmp(k->name, "database") == 0)
		return join(c->home, "hearth.db");
	return join(c->home, "token");
}

static int fill_defaults(struct config *c, struct error *err)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		const struct key *k = &keys[i];

		if (k->type != KEY_TEXT && *integer_of(c, k) == UNSET)
			*integer_of(c, k) = k->default_integer;
		if (k->type == KEY_TEXT && !*text_of(c, k))
			*text_of(c, k) = default_of(c, k);
		if (k->type == KEY_TEXT && !*text_of(c, k))
			return error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

static int check(const struct config *c, struct error *err)
{
	if (log_level_from_name(c->log_level) < 0)
		return error_set(err, EINVAL, "log-level must be error, warn, info or debug, not %s", c->log_level);
	if (strcmp(c->log_format, "text") != 0 && strcmp(c->log_format, "json") != 0)
		return error_set(err, EINVAL, "log-format must be text or json, not %s", c->log_format);
	if (pool_lifecycle_from_name(c->lifecycle) < 0)
		return error_set(err, EINVAL, "lifecycle must be Timed or MaxLifetime, not %s", c->lifecycle);
	if (!*c->tls_certificate != !*c->tls_key)
		return error_set(err, EINVAL, "tls-certificate and tls-key must be set together");
	if (*c->jwt_default_role && role_from_name(c->jwt_default_role) < 0)
		return error_set(err, EINVAL, "jwt-default-role must be reader, executor, manager or empty, not %s",
				 c->jwt_default_role);
	if (!*c->jwt_issuer != !*c->jwt_keys)
		return error_set(err, EINVAL, "jwt-issuer and jwt-keys must be set together");
	if (*c->jwt_issuer && !*c->jwt_audiences)
		return error_set(err, EINVAL, "jwt-audiences must name an audience");
	if (c->ready_sessions > c->max_sessions)
		return error_set(err, EINVAL, "ready-sessions is more than max-sessions");
	if (c->execution_timeout_s > c->max_execution_timeout_s)
		return error_set(err, EINVAL, "execution-timeout-seconds is more than max-execution-timeout-seconds");
	return 0;
}

int config_load(struct config *c, int argc, char *const argv[], struct error *err)
{
	struct reading reading = { .config = c };
	AUTO_FREE char *file = NULL;
	int rc;

	*c = (struct config) { 0 };
	for (size_t i = 0; i < N_KEYS; i++)
		if (keys[i].type != KEY_TEXT)
			*integer_of(c, &keys[i]) = UNSET;
	rc = parse_flags(c, argc, argv, err);
	if (rc < 0 || c->wants_help || c->wants_version)
		return rc;
	if (!c->file) {
		AUTO_FREE char *home = c->home ? strdup(c->home) : default_home();

		file = home ? join(home, "hearth.toml") : NULL;
	}
	if (c->file || file)
		rc = toml_read_file(c->file ? c->file : file, c->file != NULL, apply_line, &reading, err);
	if (rc == 0)
		rc = fill_defaults(c, err);
	return rc < 0 ? rc : check(c, err);
}

void config_fini(struct config *c)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (keys[i].type == KEY_TEXT)
			free(*text_of(c, &keys[i]));
	free(c->file);
	*c = (struct config) { 0 };
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static void print_string(const char *text, FILE *out)
{
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', out);
		putc(*text, out);
	}
	putc('"', out);
}

void config_print(const struct config *c, FILE *out)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		fprintf(out, "# %s\n%s = ", keys[i].help, keys[i].name);
		if (keys[i].type == KEY_TEXT)
			print_string(*text_of(c, &keys[i]), out);
		else if (keys[i].type == KEY_BOOLEAN)
			fputs(*integer_of(c, &keys[i]) ? "true" : "false", out);
		else
			fprintf(out, "%lld", (long long)*integer_of(c, &keys[i]));
		fputs("\n\n", out);
	}
}

void config_print_help(FILE *out)
{
	static const char *const type_names[] = { "TEXT", "N", "true|false" };

	fputs("Usage: hearthd [--KEY VALUE]...\n\n"
	      "Serves the Hearth API: runs Python and Node code, each session in a microVM of its own.\n\n"
	      "  --config FILE      settings, one `key = value` a line; default: <home>/hearth.toml if it exists\n"
	      "  --print-config     print the settings as such a file, and end\n"
	      "  --version, --help  print, and end\n\n"
	      "Each key is a flag and a line of the file; the flag wins:\n\n",
	      out);
	for (size_t i = 0; i < N_KEYS; i++) {
		const struct key *k = &keys[i];

		fprintf(out, "  --%s %s\n      %s", k->name, type_names[k->type], k->help);
		if (k->type == KEY_BOOLEAN)
			fputs(" [false]", out);
		else if (k->type == KEY_INTEGER)
			fprintf(out, " [%lld]", (long long)k->default_integer);
		else if (k->default_text && *k->default_text)
			fprintf(out, " [%s]", k->default_text);
		putc('\n', out);
	}
}
