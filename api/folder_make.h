#ifndef HEARTH_API_FOLDER_MAKE_H
#define HEARTH_API_FOLDER_MAKE_H

/* Makes a folder (mode 0700) and those above it. 0 or -errno; one that is there already is fine. */
int folder_make(const char *path);

#endif
