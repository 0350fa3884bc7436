/* Sessions that exist: showing them, and ending them. Nothing here makes one, or counts as its use. */
#include "api/rest.h"
#include "api/timestamp.h"

#include <stdlib.h>
#include <string.h>

enum {
	PAGE_SIZE = 300, /* sessions in one answer, as Azure has it */
};

/* ---- what the session's resources share -------------------------------------------------------------------------- */

struct pool *rest_pool(struct service *s, struct http_request *r)
{
	struct pool *pool = pools_find(s->pools, r->pool);

	if (!pool && r->pool && pool_name_is_valid(r->pool))
		rest_error(r, 404, "ResourceNotFound", "There is no session pool '%s'.", r->pool);
	else if (!pool)
		rest_error(r, 404, "ResourceNotFound", "The path names no session pool.");
	return pool;
}

/* `otherwise` is for a request whose address names no session. */
static void respond_no_session(struct http_request *r, const char *otherwise)
{
	const char *id = url_parameter(&r->url, "identifier");

	if (!id)
		id = r->path_identifier;
	if (id && rest_is_printable(id))
		rest_error(r, 404, "NoSessionFoundError", "Could not find session with name '%s'.", id);
	else
		rest_error(r, 404, "NoSessionFoundError", "%s", otherwise);
}

void rest_session_error(struct http_request *r, const struct sessions *sessions, const struct error *err)
{
	switch (err->code) {
	case SESSIONS_FULL:
		rest_error_retry(r, 429, "SessionsCountExceedsLimit", sessions_retry_after_s(sessions), err->text);
		break;
	case SESSIONS_QUEUE_FULL:
		rest_error_retry(r, 429, "SessionQueueFull", 5, err->text);
		break;
	case SESSIONS_TOO_FAST:
		rest_error_retry(r, 429, "TooManyRequests", sessions_rate_wait_s(sessions), err->text);
		break;
	case SESSIONS_STOPPING:
		rest_error_retry(r, 503, "ServiceStopping", 10, err->text);
		break;
	case SESSIONS_NOT_FOUND:
		respond_no_session(r, err->text);
		break;
	case SESSIONS_EXISTS:
		rest_error(r, 409, "AlreadyExists", "%s", err->text);
		break;
	case SESSIONS_TOO_DEEP:
		rest_error(r, 409, "SnapshotChainTooLong", "%s", err->text);
		break;
	default:
		rest_error(r, 500, "SessionAllocationFailed", "%s", err->text);
	}
}

/* A time that is 0 has not come, or never will. */
static void add_time(json_t *json, const char *key, int64_t ms)
{
	char text[TIMESTAMP_SIZE];

	timestamp_format(text, ms);
	json_object_set_new(json, key, ms ? json_string(text) : json_null());
}

/* What the start of the session's microVM cost, up to the agent's first word; null while that is not known. */
static json_t *vmm_json(const struct microvm_counts *counts)
{
	if (counts->n_kvm_calls == 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I}", "ioctls", (json_int_t)counts->n_kvm_calls, "exits",
			 (json_int_t)counts->n_exits, "pageFaults", (json_int_t)counts->n_faults, "readyInMicroseconds",
			 (json_int_t)counts->ready_us);
}

/* The contract's first, expiry under both names that clients read; then what is Hearth's own. */
json_t *rest_session_json(const struct session_info *info)
{
	json_t *json = json_pack("{s:s, s:s}", "identifier", info->identifier, "etag", info->guid);
	json_t *own = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "pool", info->pool, "state", info->state,
				"source", info->source, "vmId", info->vm_id, "cpu", (json_int_t)info->n_vcpus,
				"memoryInMib", (json_int_t)info->memory_mib, "executions",
				(json_int_t)info->n_executions, "executionsQueued", (json_int_t)info->n_queued);

	if (json && own) {
		add_time(json, "createdAt", info->created_ms);
		add_time(json, "lastAccessedAt", info->last_end_ms ? info->last_end_ms : info->created_ms);
		add_time(json, "expireAt", info->expires_ms);
		add_time(json, "expiresAt", info->expires_ms);
		json_object_update(json, own);
		json_object_set_new(json, "vmm", vmm_json(&info->counts));
	}
	json_decref(own);
	return json;
}

/* ---- one --------------------------------------------------------------------------------------------------------- */

/* The pool's sessions and the identifier of a request; false after an answer was given. */
static bool read_address(struct service *s, struct http_request *r, struct sessions **sessions, const char **id)
{
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;

	if (!pool)
		return false;
	*sessions = pool_sessions(pool);
	*id = rest_identifier(r, NULL);
	return *id != NULL;
}

static void show(struct service *s, struct http_request *r, unsigned int status_if_unknown, const char *code)
{
	struct sessions *sessions;
	struct session_info info;
	const char *id;

	if (!read_address(s, r, &sessions, &id))
		return;
	if (!sessions_find(sessions, id, &info)) {
		rest_error(r, status_if_unknown, code, "Could not find session with name '%s'.", id);
		return;
	}
	http_add_header(r, "x-ms-session-etag", info.guid);
	rest_json(r, 200, rest_session_json(&info));
}

void rest_session_get(struct service *s, struct http_request *r)
{
	show(s, r, 404, "NoSessionFoundError");
}

void rest_management_get_session(struct service *s, struct http_request *r)
{
	show(s, r, 400, "SessionWithIdentifierNotFound");
}

void rest_session_delete(struct service *s, struct http_request *r)
{
	struct buffer empty = { 0 };
	struct sessions *sessions;
	const char *id;

	if (!read_address(s, r, &sessions, &id))
		return;
	if (!sessions_end(sessions, id))
		rest_error(r, 404, "NoSessionFoundError", "Could not find session with name '%s'.", id);
	else
		http_respond(r, 204, NULL, &empty);
}

/* The exact sentences, as plain text, are what clients compare. */
void rest_management_stop_session(struct service *s, struct http_request *r)
{
	struct buffer body = { 0 };
	struct sessions *sessions;
	const char *id;
	bool found;

	if (!read_address(s, r, &sessions, &id))
		return;
	found = sessions_end(sessions, id);
	if (found)
		buffer_put_format(&body, "Session %s in session pool %s stopped.", id,
				  r->pool ? r->pool : POOL_DEFAULT_NAME);
	else
		buffer_put_text(&body, "Failed to stop session, session not found.");
	http_respond(r, found ? 200 : 400, "text/plain; charset=utf-8", &body);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

/* The sessions in the order in which they were made, so that pages don't overlap. */
struct session_list {
	struct session_info *infos;
	size_t n, room;
};

static void collect(void *data, const struct session_info *info)
{
	struct session_list *list = data;

	if (list->n < list->room)
		list->infos[list->n++] = *info;
}

static int compare_age(const void *left, const void *right)
{
	const struct session_info *a = left, *b = right;

	if (a->created_ms != b->created_ms)
		return a->created_ms < b->created_ms ? -1 : 1;
	return strcmp(a->guid, b->guid);
}

/* False after an answer was given. More than there are is an empty page. */
static bool read_skip(struct http_request *r, size_t *skip)
{
	const char *text = url_parameter(&r->url, "skip");

	*skip = 0;
	if (!text)
		return true;
	if (!*text || text[strspn(text, "0123456789")]) {
		rest_error(r, 400, "SessionRequestValidationFailed",
			   "The parameter 'skip' is a number of sessions to leave out.");
		return false;
	}
	*skip = strtoul(text, NULL, 10);
	return true;
}

/* Where the next page is: this path again. Its segments came percent-encoded, and go so. */
static json_t *next_link(const struct http_request *r, size_t skip)
{
	struct buffer link = { 0 };
	const char *version = url_parameter(&r->url, "api-version");
	json_t *json;

	for (size_t i = 0; i < r->url.n_segments; i++) {
		buffer_put_text(&link, "/");
		url_put_encoded(&link, r->url.segments[i]);
	}
	buffer_put_format(&link, "?skip=%zu", skip);
	if (version)
		buffer_put_format(&link, "&api-version=%s", version);
	json = link.failed ? NULL : json_stringn(link.data, link.size);
	buffer_fini(&link);
	return json;
}

/* `key` is how this form of the list names its array. */
static json_t *list_json(const struct http_request *r, const struct session_list *list, size_t skip, const char *key)
{
	size_t end = skip < list->n && list->n - skip > PAGE_SIZE ? skip + PAGE_SIZE : list->n;
	json_t *array = json_array();

	for (size_t i = skip; i < end; i++)
		json_array_append_new(array, rest_session_json(&list->infos[i]));
	return json_pack("{s:o, s:I, s:o}", key, array, "count", (json_int_t)json_array_size(array), "nextLink",
			 end < list->n ? next_link(r, end) : json_null());
}

static void list_sessions(struct service *s, struct http_request *r, const char *key)
{
	struct session_list list = { 0 };
	struct sessions_counts counts;
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	size_t skip;

	if (!pool || !read_skip(r, &skip))
		return;
	counts = sessions_count(pool_sessions(pool));
	list.room = counts.n_sessions + counts.n_suspended;
	list.infos = calloc(list.room + 1, sizeof(*list.infos));
	if (list.infos) {
		sessions_each(pool_sessions(pool), collect, &list);
		qsort(list.infos, list.n, sizeof(*list.infos), compare_age);
	}
	rest_json(r, 200, list.infos ? list_json(r, &list, skip, key) : NULL);
	free(list.infos);
}

void rest_session_list(struct service *s, struct http_request *r)
{
	list_sessions(s, r, "sessions");
}

void rest_management_list_sessions(struct service *s, struct http_request *r)
{
	list_sessions(s, r, "value");
}
