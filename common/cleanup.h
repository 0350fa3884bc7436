/*
 * Scope-bound clean-up: a local that owns a resource says so in its declaration, and handing it over is visible
 * (steal_fd, STEAL). Where undoing has an order, use goto instead.
 */
#ifndef HEARTH_COMMON_CLEANUP_H
#define HEARTH_COMMON_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *slot)
{
	free(*(void **)slot);
}

static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* The local's value; the local no longer owns it. */
static inline int steal_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_FD   __attribute__((cleanup(cleanup_fd)))

#define STEAL(slot)                                                                                                    \
	({                                                                                                             \
		__typeof__(slot) slot_ = (slot);                                                                       \
		__typeof__(*slot_) value_ = *slot_;                                                                    \
		*slot_ = NULL;                                                                                         \
		value_;                                                                                                \
	})

#endif
