/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command for one client. This process is the subreaper of all that the command starts, so that it can end all
 * of it when the client goes away; what a command leaves behind in the ordinary way goes on (and belongs to init).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "protocol.h"

#define TERMINATE_GRACE_MS 10000
#define KILL_PATIENCE_MS   5000
#define CLOSE_PATIENCE_MS  5000
#define TERMINAL_DRAIN_MS  100
#define OUTPUT_CHUNK       32768
#define WORDS_MAX          4096

struct stream {
	int fd;
	size_t left; /* what may still be read after the command's end */
};

struct session {
	int socket;
	int signals;
	const char *token;
	bool trusted, running, ended, client_gone;
	pid_t child;
	int status;
	long long kill_at_ms; /* 0: not being terminated */
	bool pty;
	struct winsize window;
	int input;
	bool input_ended;
	struct stream output[2]; /* stdout, stderr */
	char *directory;
	char *arguments[WORDS_MAX + 1], *environment[WORDS_MAX + 1];
	size_t argument_count, environment_count;
	size_t received, sending, pending; /* bytes in the buffers below */
	unsigned char receive_buffer[FRAME_HEADER + FRAME_MAX];
	unsigned char send_buffer[8 * OUTPUT_CHUNK];
	unsigned char pending_input[STDIN_WINDOW]; /* stdin that the command has not read yet */
};

static struct session session;

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* ---- sending ------------------------------------------------------------------------------------------------- */

static void flush_frames(struct session *s)
{
	while (s->sending > 0) {
		ssize_t sent = send(s->socket, s->send_buffer, s->sending, MSG_DONTWAIT);

		if (sent < 0) {
			if (errno != EAGAIN && errno != EINTR) {
				s->client_gone = true;
				s->sending = 0;
			}
			return;
		}
		s->sending -= (size_t)sent;
		memmove(s->send_buffer, s->send_buffer + sent, s->sending);
	}
}

static bool room_to_send(const struct session *s, size_t payload)
{
	return s->sending + FRAME_HEADER + payload <= sizeof(s->send_buffer);
}

static void queue_frame(struct session *s, char type, const void *payload, size_t length)
{
	unsigned char *frame = s->send_buffer + s->sending;

	if (s->client_gone || !room_to_send(s, length))
		return;
	frame[0] = (unsigned char)type;
	for (int i = 0; i < 4; i++)
		frame[1 + i] = (unsigned char)(length >> (8 * i));
	memcpy(frame + FRAME_HEADER, payload, length);
	s->sending += FRAME_HEADER + length;
	flush_frames(s);
}

/* Wait until the client has all of it: closing a socket with unread bytes in it would discard what was sent. */
static _Noreturn void leave(struct session *s)
{
	long long end_ms = now_ms() + CLOSE_PATIENCE_MS;
	bool shut = false;

	while (!s->client_gone && now_ms() < end_ms) {
		struct pollfd fd = { .fd = s->socket, .events = (short)(POLLIN | (s->sending ? POLLOUT : 0)) };

		if (s->sending == 0 && !shut)
			shut = shutdown(s->socket, SHUT_WR) == 0;
		poll(&fd, 1, 100);
		flush_frames(s);
		if (fd.revents & (POLLIN | POLLHUP | POLLERR)) {
			ssize_t got = recv(s->socket, s->receive_buffer, sizeof(s->receive_buffer), MSG_DONTWAIT);

			if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
				break;
		}
	}
	_exit(0);
}

static _Noreturn __attribute__((format(printf, 3, 4))) void fail(struct session *s, int status, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	int length;

	text[0] = (char)status;
	va_start(arguments, format);
	length = vsnprintf(text + 1, sizeof(text) - 1, format, arguments);
	va_end(arguments);
	if (length > (int)sizeof(text) - 2)
		length = (int)sizeof(text) - 2;
	queue_frame(s, FROM_LAB_FAILED, text, (size_t)length + 1);
	leave(s);
}

/* ---- ending what runs ---------------------------------------------------------------------------------------- */

static void collect_children(struct session *s)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != s->child)
			continue;
		s->ended = true;
		s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		for (int i = 0; i < 2; i++) {
			int waiting = 0;

			/* Take what is there, but do not wait for others who may hold the pipe open. */
			if (s->output[i].fd >= 0)
				ioctl(s->output[i].fd, FIONREAD, &waiting);
			s->output[i].left = (size_t)waiting;
		}
	}
}

/* Orphans come to us, the subreaper: killing all children until there are none ends the whole tree. */
static void kill_all(struct session *s)
{
	char path[64], line[4096];
	long long end_ms = now_ms() + KILL_PATIENCE_MS;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	while (now_ms() < end_ms) {
		FILE *children = fopen(path, "re");
		bool any = children && fgets(line, sizeof(line), children);

		if (children)
			fclose(children);
		if (!any)
			break;
		for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"))
			kill((pid_t)atoi(word), SIGKILL);
		usleep(10000);
		collect_children(s);
	}
}

static void terminate(struct session *s)
{
	if (!s->running || s->kill_at_ms)
		return;
	s->kill_at_ms = now_ms() + TERMINATE_GRACE_MS;
	kill(-s->child, SIGTERM);
	kill(-s->child, SIGCONT);
}

/* ---- starting ------------------------------------------------------------------------------------------------ */

static int open_terminal(struct session *s)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		fail(s, 125, "cannot open a terminal: %s", strerror(errno));
	ioctl(master, TIOCSWINSZ, &s->window);
	return master;
}

/* In the child. Errors go to the pipe as an errno; a successful exec closes it. */
static _Noreturn void become_command(struct session *s, const int in[2], const int out[2], const int err[2], int report)
{
	sigset_t none;
	int slave, error;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (s->pty) {
		slave = open(ptsname(in[1]), O_RDWR);
		ioctl(slave, TIOCSCTTY, 0);
		dup2(slave, 0);
		dup2(slave, 1);
		dup2(slave, 2);
		if (slave > 2)
			close(slave);
	} else {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
	}
	clearenv();
	for (size_t i = 0; i < s->environment_count; i++)
		putenv(s->environment[i]);
	execvp(s->arguments[0], s->arguments);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static void set_nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void run_command(struct session *s)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 }, report[2], error;

	if (s->argument_count == 0)
		fail(s, 125, "no command was given");
	if (chdir(s->directory ? s->directory : "/") != 0)
		fail(s, 125, "cannot go to %s inside the lab: %s", s->directory, strerror(errno));
	if (s->pty)
		in[1] = out[0] = open_terminal(s);
	else if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
		fail(s, 125, "cannot make a pipe: %s", strerror(errno));
	if (pipe2(report, O_CLOEXEC) != 0)
		fail(s, 125, "cannot make a pipe: %s", strerror(errno));
	s->child = fork();
	if (s->child < 0)
		fail(s, 125, "cannot start a process: %s", strerror(errno));
	if (s->child == 0)
		become_command(s, in, out, err, report[1]);
	close(report[1]);
	if (!s->pty) {
		close(in[0]);
		close(out[1]);
		close(err[1]);
	}
	if (read(report[0], &error, sizeof(error)) == sizeof(error))
		fail(s, error == ENOENT ? 127 : 126, "%s: %s", s->arguments[0], strerror(error));
	close(report[0]);
	set_nonblocking(in[1]);
	set_nonblocking(out[0]);
	if (err[0] >= 0)
		set_nonblocking(err[0]);
	s->input = in[1];
	s->output[0].fd = out[0];
	s->output[1].fd = err[0];
	s->running = true;
	queue_frame(s, FROM_LAB_BEGUN, "", 0);
}

/* ---- frames from the client ---------------------------------------------------------------------------------- */

static char *copy_text(struct session *s, const unsigned char *payload, size_t length)
{
	char *text = strndup((const char *)payload, length);

	if (!text)
		fail(s, 125, "out of memory");
	return text;
}

static void add_word(struct session *s, char **words, size_t *count, const unsigned char *payload, size_t length)
{
	if (*count >= WORDS_MAX)
		fail(s, 125, "more than %d words in the command or its environment", WORDS_MAX);
	words[(*count)++] = copy_text(s, payload, length);
}

static void set_window(struct session *s, const unsigned char *payload, size_t length)
{
	if (length != 4)
		return;
	s->window.ws_row = (unsigned short)(payload[0] | payload[1] << 8);
	s->window.ws_col = (unsigned short)(payload[2] | payload[3] << 8);
	if (s->running && s->pty)
		ioctl(s->input, TIOCSWINSZ, &s->window);
}

static void take_input(struct session *s, const unsigned char *payload, size_t length)
{
	if (length == 0) {
		s->input_ended = true;
		return;
	}
	if (s->pending + length > sizeof(s->pending_input))
		fail(s, 125, "the client sent more input than it may");
	memcpy(s->pending_input + s->pending, payload, length);
	s->pending += length;
}

static void pass_signal(struct session *s, const unsigned char *payload, size_t length)
{
	if (length == 2 && s->running && !s->ended && payload[0] > 0 && payload[0] < NSIG)
		kill(payload[1] ? -s->child : s->child, payload[0]);
}

static void close_output(struct session *s, const unsigned char *payload, size_t length)
{
	if (length != 1 || payload[0] < 1 || payload[0] > 2 || s->pty || s->output[payload[0] - 1].fd < 0)
		return;
	close(s->output[payload[0] - 1].fd);
	s->output[payload[0] - 1].fd = -1;
}

static bool same_token(const char *ours, const unsigned char *theirs)
{
	unsigned char difference = 0;

	for (size_t i = 0; i < TOKEN_SIZE; i++)
		difference |= (unsigned char)((unsigned char)ours[i] ^ theirs[i]);
	return difference == 0;
}

static void take_frame(struct session *s, char type, const unsigned char *payload, size_t length)
{
	if (!s->trusted) {
		if (type != TO_LAB_TOKEN || length != TOKEN_SIZE || !same_token(s->token, payload))
			_exit(1);
		s->trusted = true;
		return;
	}
	switch (type) {
	case TO_LAB_DIRECTORY:
		free(s->directory);
		s->directory = copy_text(s, payload, length);
		break;
	case TO_LAB_ENVIRON:
		add_word(s, s->environment, &s->environment_count, payload, length);
		break;
	case TO_LAB_ARGUMENT:
		add_word(s, s->arguments, &s->argument_count, payload, length);
		break;
	case TO_LAB_PTY:
		s->pty = true;
		set_window(s, payload, length);
		break;
	case TO_LAB_RUN:
		if (!s->running)
			run_command(s);
		break;
	case TO_LAB_STDIN:
		take_input(s, payload, length);
		break;
	case TO_LAB_SIGNAL:
		pass_signal(s, payload, length);
		break;
	case TO_LAB_WINDOW:
		set_window(s, payload, length);
		break;
	case TO_LAB_CLOSE:
		close_output(s, payload, length);
		break;
	case TO_LAB_TERMINATE:
		terminate(s);
		break;
	default:
		fail(s, 125, "unknown message from the client");
	}
}

static void receive_frames(struct session *s)
{
	size_t start = 0;
	ssize_t got =
		recv(s->socket, s->receive_buffer + s->received, sizeof(s->receive_buffer) - s->received, MSG_DONTWAIT);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		s->client_gone = true;
		s->sending = 0;
	}
	if (got <= 0)
		return;
	s->received += (size_t)got;
	while (s->received - start >= FRAME_HEADER) {
		const unsigned char *frame = s->receive_buffer + start;
		size_t length = (size_t)frame[1] | (size_t)frame[2] << 8 | (size_t)frame[3] << 16 |
				(size_t)frame[4] << 24;

		if (length > FRAME_MAX)
			fail(s, 125, "a message of the client is too long");
		if (s->received - start < FRAME_HEADER + length)
			break;
		take_frame(s, (char)frame[0], frame + FRAME_HEADER, length);
		start += FRAME_HEADER + length;
	}
	s->received -= start;
	memmove(s->receive_buffer, s->receive_buffer + start, s->received);
}

/* ---- the command's streams ----------------------------------------------------------------------------------- */

static void acknowledge_input(struct session *s, size_t amount)
{
	unsigned char credit[4];

	for (int i = 0; i < 4; i++)
		credit[i] = (unsigned char)(amount >> (8 * i));
	queue_frame(s, FROM_LAB_CREDIT, credit, sizeof(credit));
}

static void write_input(struct session *s)
{
	ssize_t written;

	if (s->pending == 0 || s->input < 0 || !room_to_send(s, 4))
		return;
	written = write(s->input, s->pending_input, s->pending);
	if (written < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* The command closed its input: drop what comes, as a pipe's writer would be told to. */
	if (written < 0)
		written = (ssize_t)s->pending;
	s->pending -= (size_t)written;
	memmove(s->pending_input, s->pending_input + written, s->pending);
	acknowledge_input(s, (size_t)written);
}

static void end_input(struct session *s)
{
	if (!s->input_ended || s->pending > 0 || s->input < 0)
		return;
	if (s->pty) {
		if (write(s->input, "\004", 1) == 1)
			s->input_ended = false;
		return;
	}
	close(s->input);
	s->input = -1;
}

static void read_output(struct session *s, int which)
{
	static unsigned char chunk[OUTPUT_CHUNK];
	struct stream *stream = &s->output[which];
	size_t want = sizeof(chunk);
	ssize_t got;

	if (s->ended && !s->pty && stream->left < want)
		want = stream->left;
	got = want ? read(stream->fd, chunk, want) : 0;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		if (!s->pty)
			close(stream->fd);
		stream->fd = -1;
		return;
	}
	if (s->ended && !s->pty)
		stream->left -= (size_t)got;
	queue_frame(s, which == 0 ? FROM_LAB_STDOUT : FROM_LAB_STDERR, chunk, (size_t)got);
}

static bool all_output_read(const struct session *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->output[i].fd >= 0 && (s->pty || s->output[i].left > 0))
			return false;
	}
	return true;
}

static _Noreturn void finish(struct session *s)
{
	unsigned char status = (unsigned char)s->status;

	if (s->kill_at_ms)
		kill_all(s);
	queue_frame(s, FROM_LAB_EXIT, &status, 1);
	leave(s);
}

/* One turn: wait for something to happen (at most until a deadline), then do what can be done. */
static void turn(struct session *s)
{
	bool can_send = room_to_send(s, OUTPUT_CHUNK);
	int timeout_ms = -1, ready;
	struct pollfd fds[5] = {
		{ .fd = s->socket, .events = (short)(POLLIN | (s->sending ? POLLOUT : 0)) },
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->pending ? s->input : -1, .events = POLLOUT },
		{ .fd = can_send ? s->output[0].fd : -1, .events = POLLIN },
		{ .fd = can_send ? s->output[1].fd : -1, .events = POLLIN },
	};
	struct signalfd_siginfo signals[8];

	if (s->client_gone)
		fds[0].fd = -1;
	if (s->kill_at_ms)
		timeout_ms = s->kill_at_ms > now_ms() ? (int)(s->kill_at_ms - now_ms()) : 0;
	if (s->ended && can_send)
		timeout_ms = s->pty ? TERMINAL_DRAIN_MS : 0;
	ready = poll(fds, 5, timeout_ms);

	if (s->kill_at_ms && now_ms() >= s->kill_at_ms && !s->ended)
		kill_all(s);
	if (fds[1].revents && read(s->signals, signals, sizeof(signals)) > 0)
		collect_children(s);
	flush_frames(s);
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		receive_frames(s);
	write_input(s);
	end_input(s);
	for (int i = 0; i < 2; i++) {
		if (fds[3 + i].revents && s->output[i].fd >= 0)
			read_output(s, i);
	}
	if (s->ended && s->pty && ready == 0 && can_send)
		s->output[0].fd = -1;
}

_Noreturn void session_serve(int socket_fd, const char token[TOKEN_SIZE])
{
	struct session *s = &session;
	sigset_t children;

	s->socket = socket_fd;
	s->token = token;
	s->input = s->output[0].fd = s->output[1].fd = -1;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	s->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);

	while (!(s->ended && all_output_read(s))) {
		if (s->client_gone && !s->running)
			_exit(0);
		if (s->client_gone)
			terminate(s);
		turn(s);
	}
	finish(s);
}
