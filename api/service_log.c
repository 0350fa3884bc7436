#include "api/service_log.h"

#include "api/log_json.h"
#include "api/timestamp.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct {
	const char *path; /* "": stderr */
	bool as_json;
	int fd;
} to = { .path = "", .fd = STDERR_FILENO };

static void put_text(struct buffer *line, int64_t now_ms, enum log_level level, const char *identity, const char *text)
{
	char time[TIMESTAMP_SIZE];

	timestamp_format(time, now_ms);
	buffer_put_format(line, "%s %s: %s: %s", time, identity, log_level_name(level), text);
}

/* One write, to a file that is appended to: lines are whole even while something else writes there. */
static void write_line(enum log_level level, const char *identity, const char *text)
{
	struct buffer line = { 0 };

	if (to.as_json)
		log_json_put(&line, timestamp_now_ms(), level, identity, text);
	else
		put_text(&line, timestamp_now_ms(), level, identity, text);
	buffer_put_text(&line, "\n");
	/* There is nowhere to report that the log cannot be written. */
	if (!line.failed && write(to.fd, line.data, line.size) < 0)
		errno = 0;
	buffer_fini(&line);
}

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	return fd < 0 ? -errno : fd;
}

int service_log_open(const char *path, bool as_json, struct error *err)
{
	int fd = *path ? open_file(path) : STDERR_FILENO;

	if (fd < 0)
		return error_set(err, -fd, "cannot write the log-file %s: %s", path, strerror(-fd));
	to.path = path;
	to.as_json = as_json;
	to.fd = fd;
	log_write_with(*path || as_json ? write_line : NULL);
	return 0;
}

void service_log_reopen(void)
{
	int fd = *to.path ? open_file(to.path) : -EBADF;

	if (fd < 0) {
		if (*to.path)
			log_error("the log-file cannot be opened again: %s", strerror(-fd));
		return;
	}
	close(to.fd);
	to.fd = fd;
	log_info("the log-file was opened again");
}

void service_log_close(void)
{
	log_write_with(NULL);
	if (to.fd != STDERR_FILENO)
		close(to.fd);
	to.fd = STDERR_FILENO;
	to.path = "";
	to.as_json = false;
}
