/*
 * Tools about files: a call as the REST API's, whose answer is the tool's result. A file is encoded as it comes and
 * decoded as it goes, so that it is in memory once, as the text that it is in JSON.
 */
#include "api/file_call.h"
#include "api/json.h"
#include "api/json_text.h"
#include "api/mcp_tool.h"
#include "api/utf8.h"
#include "common/base64.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	DOWNLOAD_MAX = 32 << 20,  /* bytes of a file that is answered in JSON */
	DECODE_DIGITS = 64 << 10, /* of base64 that are decoded at a time: a multiple of 4 */
};

enum encoding { AUTO, TEXT, BASE64, IMAGE };

struct mcp_file {
	struct file_call call;
	struct mcp_exchange *exchange; /* NULL once it was answered, or its client is gone */
	char environment[REST_IDENTIFIER_MAX + 1];
	const char *content_type;
	enum encoding encoding;

	/* of a download */
	struct mcp_result result;
	struct utf8_decoder decoder;
	uint8_t rest[3]; /* bytes that do not make four digits yet */
	size_t n_rest;
	uint64_t size;

	/* of an upload: in the exchange's body, which lives as long */
	const char *content;
	size_t n_content;
	size_t n_sent;
	uint8_t *decoded; /* of base64: the piece that was decoded last; owned */
	size_t n_decoded, n_decoded_sent;
	bool is_committed;
};

static struct mcp_file *file_of(struct file_call *c)
{
	return (struct mcp_file *)c; /* its first member */
}

static void destroy(struct file_call *c)
{
	struct mcp_file *f = file_of(c);

	mcp_result_fini(&f->result);
	free(f->decoded);
	free(f);
}

/* The exchange, which is answered now. */
static struct mcp_exchange *take_exchange(struct mcp_file *f)
{
	struct mcp_exchange *x = f->exchange;

	f->exchange = NULL;
	return x;
}

static void on_failed(struct file_call *c, const char *message)
{
	mcp_tool_fail(take_exchange(file_of(c)), "%s", message);
}

static void on_gone(void *call)
{
	struct mcp_file *f = call;

	f->exchange = NULL;
	file_call_end(&f->call);
}

/* ---- download ---------------------------------------------------------------------------------------------------- */

/* Text as an item of text, a picture as one, anything else as a resource with its bytes. */
static void begin_content(struct mcp_file *f)
{
	struct buffer *out = &f->result.content;

	if (f->encoding == TEXT) {
		mcp_result_begin_item(&f->result, "text");
		buffer_put_text(out, "\"text\":\"");
	} else if (f->encoding == IMAGE) {
		mcp_result_begin_item(&f->result, "image");
		buffer_put_format(out, "\"mimeType\":\"%s\",\"data\":\"", f->content_type);
	} else {
		struct buffer uri = { 0 };

		buffer_put_text(&uri, "file:///mnt/data/");
		url_put_encoded(&uri, f->call.path);
		mcp_result_begin_item(&f->result, "resource");
		buffer_put_text(out, "\"resource\":{\"uri\":");
		json_put_string(out, uri.data, uri.size);
		buffer_fini(&uri);
		buffer_put_format(out, ",\"mimeType\":\"%s\",\"blob\":\"", f->content_type);
	}
}

static void end_content(struct mcp_file *f)
{
	struct buffer *out = &f->result.content;

	buffer_put_text(out, f->encoding == BASE64 ? "\"}" : "\"");
	mcp_result_end_item(&f->result);
}

static void put_digits(struct buffer *out, const uint8_t *data, size_t size)
{
	size_t n_digits = base64_encoded_size(size);

	if (!buffer_reserve(out, n_digits))
		return;
	base64_encode(data, size, out->data + out->size);
	out->size += n_digits;
}

/* Three bytes are four digits: what is left over waits for the next. */
static void put_bytes(struct mcp_file *f, const uint8_t *data, size_t size)
{
	struct buffer *out = &f->result.content;
	size_t n_whole;

	while (f->n_rest && f->n_rest < 3 && size) {
		f->rest[f->n_rest++] = *data++;
		size--;
	}
	if (f->n_rest == 3) {
		put_digits(out, f->rest, 3);
		f->n_rest = 0;
	}
	n_whole = size / 3 * 3;
	put_digits(out, data, n_whole);
	for (size_t i = n_whole; i < size; i++)
		f->rest[f->n_rest++] = data[i];
}

static void put_text(struct mcp_file *f, const uint8_t *data, size_t size, bool is_end)
{
	struct buffer text = { 0 };

	utf8_decode(&f->decoder, data, size, &text);
	if (is_end)
		utf8_decode_end(&f->decoder, &text);
	json_put_part(&f->result.content, text.size ? text.data : "", text.size);
	f->result.content.failed |= text.failed;
	buffer_fini(&text);
}

static void on_begun(struct file_call *c, uint64_t size)
{
	struct mcp_file *f = file_of(c);

	f->size = size;
	if (size <= DOWNLOAD_MAX) {
		begin_content(f);
		return;
	}
	mcp_tool_fail(take_exchange(f),
		      "The file has %llu bytes, and %d are the most that this tool gives: take it over the REST API, "
		      "GET files/<name>/content?identifier=%s, or in parts.",
		      (unsigned long long)size, DOWNLOAD_MAX, f->environment);
	file_call_end(c);
}

static void on_data(struct file_call *c, const uint8_t *data, size_t size)
{
	struct mcp_file *f = file_of(c);

	if (f->encoding == TEXT)
		put_text(f, data, size, false);
	else
		put_bytes(f, data, size);
}

static void finish_download(struct mcp_file *f)
{
	if (f->encoding == TEXT)
		put_text(f, (const uint8_t *)"", 0, true);
	else
		put_digits(&f->result.content, f->rest, f->n_rest);
	end_content(f);
}

/* ---- upload ------------------------------------------------------------------------------------------------------ */

/* How many characters from there have DECODE_DIGITS digits, white space not counted: all of them, if there are fewer. */
static size_t next_piece(const struct mcp_file *f)
{
	size_t n_digits = 0, at = f->n_sent;

	for (; at < f->n_content && n_digits < DECODE_DIGITS; at++)
		n_digits += !strchr(" \t\r\n", f->content[at]);
	return at - f->n_sent;
}

/* Decodes the next piece. False if it is no base64. */
static bool decode_more(struct mcp_file *f)
{
	size_t n = next_piece(f);
	bool is_after_padding = f->n_sent && f->content[f->n_sent - 1] == '=';
	uint8_t *larger = realloc(f->decoded, base64_decoded_size_max(n));
	ssize_t n_decoded;

	if (!larger)
		return false;
	f->decoded = larger;
	n_decoded = base64_decode(f->content + f->n_sent, n, f->decoded);
	if (n_decoded < 0 || (is_after_padding && n_decoded > 0))
		return false;
	f->n_sent += n;
	f->n_decoded = (size_t)n_decoded;
	f->n_decoded_sent = 0;
	return true;
}

/* True when all of it was taken. */
static bool write_all(struct mcp_file *f, const void *data, size_t size, size_t *n_taken)
{
	if (*n_taken < size)
		*n_taken += file_call_write(&f->call, (const char *)data + *n_taken, size - *n_taken);
	return *n_taken == size;
}

/* Likewise, of the whole content. */
static bool write_base64(struct mcp_file *f)
{
	while (write_all(f, f->decoded, f->n_decoded, &f->n_decoded_sent)) {
		if (f->n_sent == f->n_content)
			return true;
		if (!decode_more(f)) {
			mcp_tool_fail(take_exchange(f), "The field 'contentBase64' is not base64.");
			file_call_end(&f->call);
			return false;
		}
	}
	return false;
}

static void on_drained(struct file_call *c)
{
	struct mcp_file *f = file_of(c);

	if (f->is_committed ||
	    !(f->encoding == BASE64 ? write_base64(f) : write_all(f, f->content, f->n_content, &f->n_sent)))
		return;
	f->is_committed = true;
	file_call_commit(c);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void put_file(struct mcp_file *f)
{
	struct buffer *out = &f->result.members;

	if (f->call.order.type == AGENT_FILE_READ) {
		mcp_result_begin_member(&f->result, "path");
		json_put_bytes(out, f->call.path, strlen(f->call.path));
		mcp_result_begin_member(&f->result, "contentType");
		json_put_text(out, f->content_type);
		mcp_result_begin_member(&f->result, "sizeInBytes");
		buffer_put_format(out, "%llu", (unsigned long long)f->size);
	} else {
		mcp_result_begin_member(&f->result, "file");
		file_answer_put_entry(out, FILE_NEW, &f->call.entries.list[0]);
	}
}

static void put_list(struct mcp_file *f)
{
	struct buffer json = { 0 };

	file_answer_put_array(&json, FILE_NEW, &f->call.entries);
	mcp_result_begin_member(&f->result, "files");
	buffer_put(&f->result.members, json.data, json.size);
	mcp_result_begin_member(&f->result, "isTruncated");
	buffer_put_text(&f->result.members, f->call.entries.is_cut ? "true" : "false");
	mcp_result_text(&f->result, json.data, json.size);
	f->result.content.failed |= json.failed;
	buffer_fini(&json);
}

static void on_done(struct file_call *c)
{
	struct mcp_file *f = file_of(c);
	char text[128];

	mcp_environment_used(&c->service->mcp_environments, f->exchange->pool, f->environment);
	mcp_result_begin_member(&f->result, "environmentId");
	json_put_text(&f->result.members, f->environment);
	if (c->order.type == AGENT_FILE_LIST) {
		put_list(f);
	} else if (c->order.type == AGENT_FILE_READ) {
		put_file(f);
		finish_download(f);
	} else {
		put_file(f);
		snprintf(text, sizeof(text), "Written: %llu bytes.", (unsigned long long)c->entries.list[0].size);
		mcp_result_text(&f->result, text, strlen(text));
	}
	mcp_result_reply(take_exchange(f), &f->result, false);
}

static const struct file_call_answer answer = {
	.failed = on_failed,
	.begun = on_begun,
	.data = on_data,
	.done = on_done,
};

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* NULL after an answer was given. */
static struct mcp_file *make(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments,
			     enum agent_frame_type type)
{
	struct mcp_file *f = calloc(1, sizeof(*f));

	if (!f) {
		mcp_tool_fail(x, "There is no memory for this request.");
		return NULL;
	}
	if (!mcp_tool_environment(x, tool, arguments, f->environment)) {
		free(f);
		return NULL;
	}
	f->exchange = x;
	f->call.answer = &answer;
	f->call.destroy = destroy;
	f->call.order.type = type;
	return f;
}

static void refuse(struct mcp_file *f, const char *why)
{
	mcp_tool_fail(f->exchange, "%s", why);
	destroy(&f->call);
}

/* It takes *f. */
static void begin(struct mcp_file *f)
{
	struct mcp_exchange *x = f->exchange;
	struct pool *pool = mcp_tool_pool(x);

	if (!pool) {
		destroy(&f->call);
		return;
	}
	if (f->call.order.type == AGENT_FILE_WRITE)
		f->call.order.size_max = file_call_size_max(x->service, pool);
	x->call = f;
	x->gone = on_gone;
	file_call_init(&f->call, x->service, x->http, FILE_NEW);
	file_call_begin(&f->call, pool, f->environment);
}

/* The argument `path` as the name of a file. */
static int read_path(struct mcp_file *f, const json_t *arguments, struct error *err)
{
	const char *path = NULL;
	size_t size = 0;

	if (json_get_text(arguments, "path", &path, &size, err) < 0)
		return -err->code;
	if (!path || strlen(path) != size)
		return error_set(err, 1, "The field 'path' is missing: it names the file.");
	return file_path_add_name(f->call.path, path, err);
}

void mcp_list_files(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments)
{
	struct mcp_file *f = make(x, tool, arguments, AGENT_FILE_LIST);
	const char *path = NULL;
	struct error err = { 0 };
	size_t size = 0;

	if (!f)
		return;
	if (json_get_text(arguments, "path", &path, &size, &err) < 0 ||
	    json_get_bool(arguments, "recursive", &f->call.order.is_recursive, &err) < 0)
		refuse(f, err.text);
	else if (path && strlen(path) != size)
		refuse(f, "The field 'path' is no path.");
	else if (path && file_path_add_folder(f->call.path, path, &err) < 0)
		refuse(f, err.text);
	else
		begin(f);
}

static enum encoding encoding_of(const char *content_type)
{
	if (strncmp(content_type, "image/", 6) == 0 && strncmp(content_type, "image/svg", 9) != 0)
		return IMAGE;
	return strncmp(content_type, "text/", 5) == 0 || strstr(content_type, "json") || strstr(content_type, "xml") ||
			       strstr(content_type, "javascript")
		       ? TEXT
		       : BASE64;
}

void mcp_download_file(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments)
{
	struct mcp_file *f = make(x, tool, arguments, AGENT_FILE_READ);
	const char *encoding = "auto";
	struct error err = { 0 };

	if (!f)
		return;
	if (read_path(f, arguments, &err) < 0 || json_get_text(arguments, "encoding", &encoding, NULL, &err) < 0) {
		refuse(f, err.text);
		return;
	}
	f->content_type = file_path_content_type(f->call.path);
	if (strcasecmp(encoding, "text") == 0)
		f->encoding = TEXT;
	else if (strcasecmp(encoding, "base64") == 0)
		f->encoding = BASE64;
	else
		f->encoding = encoding_of(f->content_type);
	begin(f);
}

void mcp_upload_file(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments)
{
	struct mcp_file *f = make(x, tool, arguments, AGENT_FILE_WRITE);
	struct error err = { 0 };

	if (!f)
		return;
	f->call.drained = on_drained;
	f->encoding = TEXT;
	if (read_path(f, arguments, &err) < 0 ||
	    json_get_text(arguments, "content", &f->content, &f->n_content, &err) < 0) {
		refuse(f, err.text);
		return;
	}
	if (!f->content) {
		f->encoding = BASE64;
		if (json_get_text(arguments, "contentBase64", &f->content, &f->n_content, &err) < 0) {
			refuse(f, err.text);
			return;
		}
	}
	if (!f->content)
		refuse(f, "One of the fields 'content' and 'contentBase64' must have what the file is to hold.");
	else
		begin(f);
}
