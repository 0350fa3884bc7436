/*
 * Where the tokens of managed identities come from: the identities that the administrator's file names, each with one
 * token, a file that somebody keeps fresh, or a command. Clients name identities; what is behind them they never see.
 *
 * A command gets only resources that the file lists, as the file writes them.
 *
 *     { "billing": { "command": ["/usr/local/bin/get-token", "{resource}"], "resources": ["https://vault.azure.net"] },
 *       "reports": { "file": "/run/tokens/reports" },
 *       "trial":   { "token": "…", "lifetimeInSeconds": 3600 } }
 */
#ifndef HEARTH_API_TOKEN_SOURCE_H
#define HEARTH_API_TOKEN_SOURCE_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
	TOKEN_MAX = 64 << 10, /* bytes of a token */
};

struct token_sources;
struct token_source;
struct token_request;

/*
 * `token` is NULL if there is none: `status` is the HTTP status that says why, and `problem` a sentence for the guest,
 * which learns nothing of the source. Else `expires_on` is in seconds since 1970.
 */
typedef void (*token_done)(void *data, const char *token, int64_t expires_on, unsigned int status, const char *problem);

/*
 * Reads the file, which nobody but its owner may read; without a path there are no identities. NULL with *err filled if
 * it makes no sense.
 */
struct token_sources *token_sources_load(uv_loop_t *loop, const char *path, struct error *err);

/* Ends the commands that run; their requests must have been cancelled. NULL is fine. */
void token_sources_destroy(struct token_sources *sources);

/* The identity of that name; NULL if there is none, or no sources are. It lives as long as the sources do. */
struct token_source *token_sources_find(const struct token_sources *sources, const char *name);

/*
 * Gets a token for a resource, which a guest names. Answers within the call where it can, and returns NULL; else returns
 * the request, and answers once, later.
 */
struct token_request *token_source_get(struct token_source *source, const char *resource, token_done done, void *data);

/* Nobody is told any more. */
void token_request_cancel(struct token_request *request);

#endif
