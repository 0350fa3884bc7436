/*
 * The host's files that a VM is made of. They are all opened before the jail stands and before anything in them is looked
 * at; in the jail there are no paths, and opening a file by its name finds the descriptor that was opened for it.
 */
#ifndef HEARTH_VMM_HOST_FILE_H
#define HEARTH_VMM_HOST_FILE_H

#include "common/error.h"

struct vm_config;

/*
 * Opens everything that `config` names, /dev/kvm and the process's own page map; makes the vsock's socket and the console
 * log. Negative with *err set.
 */
int host_files_open(const struct vm_config *config, struct error *err);

/*
 * Like open(): the descriptor that host_files_open() opened for `path` with these `flags`, which is the caller's from now
 * on, or a newly opened one. -1 with errno set.
 */
int host_file_open(const char *path, int flags);

/* Likewise for what is made by other calls than open(): the descriptor, or -1 if there is none. */
int host_file_take(const char *name);

#define HOST_FILE_KVM       "/dev/kvm"
#define HOST_FILE_PAGEMAP   "/proc/self/pagemap"
#define HOST_FILE_VSOCK     "vsock"       /* the listening socket */
#define HOST_FILE_USERFAULT "userfaultfd" /* only when a working set is recorded */

#endif
