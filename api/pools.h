/*
 * The pools that run, by name. A pool is its definition, the template that its microVMs are cloned from, a stock of
 * ready ones, and its sessions. Storing definitions is somebody else's: this is what is in force.
 */
#ifndef HEARTH_API_POOLS_H
#define HEARTH_API_POOLS_H

#include "api/pool_definition.h"
#include "api/session.h"
#include "api/template.h"
#include "common/error.h"

struct pools;
struct pool;

struct token_sources;

struct pools_settings {
	struct sessions_settings sessions;
	const struct token_sources *tokens; /* the identities that definitions may name */
	const char *image_folder;           /* where imported images of containers are; lives longer */
	unsigned int refill_concurrency;    /* microVMs that all stocks together prepare at a time */
};

/* Codes of struct error, besides errno values. */
enum pools_error {
	POOLS_NOT_FOUND = 1100,
	POOLS_NO_TEMPLATE,   /* the definition names a user's template that there is not */
	POOLS_NO_IMAGE,      /* the definition names a container's image that was not imported */
	POOLS_NO_IDENTITY,   /* the definition names an identity that there is not */
	POOLS_NOT_SUPPORTED, /* e.g. a network that this machine lacks something for, or a container without an
	                      * entrypoint */
	POOLS_IS_DEFAULT,    /* the default pool cannot be deleted */
};

struct pool_counts {
	struct sessions_counts sessions;
	unsigned int n_ready;       /* in the stock */
	unsigned int n_preparing;   /* on their way to it */
	unsigned int target;        /* how many ready ones the stock wants at the moment */
	const char *template_state; /* absent, building, ready, failed */
};

/* `host` and `templates` must live longer. NULL if there is no memory. */
struct pools *pools_create(struct microvm_host *host, struct templates *templates,
			   const struct pools_settings *settings);

/* Only after pools_stop() or pools_leave(), when the host's last microVM is gone. NULL is fine. */
void pools_destroy(struct pools *pools);

/*
 * Makes the pool of that name, or gives it a new definition: sessions stay as they are; where machines of another shape
 * or template are wanted the stock is made anew. 0, or negative with *err filled. The definition is copied, and checked
 * for what only the running system knows; pool_definition_check() is the caller's.
 */
int pools_put(struct pools *pools, const struct pool_definition *definition, struct error *err);

/* Ends the pool and all its sessions. Not the default one. 0, or negative with *err filled. */
int pools_delete(struct pools *pools, const char *name, struct error *err);

/* The pool of that name in any case, or NULL; valid until pools_delete(). A NULL name is the default pool. */
struct pool *pools_find(const struct pools *pools, const char *name);

/* The pool after `pool`, the first one after NULL; NULL at the end. The default pool comes first. */
struct pool *pools_next(const struct pools *pools, const struct pool *pool);

const struct pool_definition *pool_definition_of(const struct pool *pool);
struct sessions *pool_sessions(const struct pool *pool);
struct pool_counts pool_count(const struct pool *pool);

/*
 * A pool that exists and cannot run: pools_adopt() leaves alone what an earlier hearthd left of it, suspended sessions as
 * long as they are kept. 0 or -ENOMEM.
 */
int pools_set_aside(struct pools *pools, const char *name);

/*
 * Takes over the sessions that an earlier hearthd left (session_record.h), and clears away what cannot be taken over.
 * Once, when all pools are there and before requests come.
 */
void pools_adopt(struct pools *pools);

/* A template came, went or became ready: what templates_create()'s `changed` is for. */
void pools_templates_changed(struct pools *pools);

/* Ends everything and takes no more work. Executions that wait or run finish with EXECUTION_STOPPING. */
void pools_stop(struct pools *pools);

/* Likewise, but leaves the sessions' microVMs and snapshots to the next hearthd. */
void pools_leave(struct pools *pools);

#endif
