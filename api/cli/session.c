#include "session.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "session_logs.h"
#include "view.h"

#include <stdio.h>
#include <string.h>

/* Where every kind of pool has it: of a pool of containers, the other paths are the container's. */
#define ROUTE ".management/session"

static const struct view_column columns[] = {
	{ "IDENTIFIER", "identifier", VIEW_PLAIN },
	{ "POOL", "pool", VIEW_PLAIN },
	{ "STATE", "state", VIEW_PLAIN },
	{ "SOURCE", "source", VIEW_PLAIN },
	{ "RUNS", "executions", VIEW_PLAIN },
	{ "CREATED", "createdAt", VIEW_TIME },
	{ "LAST USED", "lastAccessedAt", VIEW_TIME },
	{ "EXPIRES", "expiresAt", VIEW_TIME },
	{ NULL, NULL, VIEW_PLAIN },
};

#define SESSION_OPTIONS                                                                                                \
	OPTION(OPTION_TEXT, 'i', "identifier", session, "NAME", "the session; or give it as an argument"),             \
		SESSION_POOL_OPTIONS, COMMON_OPTIONS

static const struct option_spec list_options[] = {
	SESSION_POOL_OPTIONS,
	COMMON_OPTIONS,
};

static const struct option_spec session_options[] = { SESSION_OPTIONS };

static const struct option_spec logs_options[] = {
	OPTION(OPTION_SWITCH, 'f', "follow", follow, NULL, "go on with what it writes from now on, until it ends"),
	OPTION(OPTION_TEXT, 'i', "identifier", session, "NAME", "the session; or give it as an argument"),
	SESSION_POOL_OPTIONS,
	SERVICE_OPTIONS,
};

static const char *session_name(const struct options *o, struct error *err)
{
	return command_name(o, o->session, "the session's name", err);
}

/* ---- one session ------------------------------------------------------------------------------------------------- */

/* Calls a route about a session and prints the session that it answers, if any. `target` may be NULL. */
static int call(struct service *s, const struct options *o, const char *method, const char *route, const char *name,
		const char *target, struct error *err)
{
	const char *const parameters[] = { "identifier", name, target ? "target" : NULL, target, NULL };
	AUTO_FREE char *path = service_route(s, route, parameters);
	json_t *answer = NULL;
	int ret = service_call(s, method, path, NULL, &answer, err);

	if (ret == 0 && answer)
		ret = view_print(answer, columns, o->output, err);
	json_decref(answer);
	return ret;
}

static int call_named(struct service *s, const struct options *o, const char *method, const char *route,
		      struct error *err)
{
	const char *name = session_name(o, err);

	return name ? call(s, o, method, route, name, NULL, err) : -err->code;
}

static int show(struct service *s, const struct options *o, struct error *err)
{
	return call_named(s, o, "GET", ROUTE, err);
}

static int stop(struct service *s, const struct options *o, struct error *err)
{
	return call_named(s, o, "DELETE", ROUTE, err);
}

static int logs(struct service *s, const struct options *o, struct error *err)
{
	const char *name = session_name(o, err);

	return name ? session_logs(s, ROUTE "/logs", name, o->follow, err) : -err->code;
}

static int suspend(struct service *s, const struct options *o, struct error *err)
{
	return call_named(s, o, "POST", ROUTE "/suspend", err);
}

static int resume(struct service *s, const struct options *o, struct error *err)
{
	return call_named(s, o, "POST", ROUTE "/resume", err);
}

/* With --identifier the only argument is the copy's name. */
static int fork_session(struct service *s, const struct options *o, struct error *err)
{
	size_t n_expected = o->session ? 1 : 2;

	if (o->n_arguments != n_expected)
		return error_set(err, STATUS_USAGE, "session fork takes two names: of the session, and of its copy");
	return call(s, o, "POST", ROUTE "/fork", o->session ? o->session : o->arguments[0],
		    o->arguments[n_expected - 1], err);
}

/* ---- all sessions ------------------------------------------------------------------------------------------------ */

/* Appends one page of the list. Returns how many sessions it had, or negative with *err set. */
static int add_page(struct service *s, json_t *all, bool *is_last, struct error *err)
{
	char skip[24];
	const char *const parameters[] = { "skip", skip, NULL };
	AUTO_FREE char *path = NULL;
	json_t *answer = NULL, *page;
	int ret;

	snprintf(skip, sizeof(skip), "%zu", json_array_size(all));
	path = service_route(s, ".management/listSessions", parameters);
	ret = service_call(s, "GET", path, NULL, &answer, err);
	if (ret < 0)
		return ret;
	page = json_object_get(answer, "value");
	ret = (int)json_array_size(page);
	*is_last = ret == 0 || !json_is_string(json_object_get(answer, "nextLink"));
	json_array_extend(all, page);
	json_decref(answer);
	return ret;
}

static int list(struct service *s, const struct options *o, struct error *err)
{
	json_t *all = json_array();
	bool is_last = false;
	int ret = 0;

	while (!is_last && ret >= 0)
		ret = add_page(s, all, &is_last, err);
	if (ret >= 0)
		ret = view_print(all, columns, o->output, err);
	json_decref(all);
	return ret;
}

static const struct command commands[] = {
	{ "list", "", "Shows the sessions of a pool.", list_options, 0, list },
	{ "show", "[NAME]", "Shows a session.", session_options, 1, show },
	{ "logs", "[NAME]", "Shows what the container of a session has written, up to an hour after its end.",
	  logs_options, 1, logs },
	{ "stop", "[NAME]", "Ends a session at once, with all that it holds.", session_options, 1, stop },
	{ "fork", "NAME NEW", "Makes the session NEW, a copy of NAME with its variables, files and processes.",
	  session_options, 2, fork_session },
	{ "suspend", "[NAME]", "Writes a session to disk and frees its memory; its next use brings it back.",
	  session_options, 1, suspend },
	{ "resume", "[NAME]", "Brings a suspended session back before its next use.", session_options, 1, resume },
	{ NULL, NULL, NULL, NULL, 0, NULL },
};

const struct command_group session_commands = {
	.name = "session",
	.summary = "Sessions: what lives in a pool. `hearth run --session NAME` makes them.",
	.commands = commands,
	.examples = "  hearth session list --pool analysis\n"
		    "  hearth session fork work what-if && hearth run --session what-if -c 'x += 1'\n"
		    "  hearth session suspend work\n"
		    "  hearth session stop work\n"
		    "  hearth session logs work --pool web --follow\n",
};
