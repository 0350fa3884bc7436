#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static char log_prefix[64] = "hearth";
static enum log_level log_max = LOG_INFO;
static void (*log_writer)(enum log_level level, const char *identity, const char *text);

void log_identity(const char *identity)
{
	snprintf(log_prefix, sizeof(log_prefix), "%s", identity);
}

void log_threshold(enum log_level level)
{
	log_max = level;
}

int log_level_from_name(const char *name)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (strcmp(name, level_names[i]) == 0)
			return i;
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

void log_write_with(void (*write_line)(enum log_level level, const char *identity, const char *text))
{
	log_writer = write_line;
}

const char *log_quote(char *out, size_t size, const char *text)
{
	size_t n = 0;

	if (*text && strcspn(text, " \"=\\:") == strlen(text)) {
		snprintf(out, size, "%s", text);
		return out;
	}
	out[n++] = '"';
	/* Room for an escaped character, the quote and NUL. */
	for (; *text && n + 4 <= size; text++) {
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n++] = '"';
	out[n] = '\0';
	return out;
}

void log_message(enum log_level level, const char *format, ...)
{
	char line[1024];
	va_list args;
	int prefix, length;

	if (level > log_max)
		return;
	length = prefix = snprintf(line, sizeof(line), "%s: %s: ", log_prefix, level_names[level]);
	va_start(args, format);
	length += vsnprintf(line + length, sizeof(line) - (size_t)length, format, args);
	va_end(args);
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	/* A text that quotes a client or a guest must not forge a second line or drive a terminal. */
	for (int i = 0; i < length; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	if (log_writer) {
		line[length] = '\0';
		log_writer(level, log_prefix, line + prefix);
		return;
	}
	line[length++] = '\n';
	/* One write, so that lines of several threads do not mix. */
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		return;
}

bool log_limited(struct log_limit *limit)
{
	struct timespec now;
	int64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (limit->in_window == 0 || now_ns - limit->window_start_ns > 5000000000) {
		if (limit->dropped)
			log_warn("%u similar messages were dropped", limit->dropped);
		*limit = (struct log_limit) { .window_start_ns = now_ns };
	}
	if (limit->in_window >= 10) {
		limit->dropped++;
		return false;
	}
	limit->in_window++;
	return true;
}
