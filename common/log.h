/*
 * One line a message on stderr: "<identity>: <level>: text". Whoever handles an error logs it or passes it up, not
 * both. What a guest or a client can trigger is a warning at most and goes through log_limited().
 */
#ifndef HEARTH_COMMON_LOG_H
#define HEARTH_COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets the prefix of every line, e.g. "hearthd" or "vmm/3f2a" (copied, at most 63 bytes). */
void log_identity(const char *identity);

/* Messages above `level` are dropped; the start value is LOG_INFO. */
void log_threshold(enum log_level level);

/* Level by its name (error, warn, info, debug), or -EINVAL. */
int log_level_from_name(const char *name);

/* The name of a level. */
const char *log_level_name(enum log_level level);

/* Writes lines in another way than to stderr; `text` has no control characters. NULL: to stderr again. */
void log_write_with(void (*write_line)(enum log_level level, const char *identity, const char *text));

/* `text` as one word of a message: as it is, or in quotes where something in it could be taken for more. Cut to fit. */
const char *log_quote(char *out, size_t size, const char *text);

void log_message(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A token bucket for one call site: 10 messages in 5 seconds, then silence with a count. */
struct log_limit {
	int64_t window_start_ns;
	uint32_t in_window;
	uint32_t dropped;
};

/* True if the caller may log now. When a new window opens after drops, says how many were dropped. */
bool log_limited(struct log_limit *limit);

#define log_error(...) log_message(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_message(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, __VA_ARGS__)

/* A warning that an untrusted party can cause, at most 10 in 5 s from this place. */
#define log_warn_limited(...)                                                                                          \
	do {                                                                                                           \
		static struct log_limit limit_;                                                                        \
		if (log_limited(&limit_))                                                                              \
			log_warn(__VA_ARGS__);                                                                         \
	} while (0)

#endif
