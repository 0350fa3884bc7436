/* What the files of the templates (template*.c) share. */
#ifndef HEARTH_API_TEMPLATE_PRIVATE_H
#define HEARTH_API_TEMPLATE_PRIVATE_H

#include "api/template.h"
#include "api/template_key.h"

enum template_state { TEMPLATE_ABSENT, TEMPLATE_BUILDING, TEMPLATE_READY, TEMPLATE_FAILED };

struct template
{
	struct template *next;
	struct templates *all;
	char name[64];              /* of a user's; "" for a built-in one */
	struct microvm_shape shape; /* of a built-in one */
	enum agent_language language;
	struct container_spec *container; /* held: what its guest runs; NULL: interpreters */
	unsigned int n_users;             /* of one of a container: pools; without any it goes */
	bool is_gone;                     /* in no list any more */
	enum template_state state;
	char key[TEMPLATE_KEY_SIZE];
	struct snapshot *snapshot; /* held while ready */
	bool has_worked;           /* something was restored from it */
	bool was_rebuilt;          /* since it did not */
	unsigned int n_failures;   /* in a row, of builds or of restores that never worked */
	uv_timer_t retry;          /* while failed */

	/* while building */
	char *inputs;
	uint64_t began_ns;
	struct microvm *microvm;
	struct snapshot_writer writer;
	unsigned int n_runs; /* of code while its working set is recorded */
	uv_timer_t limit;    /* for one of those */
	bool is_recorder_ending;
	struct container_client *client;
	struct ingress *ingress;
	struct container_log *log;
};

struct templates {
	struct microvm_host *host;
	void (*changed)(void *data);
	void *data;
	char root[SNAPSHOT_PATH_MAX - 128];
	char user[SNAPSHOT_PATH_MAX - 96];
	char workspace[SNAPSHOT_PATH_MAX - 96];
	struct template *list;
	bool is_stopping;
	bool has_no_builtin; /* built-in ones are not used */
};

/* For the log. */
const char *template_label(const struct template *t);

/* A new entry of the list; NULL if there is no memory. */
struct template *template_add(struct templates *all);

/* Frees one that is gone. */
void template_free(struct template *t);

/* It cannot be used for a while. */
void template_fail(struct template *t, const char *problem);

/* Gives its snapshot's folder another name, so that its own is free at once. 0 or -errno. */
int template_hide(struct template *t);

/* Its snapshot is not to be used again; whoever runs over it goes on. */
void template_discard(struct template *t);

void template_tell_changed(const struct template *t);

/* template_user.c: template_use() of a user's; and one that lies on disk. */
struct snapshot *template_use_user(struct template *t);
void template_find_user(void *templates, const char *name);

/* template_build.c: begins to build it; what it came to is told by the last two. */
void template_build(struct template *t, const char *inputs);
void template_build_abort(struct template *t);

/*
 * template_container.c: starts the container of t->microvm, which can be used; template_container_started() follows.
 * And asks the container of a clone for something, as a first request does; template_container_asked() follows.
 */
void template_container_start(struct template *t);
void template_container_ask(struct template *t);
void template_container_abort(struct template *t);

/* `problem` is NULL, or says what is wrong. */
void template_container_started(struct template *t, const char *problem);
void template_container_asked(struct template *t, const char *problem);

/*
 * Begins to find out which pages of t->snapshot a first execution touches; template_recorded() follows, whatever comes.
 * A built-in template is not used before that, a user's is.
 */
void template_record(struct template *t);

/* These are over; t->snapshot is there. */
void template_recorded(struct template *t);
void template_build_failed(struct template *t, const char *problem);

#endif
