#include "vmm/console.h"

#include "vmm/host_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void write_all(int fd, const void *data, size_t size)
{
	const uint8_t *from = data;

	while (size > 0) {
		ssize_t written = write(fd, from, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; /* a full disk costs the log, not the VM */
		from += written;
		size -= (size_t)written;
	}
}

/* Writes a part of the text, up to the limit; what crosses it ends the log with a note. */
static void write_text(struct console *console, const uint8_t *text, uint32_t size)
{
	const uint64_t left = console->limit - console->n_written;
	char note[80];

	if (console->fd < 0 || left == 0)
		return;
	if (size <= left) {
		write_all(console->fd, text, size);
		console->n_written += size;
		return;
	}
	write_all(console->fd, text, left);
	console->n_written = console->limit;
	write_all(console->fd, note,
		  (size_t)snprintf(note, sizeof(note),
				   "\n[hearth-vmm: the console log is cut here, after %llu bytes]\n",
				   (unsigned long long)console->limit));
}

/* Takes all text out of the ring, then writes without the lock. */
static void drain(struct console *console)
{
	uint8_t text[1024];
	uint32_t size;

	do {
		pthread_mutex_lock(&console->lock);
		for (size = 0; size < sizeof(text) && console->n_taken != console->n_put; size++)
			text[size] = console->ring[console->n_taken++ % CONSOLE_RING_SIZE];
		pthread_mutex_unlock(&console->lock);
		write_text(console, text, size);
	} while (size == sizeof(text));
}

static void ring_ready(void *opaque, uint32_t events)
{
	struct console *console = opaque;

	(void)events;
	eventfd_consume(console->source.fd);
	drain(console);
}

int console_open(struct console *console, const char *path, struct event_loop *loop, struct error *err)
{
	int status;

	memset(console, 0, sizeof(*console));
	pthread_mutex_init(&console->lock, NULL);
	console->loop = loop;
	console->limit = CONSOLE_FILE_MAX;
	console->fd = -1;
	console->source = (struct event_source) { .ready = ring_ready, .opaque = console };
	console->source.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (console->source.fd < 0)
		return error_set(err, errno, "cannot make an eventfd: %s", strerror(errno));
	status = event_loop_add(loop, &console->source, EPOLLIN);
	if (status < 0)
		return error_set(err, -status, "cannot watch the console: %s", strerror(-status));
	if (path && strcmp(path, "-") == 0) {
		console->fd = STDOUT_FILENO;
	} else if (path) {
		console->fd = host_file_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
		console->owns_fd = true;
		if (console->fd < 0)
			return error_set(err, errno, "cannot write the console log %s: %s", path, strerror(errno));
	}
	return 0;
}

void console_close(struct console *console)
{
	char note[80];

	if (!console->loop)
		return;
	drain(console);
	if (console->n_dropped && console->fd >= 0)
		write_all(console->fd, note,
			  (size_t)snprintf(note, sizeof(note),
					   "\n[hearth-vmm: %llu bytes came too fast and were dropped]\n",
					   (unsigned long long)console->n_dropped));
	if (console->owns_fd && console->fd >= 0)
		close(console->fd);
	console->fd = -1;
	event_loop_remove(console->loop, &console->source);
	close(console->source.fd);
	pthread_mutex_destroy(&console->lock);
	console->loop = NULL;
}

/* Keeps the line if it is a panic message; lines longer than the buffer are cut. */
static void follow_line(struct console *console, uint8_t byte)
{
	if (byte == '\n' || byte == '\r') {
		console->line[console->line_length] = '\0';
		if (strstr(console->line, "Kernel panic"))
			memcpy(console->panic_line, console->line, console->line_length + 1);
		console->line_length = 0;
	} else if (console->line_length < CONSOLE_LINE_MAX - 1) {
		/* A NUL would hide what follows it. */
		console->line[console->line_length++] = byte ? (char)byte : '?';
	}
}

void console_put(struct console *console, uint8_t byte)
{
	bool was_empty, is_full;

	pthread_mutex_lock(&console->lock);
	was_empty = console->n_put == console->n_taken;
	is_full = console->n_put - console->n_taken == CONSOLE_RING_SIZE;
	if (is_full)
		console->n_dropped++;
	else
		console->ring[console->n_put++ % CONSOLE_RING_SIZE] = byte;
	follow_line(console, byte);
	pthread_mutex_unlock(&console->lock);
	if (was_empty)
		eventfd_signal(console->source.fd);
}

void console_panic_line(struct console *console, char *line)
{
	pthread_mutex_lock(&console->lock);
	memcpy(line, console->panic_line, CONSOLE_LINE_MAX);
	pthread_mutex_unlock(&console->lock);
}
