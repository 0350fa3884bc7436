#include "api/file_answer.h"

#include "api/file_path.h"
#include "api/json_text.h"
#include "api/timestamp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	PATH_BYTES_MAX = 4 << 20, /* of all paths of a list */
};

bool file_entries_add(struct file_entries *entries, const struct agent_file_info *info)
{
	size_t length = strlen(info->path);

	if (entries->n == AGENT_FILE_ENTRIES_MAX || entries->n_bytes + length > PATH_BYTES_MAX) {
		entries->is_cut = true;
		return true;
	}
	if (entries->n == entries->room) {
		size_t room = entries->room ? entries->room * 2 : 4;
		struct file_entry *list = realloc(entries->list, room * sizeof(*list));

		if (!list)
			return false;
		entries->list = list;
		entries->room = room;
	}
	entries->list[entries->n] = (struct file_entry) {
		.kind = info->kind,
		.size = info->size,
		.changed_ns = info->changed_ns,
		.path = strdup(info->path),
	};
	if (!entries->list[entries->n].path)
		return false;
	entries->n++;
	entries->n_bytes += length;
	return true;
}

void file_entries_fini(struct file_entries *entries)
{
	for (size_t i = 0; i < entries->n; i++)
		free(entries->list[i].path);
	free(entries->list);
	*entries = (struct file_entries) { 0 };
}

/* The folder that the entry is in; "." for the data folder. */
static void put_directory(struct buffer *json, const char *path)
{
	const char *name = file_path_name(path);

	if (name == path)
		buffer_put_text(json, "\".\"");
	else
		json_put_bytes(json, path, (size_t)(name - path) - 1);
}

static void put_time(struct buffer *json, uint64_t ns)
{
	char text[TIMESTAMP_SIZE];

	timestamp_format(text, (int64_t)(ns / 1000000));
	buffer_put_format(json, "\"%s\"", text);
}

static void put_legacy(struct buffer *json, const struct file_entry *e)
{
	const char *name = file_path_name(e->path);

	buffer_put_text(json, "{\"properties\":{\"filename\":");
	json_put_bytes(json, name, strlen(name));
	buffer_put_format(json, ",\"size\":%" PRIu64 ",\"lastModifiedTime\":", e->size);
	put_time(json, e->changed_ns);
	buffer_put_text(json, "}}");
}

static void put_new(struct buffer *json, const struct file_entry *e)
{
	const char *name = file_path_name(e->path);

	buffer_put_text(json, "{\"name\":");
	json_put_bytes(json, name, strlen(name));
	if (e->kind == AGENT_FILE_FOLDER)
		buffer_put_text(json, ",\"type\":\"directory\",\"contentType\":null,\"sizeInBytes\":null");
	else
		buffer_put_format(json, ",\"type\":\"file\",\"contentType\":\"%s\",\"sizeInBytes\":%" PRIu64,
				  file_path_content_type(name), e->size);
	buffer_put_text(json, ",\"lastModifiedAt\":");
	put_time(json, e->changed_ns);
	buffer_put_text(json, ",\"directory\":");
	put_directory(json, e->path);
	buffer_put_text(json, "}");
}

void file_answer_put_entry(struct buffer *json, enum file_family family, const struct file_entry *entry)
{
	if (family == FILE_LEGACY)
		put_legacy(json, entry);
	else
		put_new(json, entry);
}

static int compare(const void *left, const void *right)
{
	return strcmp(((const struct file_entry *)left)->path, ((const struct file_entry *)right)->path);
}

void file_answer_put_array(struct buffer *json, enum file_family family, struct file_entries *entries)
{
	bool is_first = true;

	if (entries->n)
		qsort(entries->list, entries->n, sizeof(*entries->list), compare);
	buffer_put_text(json, "[");
	for (size_t i = 0; i < entries->n; i++) {
		if (family == FILE_LEGACY && entries->list[i].kind != AGENT_FILE_REGULAR)
			continue;
		if (!is_first)
			buffer_put_text(json, ",");
		is_first = false;
		file_answer_put_entry(json, family, &entries->list[i]);
	}
	buffer_put_text(json, "]");
}

void file_answer_put_list(struct buffer *json, enum file_family family, struct file_entries *entries)
{
	buffer_put_text(json, "{\"value\":");
	file_answer_put_array(json, family, entries);
	buffer_put_text(json, "}");
}
