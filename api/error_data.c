#include "api/error_data.h"

#include "api/json.h"
#include "common/agent_protocol.h"

static bool is_list_of_texts(const json_t *list)
{
	const json_t *line;
	size_t i;

	json_array_foreach(list, i, line) if (!json_is_string(line)) return false;
	return json_is_array(list);
}

json_t *error_data_parse(const struct mime_bundle *bundle)
{
	const struct mime_entry *entry = mime_bundle_find(bundle, AGENT_MIME_ERROR);
	json_t *said = entry ? json_parse((const char *)entry->data, entry->size, NULL) : NULL;
	json_t *name = json_object_get(said, "ename"), *value = json_object_get(said, "evalue");
	json_t *traceback = json_object_get(said, "traceback"), *error = NULL;

	if (json_is_string(name) && json_is_string(value) && is_list_of_texts(traceback))
		error = json_pack("{s:O,s:O,s:O}", "ename", name, "evalue", value, "traceback", traceback);
	json_decref(said);
	return error;
}

static int append(const char *text, size_t size, void *data)
{
	buffer_put(data, text, size);
	return 0;
}

bool error_data_put(struct buffer *json, const struct mime_bundle *bundle)
{
	json_t *error = error_data_parse(bundle);
	bool is_error = error != NULL;

	if (is_error && json_dump_callback(error, append, json, JSON_COMPACT) < 0)
		json->failed = true;
	json_decref(error);
	return is_error;
}
