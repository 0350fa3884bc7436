#include "api/log_json.h"

#include "api/json_text.h"
#include "api/timestamp.h"

#include <ctype.h>
#include <string.h>

enum kind {
	TEXT,
	NUMBER,
	REST, /* a text to the end of the line */
};

static const struct key {
	const char *name;
	enum kind kind;
} keys[] = {
	{ "session", TEXT },    { "vm", TEXT },         { "pool", TEXT },         { "identifier", TEXT },
	{ "source", TEXT },     { "state", TEXT },      { "template", TEXT },     { "execution", TEXT },
	{ "language", TEXT },   { "started", TEXT },    { "took_ms", NUMBER },    { "ran_ms", NUMBER },
	{ "wall_ms", NUMBER },  { "total_ms", NUMBER }, { "vmm_ms", NUMBER },     { "kernel_ms", NUMBER },
	{ "agent_ms", NUMBER }, { "adopt_ms", NUMBER }, { "retry_s", NUMBER },    { "size_mib", NUMBER },
	{ "max", NUMBER },      { "ready", NUMBER },    { "memory_mib", NUMBER }, { "vcpus", NUMBER },
	{ "event", TEXT },      { "protocol", TEXT },   { "destination", TEXT },  { "port", NUMBER },
	{ "domain", TEXT },     { "sent", NUMBER },     { "received", NUMBER },   { "seconds", NUMBER },
	{ "left_out", NUMBER }, { "verdict", TEXT },    { "cpu", NUMBER },        { "reason", REST },
};

enum {
	N_KEYS = sizeof(keys) / sizeof(keys[0]),
};

/* As log_quote() wrote it, without its quotation marks. */
static void put_quoted(struct buffer *out, const char *text, size_t size)
{
	struct buffer plain = { 0 };

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\\' && i + 1 < size)
			i++;
		buffer_put(&plain, text + i, 1);
	}
	json_put_bytes(out, plain.data, plain.size);
	buffer_fini(&plain);
}

/* Digits with at most one point between them. */
static bool is_number(const char *text, size_t size)
{
	size_t n_points = 0;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '.' && i > 0 && i + 1 < size)
			n_points++;
		else if (!isdigit((unsigned char)text[i]))
			return false;
	}
	return size > 0 && size < 20 && n_points <= 1 && (text[0] != '0' || size == 1 || text[1] == '.');
}

static const struct key *find_key(const char *text, size_t length)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (strlen(keys[i].name) == length && memcmp(keys[i].name, text, length) == 0)
			return &keys[i];
	return NULL;
}

static void put_name(struct buffer *out, const char *name)
{
	buffer_put_text(out, ",");
	json_put_text(out, name);
	buffer_put_text(out, ":");
}

/* A change of state has both ends: "from" is the one that it left. */
static void put_state(struct buffer *out, const char *value, size_t size)
{
	const char *arrow = memmem(value, size, "->", 2);
	size_t left = arrow ? (size_t)(arrow - value) : 0;

	if (arrow) {
		json_put_bytes(out, value + left + 2, size - left - 2);
		put_name(out, "from");
		json_put_bytes(out, value, left);
	} else {
		json_put_bytes(out, value, size);
	}
}

static void put_plain(struct buffer *out, const struct key *key, const char *value, size_t size)
{
	if (key->kind == NUMBER && is_number(value, size))
		buffer_put(out, value, size);
	else if (strcmp(key->name, "state") == 0)
		put_state(out, value, size);
	else
		json_put_bytes(out, value, size);
}

static size_t quoted_length(const char *text)
{
	size_t i = 0;

	while (text[i] && text[i] != '"')
		i += text[i] == '\\' && text[i + 1] ? 2 : 1;
	return i;
}

/* Takes one field off the front. False if there is none: what stands there is the sentence. */
static bool put_field(struct buffer *out, const char **text, uint64_t *seen)
{
	size_t length = strcspn(*text, "= ");
	const struct key *key = (*text)[length] == '=' ? find_key(*text, length) : NULL;
	const char *value = *text + length + 1;
	size_t size, skip;
	bool is_last;

	if (!key || *seen & 1ull << (key - keys))
		return false;
	*seen |= 1ull << (key - keys);
	put_name(out, key->name);
	if (*value == '"' && key->kind == TEXT) {
		size = quoted_length(value + 1);
		put_quoted(out, value + 1, size);
		*text = value + 1 + size + (value[1 + size] == '"');
		*text += **text == ' ';
		return true;
	}
	size = key->kind == REST ? strlen(value) : strcspn(value, " ");
	is_last = key->kind != REST && size && value[size - 1] == ':';
	skip = size + (value[size] == ' ');
	put_plain(out, key, value, size - is_last);
	*text = value + skip;
	return !is_last;
}

void log_json_put(struct buffer *out, int64_t time_ms, enum log_level level, const char *component, const char *text)
{
	char time[TIMESTAMP_SIZE];
	uint64_t seen = 0;

	timestamp_format(time, time_ms);
	buffer_put_format(out, "{\"time\":\"%s\",\"level\":\"%s\"", time, log_level_name(level));
	put_name(out, "component");
	json_put_bytes(out, component, strlen(component));
	while (*text && put_field(out, &text, &seen))
		;
	if (*text) {
		put_name(out, "message");
		json_put_bytes(out, text, strlen(text));
	}
	buffer_put_text(out, "}");
}
