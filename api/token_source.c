#include "api/token_source.h"

#include "api/token_command.h"
#include "api/timestamp.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CACHED_MAX = 16,  /* tokens of one identity */
	COMMANDS_MAX = 4, /* that run at once, of all identities */
	LIFETIME_S = 300, /* of a token that does not say */
	LIFETIME_MAX_S = 86400,
	RENEW_BEFORE_S = 60, /* its end */
};

struct cached {
	char *resource;
	char *token;
	int64_t expires_on;
};

struct token_source {
	struct token_sources *all;
	struct token_source *next;
	char *name;
	char *token;      /* or NULL */
	char *file;       /* or NULL */
	char **command;   /* or NULL; ends with NULL */
	char **resources; /* NULL: any; ends with NULL */
	int64_t lifetime_s;
	struct cached cached[CACHED_MAX];
	unsigned int next_cached;
};

struct token_sources {
	uv_loop_t *loop;
	struct token_source *list;
	unsigned int n_commands;
};

struct token_request {
	struct token_source *source;
	struct token_command *command;
	char *resource;
	token_done done; /* NULL: cancelled */
	void *data;
};

static int64_t now_s(void)
{
	return timestamp_now_ms() / 1000;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void free_texts(char **texts)
{
	for (char **text = texts; text && *text; text++)
		free(*text);
	free(texts);
}

/* A copy of a list of texts. NULL with *err filled if it is none. */
static char **read_texts(const json_t *list, const char *what, struct error *err)
{
	char **texts = json_array_size(list) ? calloc(json_array_size(list) + 1, sizeof(*texts)) : NULL;
	json_t *text;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, text)
	{
		if (texts && json_is_string(text))
			texts[i] = strdup(json_string_value(text));
		if (!texts || !texts[i]) {
			free_texts(texts);
			texts = NULL;
			break;
		}
	}
	if (!texts)
		error_set(err, EINVAL, "%s must be a list of at least one text", what);
	return texts;
}

static int read_source(struct token_source *s, const json_t *json, struct error *err)
{
	static const char *const known[] = { "token", "file", "command", "resources", "lifetimeInSeconds" };
	const json_t *resources = json_object_get(json, "resources"), *command = json_object_get(json, "command");
	const char *token = json_string_value(json_object_get(json, "token"));
	const char *file = json_string_value(json_object_get(json, "file"));
	const json_t *lifetime = json_object_get(json, "lifetimeInSeconds");
	size_t n_known = 0;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		n_known += json_object_get(json, known[i]) != NULL;
	if (!json_is_object(json) || n_known != json_object_size(json) || !token + !file + !command != 2)
		return error_set(
			err, EINVAL,
			"an identity is an object with either token or file (texts) or command (a list), and perhaps "
			"resources and lifetimeInSeconds");
	if (command && !(s->command = read_texts(command, "command", err)))
		return -err->code;
	if (s->command && s->command[0][0] != '/')
		return error_set(err, EINVAL, "a command is begun by the full path of a program");
	if (resources && !(s->resources = read_texts(resources, "resources", err)))
		return -err->code;
	if (command && !resources)
		return error_set(err, EINVAL, "a command needs resources: a guest's own words are not given to it");
	s->lifetime_s = lifetime ? json_integer_value(lifetime) : LIFETIME_S;
	if (s->lifetime_s < 1 || s->lifetime_s > LIFETIME_MAX_S)
		return error_set(err, EINVAL, "lifetimeInSeconds must be 1 to %d", LIFETIME_MAX_S);
	s->token = token ? strdup(token) : NULL;
	s->file = file ? strdup(file) : NULL;
	return 0;
}

static int read_sources(struct token_sources *all, json_t *json, struct error *err)
{
	const char *name;
	json_t *value;

	json_object_foreach(json, name, value)
	{
		struct token_source *s = calloc(1, sizeof(*s));

		if (!s)
			return error_set(err, ENOMEM, "out of memory");
		s->all = all;
		s->next = all->list;
		all->list = s;
		s->name = strdup(name);
		if (read_source(s, value, err) < 0)
			return error_wrap(err, "identity '%.64s'", name);
	}
	return 0;
}

static json_t *read_file(const char *path, struct error *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	json_error_t at = { 0 };
	struct stat st;
	json_t *json;

	if (fd < 0 || fstat(fd, &st) < 0) {
		error_set(err, errno, "identity-file %s: %s", path, strerror(errno));
		return NULL;
	}
	if (st.st_mode & 077) {
		error_set(err, EACCES, "identity-file %s may be read by others than its owner: chmod 600 %s", path,
			  path);
		return NULL;
	}
	json = json_loadfd(fd, JSON_REJECT_DUPLICATES, &at);
	if (!json_is_object(json)) {
		error_set(err, EINVAL, "identity-file %s: line %d: %s", path, at.line,
			  json ? "it must be a JSON object" : at.text);
		json_decref(json);
		return NULL;
	}
	return json;
}

struct token_sources *token_sources_load(uv_loop_t *loop, const char *path, struct error *err)
{
	struct token_sources *all = calloc(1, sizeof(*all));
	json_t *json = all && *path ? read_file(path, err) : NULL;
	int rc = 0;

	if (!all) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	all->loop = loop;
	if (*path)
		rc = json ? read_sources(all, json, err) : -err->code;
	json_decref(json);
	if (rc < 0) {
		if (json)
			error_wrap(err, "identity-file %s", path);
		token_sources_destroy(all);
		return NULL;
	}
	return all;
}

static void forget(struct cached *c)
{
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	free(c->resource);
	*c = (struct cached) { 0 };
}

void token_sources_destroy(struct token_sources *all)
{
	struct token_source *next;

	for (struct token_source *s = all ? all->list : NULL; s; s = next) {
		next = s->next;
		for (int i = 0; i < CACHED_MAX; i++)
			forget(&s->cached[i]);
		free_texts(s->command);
		free_texts(s->resources);
		free(s->name);
		free(s->token);
		free(s->file);
		free(s);
	}
	free(all);
}

struct token_source *token_sources_find(const struct token_sources *all, const char *name)
{
	for (struct token_source *s = all ? all->list : NULL; s; s = s->next)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* Azure's libraries write a resource with and without a slash at its end. */
static bool is_same_resource(const char *a, const char *b)
{
	size_t n_a = strlen(a), n_b = strlen(b);

	n_a -= n_a && a[n_a - 1] == '/';
	n_b -= n_b && b[n_b - 1] == '/';
	return n_a == n_b && strncmp(a, b, n_a) == 0;
}

/* The resource as the administrator wrote it; where any will do, as the guest did. NULL if it is none of them. */
static const char *find_allowed(const struct token_source *s, const char *resource)
{
	for (char **allowed = s->resources; allowed && *allowed; allowed++)
		if (is_same_resource(*allowed, resource))
			return *allowed;
	return s->resources ? NULL : resource;
}

static const struct cached *find_cached(const struct token_source *s, const char *resource)
{
	for (int i = 0; i < CACHED_MAX; i++)
		if (s->cached[i].token && strcmp(s->cached[i].resource, resource) == 0 &&
		    s->cached[i].expires_on - RENEW_BEFORE_S > now_s())
			return &s->cached[i];
	return NULL;
}

static void cache(struct token_source *s, const char *resource, const char *token, int64_t expires_on)
{
	struct cached *c = &s->cached[s->next_cached++ % CACHED_MAX];

	forget(c);
	c->resource = strdup(resource);
	c->token = strdup(token);
	c->expires_on = expires_on;
	if (!c->resource || !c->token)
		forget(c);
}

static void on_command_done(void *data, const char *token, int64_t expires_on)
{
	struct token_request *r = data;
	struct token_source *s = r->source;

	s->all->n_commands--;
	if (token && !expires_on)
		expires_on = now_s() + s->lifetime_s;
	if (token)
		cache(s, r->resource, token, expires_on);
	if (r->done && token)
		r->done(r->data, token, expires_on, 200, NULL);
	else if (r->done)
		r->done(r->data, NULL, 0, 500, "The token cannot be had; the service's log says why.");
	free(r->resource);
	free(r);
}

static struct token_request *run(struct token_source *s, const char *resource, token_done done, void *data)
{
	struct token_request *r = s->all->n_commands < COMMANDS_MAX ? calloc(1, sizeof(*r)) : NULL;

	if (r) {
		*r = (struct token_request) { .source = s, .resource = strdup(resource), .done = done, .data = data };
		if (r->resource)
			r->command = token_command_run(s->all->loop, s->name, s->command, resource, on_command_done, r);
	}
	if (!r || !r->command) {
		done(data, NULL, 0, 503, "Too many tokens are asked for at once; try again later.");
		if (r)
			free(r->resource);
		free(r);
		return NULL;
	}
	s->all->n_commands++;
	return r;
}

static void answer_from_file(struct token_source *s, token_done done, void *data)
{
	enum { ROOM = TOKEN_MAX + 1 }; /* what is too long is seen to be */
	AUTO_FREE char *text = malloc(ROOM);
	AUTO_FD int fd = open(s->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t size = text && fd >= 0 ? read(fd, text, ROOM) : -1;
	struct token_text parsed = { 0 };

	if (size < 0 || !token_text_parse(&parsed, text, (size_t)size)) {
		log_warn_limited("identity=%s: no token can be had from %s: %s", s->name, s->file,
				 size < 0 ? strerror(errno) : "it holds none");
		done(data, NULL, 0, 500, "The token cannot be had; the service's log says why.");
	} else {
		done(data, parsed.token, parsed.expires_on ? parsed.expires_on : now_s() + s->lifetime_s, 200, NULL);
	}
	token_text_fini(&parsed);
	if (text)
		explicit_bzero(text, ROOM);
}

struct token_request *token_source_get(struct token_source *s, const char *wanted, token_done done, void *data)
{
	const char *resource = find_allowed(s, wanted);
	const struct cached *cached = resource ? find_cached(s, resource) : NULL;

	if (!resource) {
		done(data, NULL, 0, 400, "The identity has no tokens for this resource.");
	} else if (s->token) {
		done(data, s->token, now_s() + s->lifetime_s, 200, NULL);
	} else if (s->file) {
		answer_from_file(s, done, data);
	} else if (cached) {
		done(data, cached->token, cached->expires_on, 200, NULL);
	} else {
		return run(s, resource, done, data);
	}
	return NULL;
}

void token_request_cancel(struct token_request *r)
{
	if (r)
		r->done = NULL;
}
