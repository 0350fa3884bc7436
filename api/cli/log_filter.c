#include "log_filter.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "";
}

static bool knows(const struct log_filter *f, const char *id)
{
	unsigned int n = f->n_ids < LOG_FILTER_IDS ? f->n_ids : LOG_FILTER_IDS;

	for (unsigned int i = 0; i < n; i++)
		if (strcmp(f->ids[i], id) == 0)
			return true;
	return false;
}

static void learn(struct log_filter *f, const char *id)
{
	if (!*id || strcmp(id, "-") == 0 || strlen(id) >= sizeof(f->ids[0]) || knows(f, id))
		return;
	snprintf(f->ids[f->n_ids++ % LOG_FILTER_IDS], sizeof(f->ids[0]), "%s", id);
}

/* `vm` or `session` is known, or what names the session. */
static bool is_about(struct log_filter *f, const json_t *line)
{
	const char *id = text_of(line, "session"), *vm = text_of(line, "vm"), *name = text_of(line, "identifier");

	if (*name && (!f->session || strcmp(name, f->session) == 0)) {
		learn(f, id);
		learn(f, vm);
		return true;
	}
	if (*id && f->session && strlen(id) == 8 && strncasecmp(f->session, id, 8) == 0) {
		learn(f, vm);
		return true;
	}
	return !*name && ((*id && knows(f, id)) || (!*id && *vm && knows(f, vm)));
}

bool log_filter_wants(struct log_filter *f, const json_t *line)
{
	const char *pool = text_of(line, "pool");
	bool is_wanted;

	/* A line of another pool says nothing of the wanted sessions; one of no pool may. */
	if (f->pool && *pool && strcasecmp(pool, f->pool) != 0)
		return false;
	is_wanted = (f->session || f->pool) && is_about(f, line);
	if (!f->session && (!f->pool || *pool))
		is_wanted = true;
	if (f->is_network_only && strcmp(text_of(line, "event"), "network") != 0)
		return false;
	return is_wanted && strcmp(text_of(line, "time"), f->since) >= 0;
}
