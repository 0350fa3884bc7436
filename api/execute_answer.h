/*
 * What an execution gave, collected as it comes, and its JSON. Text becomes valid UTF-8 here, and what the agent says
 * is a scalar is checked. Knows no HTTP.
 */
#ifndef HEARTH_API_EXECUTE_ANSWER_H
#define HEARTH_API_EXECUTE_ANSWER_H

#include "api/buffer.h"
#include "api/execution.h"
#include "api/guid.h"
#include "api/mime_bundle.h"
#include "api/utf8.h"

#include <stdbool.h>

enum {
	EXECUTE_DISPLAY_MAX = 32 << 20, /* bytes of display data of one execution that are kept */
};

enum execute_family {
	EXECUTE_LEGACY,  /* POST code/execute */
	EXECUTE_NEW,     /* POST executions */
	EXECUTE_COMMAND, /* of a shell pool, on either route */
};

/* One output stream as text. */
struct execute_stream {
	struct utf8_decoder decoder;
	struct buffer text;
	size_t n_told; /* bytes of text that were passed on to a client that streams */
};

struct execute_answer {
	/* set by the caller */
	enum execute_family family;
	bool result_as_text; /* numbers as strings too, for a client that can read no other */
	bool with_display_data;
	bool with_error_data; /* the execution was ordered with AGENT_EXECUTE_ERROR_DATA */
	bool jupyter_format;  /* the result is the value's text/plain, whatever it is; null if there is none */
	bool is_asynchronous;
	uint64_t output_limit;
	uint32_t timeout_ms;
	char id[129];         /* of the new family's answer, and of an asynchronous command's */
	char identifier[257]; /* likewise, and of any command's */

	/* collected */
	struct execute_stream streams[2]; /* stdout, stderr */
	struct buffer value;              /* JSON of the result; empty: no value */
	bool value_is_image;
	struct buffer displays;    /* JSON of the bundles, each followed by a comma */
	struct buffer result_data; /* JSON of the result's bundle */
	struct buffer error_data;  /* JSON of the last exception */
	size_t n_display;          /* bytes of display data kept */
	uint64_t n_display_cut;
};

void execute_answer_fini(struct execute_answer *a);

void execute_answer_output(struct execute_answer *a, enum agent_frame_type stream, const uint8_t *data, size_t size);

/*
 * Takes a bundle. Returns the word for what it is: "display", "result" or "exception"; NULL if it was cut because the
 * execution displayed too much. *json, if not NULL, receives the bundle as an object of MIME type to text or base64, or
 * the exception.
 */
const char *execute_answer_display(struct execute_answer *a, const struct mime_bundle *bundle, bool is_result,
				   struct buffer *json);

/* The end: adds to stderr what the client must know of it. After this, both streams' texts are whole. */
void execute_answer_finish(struct execute_answer *a, const struct execution_report *report);

/* The text of a stream that came since the last call; valid until the next output. */
struct execute_piece {
	const char *text;
	size_t size;
} execute_answer_news(struct execute_answer *a, enum agent_frame_type stream);

/* The answer as long as there is no result: NotStarted or Running. */
void execute_answer_put_pending(const struct execute_answer *a, bool is_running, struct buffer *json);

/* Appends the whole answer. Only after execute_answer_finish(). */
void execute_answer_put(const struct execute_answer *a, const struct execution_report *report, struct buffer *json);

#endif
