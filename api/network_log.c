#include "api/network_log.h"

#include "api/json.h"
#include "api/metrics.h"
#include "common/log.h"
#include "common/network_protocol.h"

#include <stdio.h>
#include <string.h>

struct fields {
	char text[NETWORK_LOG_LINE_MAX];
	size_t size;
};

/* Letters, digits and what names and addresses have besides: nothing that could be taken for another field. */
static bool is_word(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:*";

	return *text && strlen(text) <= NETWORK_DOMAIN_MAX && text[strspn(text, letters)] == '\0';
}

static void put_word(struct fields *f, const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	if (text && is_word(text) && f->size < sizeof(f->text))
		f->size += (size_t)snprintf(f->text + f->size, sizeof(f->text) - f->size, " %s=%s", key, text);
}

static json_int_t number_of(const json_t *line, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(line, key));

	return number < 0 ? 0 : number;
}

static void put_number(struct fields *f, const json_t *line, const char *key)
{
	if (json_is_integer(json_object_get(line, key)) && f->size < sizeof(f->text))
		f->size += (size_t)snprintf(f->text + f->size, sizeof(f->text) - f->size, " %s=%" JSON_INTEGER_FORMAT,
					    key, number_of(line, key));
}

static void put_seconds(struct fields *f, const json_t *line)
{
	const json_t *seconds = json_object_get(line, "seconds");

	if (json_is_number(seconds) && json_number_value(seconds) >= 0 && f->size < sizeof(f->text))
		f->size += (size_t)snprintf(f->text + f->size, sizeof(f->text) - f->size, " seconds=%.3f",
					    json_number_value(seconds));
}

/* hearth-netd parses what guests send, and may have been taken over: its word is checked as theirs is. */
void network_log_line(const char *vm, const char *label, const char *text, size_t size)
{
	json_t *line = size <= NETWORK_LOG_LINE_MAX ? json_loadb(text, size, 0, NULL) : NULL;
	const char *verdict = json_string_value(json_object_get(line, "verdict"));
	struct fields f = { .text = "" };

	if (!verdict || (strcmp(verdict, "allowed") != 0 && strcmp(verdict, "denied") != 0)) {
		log_warn_limited("%svm=%s hearth-netd wrote a line that makes no sense", label, vm);
		json_decref(line);
		return;
	}
	put_word(&f, line, "protocol");
	put_word(&f, line, "destination");
	put_number(&f, line, "port");
	put_word(&f, line, "domain");
	put_number(&f, line, "sent");
	put_number(&f, line, "received");
	put_seconds(&f, line);
	put_number(&f, line, "left_out");
	put_word(&f, line, "verdict");
	put_word(&f, line, "reason");
	metrics_count_connection(strcmp(verdict, "allowed") == 0, (uint64_t)number_of(line, "left_out"),
				 (uint64_t)number_of(line, "sent"), (uint64_t)number_of(line, "received"));
	log_info("event=network %svm=%s%s", label, vm, f.text);
	json_decref(line);
}
