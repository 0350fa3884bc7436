/* What a pool does with its sessions: makes the set of them, tells it the rules, and ends it. */
#ifndef HEARTH_API_SESSION_POOL_H
#define HEARTH_API_SESSION_POOL_H

#include "api/microvm_directory.h"
#include "api/session.h"
#include "api/session_record.h"
#include "api/stock.h"
#include "api/template.h"

/* What the pool's definition says of its sessions. */
struct sessions_rules {
	char pool[POOL_NAME_SIZE];
	unsigned int max_sessions;
	uint64_t cooldown_ms;       /* idle time after which a session ends; 0: never */
	uint64_t max_alive_ms;      /* time after which a session ends, used or not; 0: never */
	struct microvm_shape shape; /* of machines that are booted */
	struct microvm_limits limits;
	uint32_t session_rate;            /* requests a minute to one session; 0: any */
	uint32_t pool_rate;               /* to all of them; 0: any */
	struct token_source *tokens;      /* that code may ask for; NULL: none */
	const char *network;              /* the policy of their network; NULL: none. Lives until the next rules */
	struct template *template;        /* NULL: the user's template that the pool names does not exist */
	struct container_spec *container; /* that they run. NULL: interpreters. Lives until the next rules */
};

/*
 * `changed` is called, not from within a call, when a session came, went, or began or ended its work. `stock` and
 * `templates` must live longer. NULL if there is no memory.
 */
struct sessions *sessions_create(struct microvm_host *host, struct templates *templates, struct stock *stock,
				 const struct sessions_settings *settings, void (*changed)(void *data), void *data);

/* For sessions that are made from now on, and for the times of all. */
void sessions_set_rules(struct sessions *sessions, const struct sessions_rules *rules);

/* How many more there may be. */
unsigned int sessions_room(const struct sessions *sessions);

/*
 * Goes on with the session of an earlier hearthd, whose microVM runs in `d`. False if it cannot be taken over, and
 * then what is left of it is the caller's to clear away.
 */
bool sessions_adopt(struct sessions *sessions, const struct session_record *record, const char *vm_id,
		    const struct microvm_directory *d);

/* Likewise with one that is suspended to the snapshot in `folder`. */
bool sessions_adopt_suspended(struct sessions *sessions, const struct session_record *record, const char *folder);

/* Ends all and takes no more work. Executions that wait or run finish with `end`. */
void sessions_stop(struct sessions *sessions, enum execution_end end, const char *reason);

/* Likewise, but leaves their microVMs and snapshots to a later hearthd. */
void sessions_leave(struct sessions *sessions);

/* Only after sessions_stop() or sessions_leave(). NULL is fine. */
void sessions_destroy(struct sessions *sessions);

#endif
