/* Files as the API shows them, in the shapes of both families. */
#ifndef HEARTH_API_FILE_ANSWER_H
#define HEARTH_API_FILE_ANSWER_H

#include "api/agent_frames.h"
#include "api/buffer.h"

enum file_family {
	FILE_LEGACY, /* {"properties":{"filename",…}} */
	FILE_NEW,    /* {"name",…} */
};

struct file_entry {
	enum agent_file_kind kind;
	uint64_t size;
	uint64_t changed_ns;
	char *path; /* owned */
};

/* What was told of files. All zero at first. */
struct file_entries {
	struct file_entry *list;
	size_t n, room;
	size_t n_bytes; /* of all paths */
	bool is_cut;    /* there were more than are kept */
};

/* Keeps a copy of it, up to the limits of a list. False if there is no memory. */
bool file_entries_add(struct file_entries *entries, const struct agent_file_info *info);
void file_entries_fini(struct file_entries *entries);

/* Appends a JSON array of them, by path. The legacy family's has files alone. */
void file_answer_put_array(struct buffer *json, enum file_family family, struct file_entries *entries);

/* The same as the "value" of an object, which a list is in the API. */
void file_answer_put_list(struct buffer *json, enum file_family family, struct file_entries *entries);

/* Appends the JSON of one. */
void file_answer_put_entry(struct buffer *json, enum file_family family, const struct file_entry *entry);

#endif
