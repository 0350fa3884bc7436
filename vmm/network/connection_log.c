#include "vmm/network/connection_log.h"

#include "common/network_protocol.h"
#include "vmm/network/nanoseconds.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { AGAIN_SECONDS = 60 };

struct line {
	char text[NETWORK_LOG_LINE_MAX];
	size_t size;
};

/* The longest line is shorter than the buffer: a name has at most 128 bytes, everything else is bounded too. */
__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
	const size_t room = sizeof(line->text) - line->size;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line->text + line->size, room, format, arguments);
	va_end(arguments);
	if (n > 0)
		line->size += (size_t)n < room ? (size_t)n : room - 1;
}

static void put_time(struct line *line)
{
	struct timespec now;
	struct tm parts;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	put(line, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\"", parts.tm_year + 1900, parts.tm_mon + 1,
	    parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / NS_PER_MS);
}

void connection_log_open(struct connection_log *log, int fd)
{
	tzset(); /* the C library opens a file for it, which a jail does not allow later */
	*log = (struct connection_log) {
		.fd = fd,
		.denied = { .per_second = LOG_DENIED_PER_SECOND, .at_once = LOG_DENIED_AT_ONCE },
	};
}

void connection_log_write(struct connection_log *log, const struct log_entry *entry)
{
	struct line line = { .size = 0 };
	const uint32_t address = entry->destination;

	put_time(&line);
	put(&line, ",\"protocol\":\"%s\"", entry->protocol);
	if (address)
		put(&line, ",\"destination\":\"%u.%u.%u.%u\"", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
		    address & 0xff);
	if (entry->port)
		put(&line, ",\"port\":%u", entry->port);
	if (entry->domain && *entry->domain)
		put(&line, ",\"domain\":\"%.*s\"", NETWORK_DOMAIN_MAX, entry->domain);
	put(&line, ",\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"seconds\":%" PRId64 ".%03" PRId64, entry->sent,
	    entry->received, entry->duration_ns / NS_PER_SECOND, entry->duration_ns % NS_PER_SECOND / NS_PER_MS);
	put(&line, ",\"verdict\":\"%s\",\"reason\":\"%s\"", entry->verdict.is_allowed ? "allowed" : "denied",
	    reason_name(entry->verdict.reason));
	if (log->left_out)
		put(&line, ",\"left_out\":%" PRIu32, log->left_out);
	put(&line, "}\n");
	/* A line that could not be written counts as one that was left out. */
	if (write(log->fd, line.text, line.size) == (ssize_t)line.size)
		log->left_out = 0;
	else
		log->left_out++;
}

static uint64_t key_of(const struct log_entry *entry)
{
	uint64_t key = (uint64_t)entry->destination << 32 | (uint64_t)entry->port << 16 | entry->verdict.reason;

	for (const char *c = entry->protocol; *c; c++)
		key = (key ^ (uint8_t)*c) * 0x100000001b3u;
	for (const char *c = entry->domain; c && *c; c++)
		key = (key ^ (uint8_t)*c) * 0x100000001b3u;
	return key | 1; /* 0: free */
}

static bool is_recent(struct connection_log *log, uint64_t key, int64_t now_ns)
{
	for (unsigned i = 0; i < LOG_RECENT_MAX; i++)
		if (log->recent[i].key == key && now_ns - log->recent[i].at_ns < AGAIN_SECONDS * NS_PER_SECOND)
			return true;
	return false;
}

void connection_log_denied(struct connection_log *log, const struct log_entry *entry, int64_t now_ns)
{
	const uint64_t key = key_of(entry);

	if (is_recent(log, key, now_ns) || !rate_take(&log->denied, now_ns)) {
		log->left_out++;
		return;
	}
	log->recent[log->next] = (struct log_recent) { .key = key, .at_ns = now_ns };
	log->next = (log->next + 1) % LOG_RECENT_MAX;
	connection_log_write(log, entry);
}
