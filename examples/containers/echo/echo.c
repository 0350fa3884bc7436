/*
 * echo: an HTTP/1.1 server that answers with what it was asked. To try a pool of containers with, and to test one: an
 * answer shows what came through all that is between the client and this server. README.md beside it lists its paths.
 *
 * One thread a connection, and only the C library. It is forgiving where it reads: what it takes and what it makes of
 * it is seen in its answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define HANDED_OVER "/run/hearth/environment" /* what Hearth gives to a session when it is allocated */

enum {
	HEAD_MAX = 128 << 10, /* bytes of a request's or of trailers' lines */
	LINES_MAX = 256,
	INPUT_SIZE = 32 << 10,
	PERIOD = 251, /* of the bytes that /bytes sends */
	BLOCK_SIZE = PERIOD * 256,
	RANDOM_SIZE = 16,
	SHA1_SIZE = 20,
};

/* Lines without their ends, one after the other in `text`. */
struct lines {
	size_t n, used;
	char *line[LINES_MAX];
	char text[HEAD_MAX];
};

struct client {
	int fd;
	unsigned long number, n_requests;
	size_t start, end; /* of what was received and not used yet */
	char input[INPUT_SIZE];
	struct lines head, trailers;
	/* The present request: */
	char *method, *target, *version;
	char path[1024];
	const char *query;
	uint64_t body_size, body_hash;
	bool closes;
};

static atomic_ulong n_connections, counter;
static char drawn_at_start[2 * RANDOM_SIZE + 1];
static char block[BLOCK_SIZE];

extern char **environ;

/* ---- in and out. False: the client is gone, and so is the connection --------------------------------------------- */

static bool send_pieces(struct client *client, struct iovec *pieces, int n)
{
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = n };

	while (message.msg_iovlen > 0) {
		ssize_t sent = sendmsg(client->fd, &message, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		while (message.msg_iovlen > 0 && (size_t)sent >= message.msg_iov->iov_len) {
			sent -= (ssize_t)message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen > 0) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
			message.msg_iov->iov_len -= (size_t)sent;
		}
	}
	return true;
}

static bool send_text(struct client *client, const char *text)
{
	return send_pieces(client, &(struct iovec) { (char *)(uintptr_t)text, strlen(text) }, 1);
}

/* Bytes that were received: how many, from input + start; 0 at the end of the connection. */
static size_t receive(struct client *client)
{
	ssize_t count;

	if (client->start < client->end)
		return client->end - client->start;
	do
		count = recv(client->fd, client->input, sizeof(client->input), 0);
	while (count < 0 && errno == EINTR);
	client->start = 0;
	client->end = count > 0 ? (size_t)count : 0;
	return client->end;
}

/* Exactly so many bytes. */
static bool receive_all(struct client *client, void *data, size_t size)
{
	for (size_t done = 0, count; done < size; done += count) {
		count = receive(client);
		if (count == 0)
			return false;
		if (count > size - done)
			count = size - done;
		memcpy((char *)data + done, client->input + client->start, count);
		client->start += count;
	}
	return true;
}

/* One line up to its line feed, without it and a carriage return before it. */
static bool receive_line(struct client *client, struct lines *lines)
{
	size_t from = lines->used;

	if (lines->n == LINES_MAX)
		return false;
	for (;;) {
		char byte;

		if (lines->used == HEAD_MAX || receive(client) == 0)
			return false;
		byte = client->input[client->start++];
		if (byte == '\n')
			break;
		lines->text[lines->used++] = byte;
	}
	if (lines->used > from && lines->text[lines->used - 1] == '\r')
		lines->used--;
	else if (lines->used == HEAD_MAX)
		return false;
	lines->text[lines->used++] = '\0';
	lines->line[lines->n++] = lines->text + from;
	return true;
}

/* Lines up to an empty one, which is left out. */
static bool receive_lines(struct client *client, struct lines *lines)
{
	do
		if (!receive_line(client, lines))
			return false;
	while (lines->line[lines->n - 1][0] != '\0');
	lines->n--;
	return true;
}

/* True after that time, false as soon as the client is gone. */
static bool wait_ms(struct client *client, uint64_t ms)
{
	struct pollfd events = { .fd = client->fd };

	return ms == 0 || poll(&events, 1, ms < INT32_MAX ? (int)ms : INT32_MAX) == 0;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* The value in a line "Name: value", or NULL if it has another name. */
static const char *value_of(const char *line, const char *name)
{
	size_t length = strlen(name);

	if (strncasecmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	return line + length + 1 + strspn(line + length + 1, " \t");
}

static const char *header(const struct client *client, const char *name)
{
	for (size_t i = 1; i < client->head.n; i++) {
		const char *value = value_of(client->head.line[i], name);

		if (value)
			return value;
	}
	return NULL;
}

static bool header_says(const struct client *client, const char *name, const char *word)
{
	const char *value = header(client, name);

	return value && strcasestr(value, word);
}

/* Writes the value of a parameter of the query, decoded and cut off where there is no room. False if it is not there. */
static bool parameter(const struct client *client, const char *name, char *value, size_t size)
{
	size_t length = strlen(name), used = 0;
	const char *at = client->query;

	while (strncmp(at, name, length) != 0 || at[length] != '=') {
		at = strchr(at, '&');
		if (!at++)
			return false;
	}
	for (at += length + 1; *at && *at != '&' && used + 1 < size; at++) {
		unsigned byte = 0;

		if (*at == '%' && sscanf(at + 1, "%2x", &byte) == 1 && at[1] && at[2]) {
			value[used++] = (char)byte;
			at += 2;
		} else {
			value[used++] = *at == '+' ? ' ' : *at;
		}
	}
	value[used] = '\0';
	return true;
}

static uint64_t number(const struct client *client, const char *name, uint64_t otherwise)
{
	char text[24];

	return parameter(client, name, text, sizeof(text)) ? strtoull(text, NULL, 10) : otherwise;
}

/* FNV-1a with 64 bits. */
static void add_to_body(struct client *client, const char *data, size_t size, bool hashes)
{
	uint64_t hash = client->body_hash;

	for (size_t i = 0; hashes && i < size; i++)
		hash = (hash ^ (uint8_t)data[i]) * 0x100000001b3;
	client->body_hash = hash;
	client->body_size += size;
}

static bool receive_body_bytes(struct client *client, uint64_t size, bool hashes)
{
	for (uint64_t left = size; left > 0;) {
		size_t count = receive(client);

		if (count == 0)
			return false;
		if (count > left)
			count = (size_t)left;
		add_to_body(client, client->input + client->start, count, hashes);
		client->start += count;
		left -= count;
	}
	return true;
}

static bool receive_chunks(struct client *client, bool hashes)
{
	for (;;) {
		uint64_t size;

		client->trailers.n = client->trailers.used = 0;
		if (!receive_line(client, &client->trailers))
			return false;
		size = strtoull(client->trailers.line[0], NULL, 16);
		client->trailers.n = client->trailers.used = 0;
		if (size == 0)
			return receive_lines(client, &client->trailers);
		if (!receive_body_bytes(client, size, hashes) || !receive_line(client, &client->trailers))
			return false;
	}
}

static bool receive_body(struct client *client, bool hashes)
{
	const char *length = header(client, "Content-Length");

	if (header_says(client, "Expect", "100-continue") && !send_text(client, "HTTP/1.1 100 Continue\r\n\r\n"))
		return false;
	if (header_says(client, "Transfer-Encoding", "chunked"))
		return receive_chunks(client, hashes);
	return receive_body_bytes(client, length ? strtoull(length, NULL, 10) : 0, hashes);
}

/* The next request up to its body. */
static bool receive_head(struct client *client)
{
	char *rest;

	client->head.n = client->head.used = client->trailers.n = client->trailers.used = 0;
	client->body_size = 0;
	client->body_hash = 0xcbf29ce484222325;
	if (!receive_lines(client, &client->head) || client->head.n == 0)
		return false;
	client->n_requests++;
	client->method = strtok_r(client->head.line[0], " ", &rest);
	client->target = strtok_r(NULL, " ", &rest);
	client->version = strtok_r(NULL, "", &rest);
	if (!client->method || !client->target || !client->version)
		return false;
	client->query = strchr(client->target, '?');
	snprintf(client->path, sizeof(client->path), "%.*s",
		 (int)(client->query ? client->query - client->target : (ptrdiff_t)strlen(client->target)),
		 client->target);
	client->query = client->query ? client->query + 1 : "";
	client->closes = strcmp(client->version, "HTTP/1.1") != 0 || header_says(client, "Connection", "close");
	return true;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static bool wants_no_body(const struct client *client)
{
	return strcmp(client->method, "HEAD") == 0;
}

/* The head of an answer, of which `length` is lines, each with its end, and what there is of its body already. */
static bool send_beginning(struct client *client, unsigned status, const char *type, const char *length,
			   const char *data, size_t size)
{
	char head[512];

	snprintf(head, sizeof(head), "HTTP/1.1 %u %s\r\nServer: echo\r\nContent-Type: %s\r\n%s%s\r\n", status,
		 status < 400 ? "OK" : "Error", type, length, client->closes ? "Connection: close\r\n" : "");
	return send_pieces(client, (struct iovec[]) { { head, strlen(head) }, { (char *)(uintptr_t)data, size } },
			   size > 0 ? 2 : 1);
}

static bool send_head(struct client *client, const char *type, const char *length)
{
	return send_beginning(client, 200, type, length, NULL, 0);
}

static bool send_answer(struct client *client, unsigned status, const char *type, const char *data, size_t size)
{
	bool is_empty = status == 204 || status == 304;
	char length[64] = "";

	if (!is_empty)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", size);
	return send_beginning(client, status, type, length, data, is_empty || wants_no_body(client) ? 0 : size);
}

static bool send_chunk(struct client *client, const char *text)
{
	size_t length = strlen(text);
	char before[24];

	snprintf(before, sizeof(before), "%zx\r\n", length);
	return send_pieces(client,
			   (struct iovec[]) { { before, strlen(before) },
					      { (char *)(uintptr_t)text, length },
					      { (char *)(uintptr_t) "\r\n", 2 } },
			   3);
}

/* JSON; bytes that are not ASCII are written as the characters of Latin 1 with their numbers. */
static void put_text(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		uint8_t byte = (uint8_t)*text;

		if (byte == '"' || byte == '\\')
			fprintf(out, "\\%c", byte);
		else if (byte < 0x20 || byte > 0x7e)
			fprintf(out, "\\u%04x", byte);
		else
			putc(byte, out);
	}
	putc('"', out);
}

/* [["Name", "value"], …]; a line without a colon is [line]. */
static void put_headers(FILE *out, const struct lines *lines, size_t first)
{
	putc('[', out);
	for (size_t i = first; i < lines->n; i++) {
		char *colon = strchr(lines->line[i], ':');

		fputs(i > first ? ", [" : "[", out);
		if (colon)
			*colon = '\0';
		put_text(out, lines->line[i]);
		if (colon) {
			fputs(", ", out);
			put_text(out, colon + 1 + strspn(colon + 1, " \t"));
			*colon = ':';
		}
		putc(']', out);
	}
	putc(']', out);
}

/* What `put` writes is the answer. */
static bool answer_json(struct client *client, unsigned status, void (*put)(FILE *, struct client *))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool goes_on;

	if (!out)
		return false;
	put(out, client);
	fputs("\n", out);
	fclose(out);
	goes_on = send_answer(client, status, "application/json", text, size);
	free(text);
	return goes_on;
}

static void put_request(FILE *out, struct client *client)
{
	fputs("{\"method\": ", out);
	put_text(out, client->method);
	fputs(", \"target\": ", out);
	put_text(out, client->target);
	fputs(", \"version\": ", out);
	put_text(out, client->version);
	fputs(", \"headers\": ", out);
	put_headers(out, &client->head, 1);
	fprintf(out,
		", \"body\": {\"size\": %" PRIu64 ", \"fnv1a\": \"%016" PRIx64 "\"}, \"trailers\": ", client->body_size,
		client->body_hash);
	put_headers(out, &client->trailers, 0);
	fprintf(out, ", \"connection\": %lu, \"request\": %lu}", client->number, client->n_requests);
}

static bool serve_echo(struct client *client)
{
	return answer_json(client, 200, put_request);
}

static bool serve_status(struct client *client)
{
	uint64_t code = number(client, "code", 200);

	return answer_json(client, code >= 200 && code <= 599 ? (unsigned)code : 400, put_request);
}

static bool serve_slow(struct client *client)
{
	return wait_ms(client, number(client, "ms", 1000)) && serve_echo(client);
}

static bool serve_close(struct client *client)
{
	(void)client;
	return false;
}

static bool send_pattern(struct client *client, uint64_t size)
{
	for (uint64_t left = size, piece; left > 0; left -= piece) {
		piece = left < BLOCK_SIZE ? left : BLOCK_SIZE;
		if (!send_pieces(client, &(struct iovec) { block, (size_t)piece }, 1))
			return false;
	}
	return true;
}

/* Ends in the middle of a body, at once or after some of it. */
static bool serve_cut(struct client *client)
{
	uint64_t size = number(client, "size", 0);
	char length[64];

	snprintf(length, sizeof(length), "Content-Length: %" PRIu64 "\r\n", size + 1);
	if (send_head(client, "application/octet-stream", length))
		send_pattern(client, size);
	return false;
}

/* An answer to a request whose body was not read, nor will be. */
static bool serve_early(struct client *client)
{
	client->closes = true;
	serve_echo(client);
	return false;
}

static bool serve_bytes(struct client *client)
{
	uint64_t size = number(client, "size", 1 << 20);
	char length[64];

	snprintf(length, sizeof(length), "Content-Length: %" PRIu64 "\r\n", size);
	if (!send_head(client, "application/octet-stream", length))
		return false;
	return wants_no_body(client) || send_pattern(client, size);
}

/* Pieces of one format, which has the piece's number twice, each after a while. */
static bool serve_pieces(struct client *client, const char *type, const char *format)
{
	uint64_t count = number(client, "count", 10), ms = number(client, "ms", 100);
	char text[80];

	if (!send_head(client, type, "Cache-Control: no-store\r\nTransfer-Encoding: chunked\r\n"))
		return false;
	if (wants_no_body(client))
		return true;
	for (uint64_t i = 0; count == 0 || i < count; i++) {
		if (i > 0 && !wait_ms(client, ms))
			return false;
		snprintf(text, sizeof(text), format, i, i);
		if (!send_chunk(client, text))
			return false;
	}
	return send_text(client, "0\r\n\r\n");
}

static bool serve_stream(struct client *client)
{
	return serve_pieces(client, "text/plain", "event %" PRIu64 "\n");
}

static bool serve_events(struct client *client)
{
	return serve_pieces(client, "text/event-stream", "id: %" PRIu64 "\ndata: event %" PRIu64 "\n\n");
}

static bool serve_trailers(struct client *client)
{
	if (!send_head(client, "text/plain", "Trailer: X-Echo-Trailer\r\nTransfer-Encoding: chunked\r\n"))
		return false;
	return wants_no_body(client) || (send_chunk(client, "A body, and after it a trailer.\n") &&
					 send_text(client, "0\r\nX-Echo-Trailer: after the body\r\n\r\n"));
}

static bool serve_exit(struct client *client)
{
	int status = (int)number(client, "status", 0);
	uint64_t ms = number(client, "ms", UINT64_MAX);

	if (ms != UINT64_MAX) {
		serve_echo(client);
		wait_ms(client, ms);
	}
	_exit(status);
}

static bool serve_log(struct client *client)
{
	char line[8192], to[16] = "";

	if (!parameter(client, "text", line, sizeof(line) - 1))
		line[0] = '\0';
	parameter(client, "to", to, sizeof(to));
	strcat(line, "\n");
	if (write(strcmp(to, "stderr") == 0 ? STDERR_FILENO : STDOUT_FILENO, line, strlen(line)) < 0)
		return send_answer(client, 500, "text/plain", "", 0);
	return serve_echo(client);
}

static void put_environment(FILE *out, struct client *client)
{
	FILE *file = fopen(HANDED_OVER, "re");
	static const char separator[] = ", ";
	char text[64 << 10];
	size_t size;

	(void)client;
	fputs("{\"variables\": [", out);
	for (size_t i = 0; environ[i]; i++) {
		fputs(i > 0 ? separator : "", out);
		put_text(out, environ[i]);
	}
	fputs("], \"handedOver\": ", out);
	if (!file) {
		fputs("null}", out);
		return;
	}
	size = fread(text, 1, sizeof(text) - 1, file);
	text[size] = '\0';
	fclose(file);
	put_text(out, text);
	putc('}', out);
}

static bool serve_environment(struct client *client)
{
	return answer_json(client, 200, put_environment);
}

static void draw(char text[2 * RANDOM_SIZE + 1])
{
	uint8_t bytes[RANDOM_SIZE];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static void put_random(FILE *out, struct client *client)
{
	char text[2 * RANDOM_SIZE + 1];

	(void)client;
	draw(text);
	fprintf(out, "{\"random\": \"%s\", \"atStart\": \"%s\", \"counter\": %lu}", text, drawn_at_start, ++counter);
}

static bool serve_random(struct client *client)
{
	return answer_json(client, 200, put_random);
}

/* ---- WebSockets: RFC 6455 ---------------------------------------------------------------------------------------- */

static uint32_t rotated(uint32_t value, unsigned bits)
{
	return value << bits | value >> (32 - bits);
}

static void add_to_sha1(uint32_t state[5], const uint8_t part[64])
{
	uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

	for (size_t i = 0; i < 80; i++) {
		uint32_t f = i < 20 ? (b & c) | (~b & d) : i >= 40 && i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
		uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6, next;

		if (i < 16)
			w[i] = (uint32_t)part[4 * i] << 24 | (uint32_t)part[4 * i + 1] << 16 |
			       (uint32_t)part[4 * i + 2] << 8 | part[4 * i + 3];
		else
			w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
		next = rotated(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rotated(b, 30);
		b = a;
		a = next;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

/* Of a text that is shorter than 120 bytes. */
static void sha1(const char *text, uint8_t digest[SHA1_SIZE])
{
	uint32_t state[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	uint8_t padded[128] = { 0 };
	size_t length = strlen(text), size = length < 56 ? 64 : 128;

	memcpy(padded, text, length);
	padded[length] = 0x80;
	padded[size - 2] = (uint8_t)(length * 8 >> 8);
	padded[size - 1] = (uint8_t)(length * 8);
	for (size_t i = 0; i < size; i += 64)
		add_to_sha1(state, padded + i);
	for (size_t i = 0; i < SHA1_SIZE; i++)
		digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
}

/* Sec-WebSocket-Accept for a key; 28 characters. */
static void accept_key(const char *key, char accepted[29])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t digest[SHA1_SIZE + 1] = { 0 };
	char text[100];

	snprintf(text, sizeof(text), "%.60s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	sha1(text, digest);
	for (size_t i = 0; i < 28; i++) {
		const uint8_t *three = digest + i / 4 * 3;
		uint32_t bits = (uint32_t)three[0] << 16 | (uint32_t)three[1] << 8 | three[2];

		accepted[i] = digits[bits >> (18 - i % 4 * 6) & 63];
	}
	accepted[27] = '=';
	accepted[28] = '\0';
}

/* Sends a frame with this first byte back; of its payload, which is masked, no more than a piece is held. */
static bool echo_frame(struct client *client, uint8_t first, uint64_t size, const uint8_t mask[4])
{
	uint8_t head[10] = { first, size < 126 ? (uint8_t)size : size <= UINT16_MAX ? 126 : 127 };
	size_t n_length = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0;
	char piece[4096];

	for (size_t i = 0; i < n_length; i++)
		head[2 + i] = (uint8_t)(size >> 8 * (n_length - 1 - i));
	if (!send_pieces(client, &(struct iovec) { head, 2 + n_length }, 1))
		return false;
	for (uint64_t done = 0, count; done < size; done += count) {
		count = size - done < sizeof(piece) ? size - done : sizeof(piece);
		if (!receive_all(client, piece, (size_t)count))
			return false;
		for (size_t i = 0; i < count; i++)
			piece[i] = (char)(piece[i] ^ mask[(done + i) % 4]);
		if (!send_pieces(client, &(struct iovec) { piece, (size_t)count }, 1))
			return false;
	}
	return true;
}

static bool skip(struct client *client, uint64_t size)
{
	return receive_body_bytes(client, size, false);
}

static void talk(struct client *client)
{
	enum { CLOSE = 8, PING = 9, PONG = 10, OPCODE = 15, MASKED = 128 };
	uint8_t head[2], length[8], mask[4];

	while (receive_all(client, head, sizeof(head))) {
		size_t n_length = (head[1] & 127) == 126 ? 2 : (head[1] & 127) == 127 ? 8 : 0;
		uint64_t size = n_length ? 0 : head[1] & 127;
		uint8_t opcode = head[0] & OPCODE;
		bool goes_on;

		if (!(head[1] & MASKED) || !receive_all(client, length, n_length) || !receive_all(client, mask, 4))
			return;
		for (size_t i = 0; i < n_length; i++)
			size = size << 8 | length[i];
		if (opcode == PONG)
			goes_on = skip(client, size);
		else
			goes_on = echo_frame(client, opcode == PING ? (uint8_t)(head[0] ^ PING ^ PONG) : head[0], size,
					     mask);
		if (!goes_on || opcode == CLOSE)
			return;
	}
}

static bool serve_websocket(struct client *client)
{
	const char *key = header(client, "Sec-WebSocket-Key");
	char accepted[29], head[200];

	if (!key || !header_says(client, "Upgrade", "websocket"))
		return answer_json(client, 400, put_request);
	accept_key(key, accepted);
	snprintf(head, sizeof(head),
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Accept: %s\r\n\r\n",
		 accepted);
	if (send_text(client, head))
		talk(client);
	return false;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static const struct route {
	const char *path;
	bool (*serve)(struct client *client);
	enum { READS_BODY, COUNTS_BODY, LEAVES_BODY } body;
} routes[] = {
	{ "/bytes", serve_bytes, READS_BODY },
	{ "/count", serve_echo, COUNTS_BODY },
	{ "/close", serve_close, LEAVES_BODY },
	{ "/cut", serve_cut, READS_BODY },
	{ "/early", serve_early, LEAVES_BODY },
	{ "/environment", serve_environment, READS_BODY },
	{ "/events", serve_events, READS_BODY },
	{ "/exit", serve_exit, LEAVES_BODY },
	{ "/log", serve_log, READS_BODY },
	{ "/random", serve_random, READS_BODY },
	{ "/slow", serve_slow, READS_BODY },
	{ "/status", serve_status, READS_BODY },
	{ "/stream", serve_stream, READS_BODY },
	{ "/trailers", serve_trailers, READS_BODY },
	{ "/websocket", serve_websocket, LEAVES_BODY },
	{ NULL, serve_echo, READS_BODY },
};

/* To close with something unread would be a reset, and undo what was sent last: what still comes is read first. */
static void end(struct client *client)
{
	const struct timeval longest = { .tv_sec = 1 };

	shutdown(client->fd, SHUT_WR);
	setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof(longest));
	do
		client->start = client->end;
	while (receive(client) > 0);
	close(client->fd);
	free(client);
}

static void *serve(void *argument)
{
	struct client *client = argument;

	while (receive_head(client)) {
		const struct route *route = routes;

		while (route->path && strcmp(route->path, client->path) != 0)
			route++;
		if (route->body != LEAVES_BODY && !receive_body(client, route->body == READS_BODY))
			break;
		if (!route->serve(client) || client->closes)
			break;
	}
	end(client);
	return NULL;
}

static void take(int fd)
{
	struct client *client = malloc(sizeof(*client));
	pthread_attr_t attributes;
	pthread_t thread;
	const int yes = 1;

	if (!client) {
		close(fd);
		return;
	}
	client->fd = fd;
	client->number = ++n_connections;
	client->n_requests = 0;
	client->start = client->end = 0;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, serve, client) != 0) {
		close(fd);
		free(client);
	}
	pthread_attr_destroy(&attributes);
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1024) < 0) {
		fprintf(stderr, "echo: cannot listen on port %u: %s\n", (unsigned)port, strerror(errno));
		exit(1);
	}
	return fd;
}

/* All threads leave these signals to the first one. */
static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int main(void)
{
	const char *given = getenv("PORT");
	const long port = given ? strtol(given, NULL, 10) : 8080;
	struct pollfd events[2] = { { .events = POLLIN }, { .events = POLLIN } };

	if (port < 1 || port > UINT16_MAX) {
		fprintf(stderr, "echo: PORT is no port: %s\n", given);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < BLOCK_SIZE; i++)
		block[i] = (char)(i % PERIOD);
	draw(drawn_at_start);
	events[0].fd = watch_signals();
	events[1].fd = listen_on((uint16_t)port);
	printf("echo: listening on port %ld\n", port);
	while (poll(events, 2, -1) < 0 || !(events[0].revents & POLLIN)) {
		int fd = accept4(events[1].fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			take(fd);
	}
	printf("echo: asked to end\n");
	return 0;
}
