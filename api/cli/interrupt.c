#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static int event_fd = -1;

static void on_signal(int number)
{
	int saved_errno = errno;
	uint64_t one = 1;

	caught = number;
	if (write(event_fd, &one, sizeof(one)) < 0)
		caught = number; /* the flag alone: it is seen at the next event or second */
	errno = saved_errno;
}

int interrupt_catch(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	/* No SA_RESTART: a write to a pipe that nobody reads must end, too. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event_fd < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], &action, NULL) < 0)
			return -errno;
	return 0;
}

int interrupt_signal(void)
{
	return caught;
}

int interrupt_fd(void)
{
	return event_fd;
}

int write_unless_interrupted(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && (errno != EINTR || interrupt_signal()))
			return -errno;
		if (n < 0)
			continue;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}
