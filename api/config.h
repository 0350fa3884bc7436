/*
 * hearthd's settings: one table of keys, each with its type, default and help, from which the flags, the configuration
 * file, --help and --print-config are made. A flag overrules the file, the file overrules the default.
 */
#ifndef HEARTH_API_CONFIG_H
#define HEARTH_API_CONFIG_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct config {
	/* texts are never NULL, and owned */
	char *listen;
	char *home;
	char *runtime_dir;
	char *vmm;
	char *kernel;
	char *image;
	char *kernel_arguments;
	char *token_file;
	char *tls_certificate; /* "": plain HTTP */
	char *tls_key;
	int64_t allow_plain_http; /* 0 or 1 */
	char *jwt_issuer;         /* "": no JSON Web Tokens */
	char *jwt_keys;
	char *jwt_audiences;
	char *jwt_role_claim;
	char *jwt_pools_claim;
	char *jwt_default_role; /* "": none */
	char *identity_file;    /* "": no identities */
	char *template_dir;
	char *image_dir;
	int64_t boot_always; /* 0 or 1 */
	char *lifecycle;
	char *database;
	char *log_level;
	char *log_format;
	char *log_file; /* "": stderr */
	int64_t session_memory_mib;
	int64_t session_vcpus;
	int64_t max_sessions;
	int64_t max_file_mib;
	int64_t proxy_start_timeout_s;
	int64_t proxy_answer_timeout_s;
	int64_t max_queued;
	int64_t cooldown_s;
	int64_t max_alive_s;
	int64_t ready_sessions;
	int64_t refill_concurrency;
	int64_t suspend_after_s;
	int64_t suspended_keep_s;
	int64_t orphan_timeout_s;
	int64_t keep_sessions; /* 0 or 1 */
	int64_t min_cooldown_s;
	int64_t execution_timeout_s;
	int64_t max_execution_timeout_s;
	int64_t output_limit_bytes;
	int64_t boot_timeout_s;
	int64_t answer_grace_s;
	int64_t max_connections;
	int64_t idle_timeout_s;
	int64_t body_budget_mib;
	int64_t unsafe_no_jail; /* 0 or 1 */
	int64_t jail_first_user;
	int64_t metrics_open; /* 0 or 1 */
	char *mcp_allowed_origins;
	int64_t usage_interval_s;
	int64_t usage_keep_days;

	bool wants_help;
	bool wants_version;
	bool wants_print;
	char *file; /* --config, or NULL */
};

/* Fills *c from the arguments, the file and the defaults. 0 or negative with *err filled. config_fini() in any case. */
int config_load(struct config *c, int argc, char *const argv[], struct error *err);
void config_fini(struct config *c);

/*
 * Reads a file's text (`name` is for errors) into the keys that have no value yet. The format is the part of TOML that
 * flat settings need: `key = value` a line, with strings in quotes, integers, booleans, and comments.
 */
int config_parse(struct config *c, const char *text, const char *name, struct error *err);

/* The settings in the format of the file. */
void config_print(const struct config *c, FILE *out);

/* The flags with their defaults and help. */
void config_print_help(FILE *out);

#endif
