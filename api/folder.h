/* Folders without folders in them: removed at once, or by a worker thread where the files may be large. */
#ifndef HEARTH_API_FOLDER_H
#define HEARTH_API_FOLDER_H

#include <uv.h>

/* Removes it with its files. 0 or -errno. */
int folder_remove(const char *path);

/* Likewise, in a thread of libuv's; failures are logged. The loop does not end before it is done. */
void folder_remove_later(uv_loop_t *loop, const char *path);

/* Makes what was renamed in it, or into it, survive a loss of power; in a thread of libuv's. */
void folder_sync_later(uv_loop_t *loop, const char *path);

#endif
