#ifndef HEARTH_API_GUID_H
#define HEARTH_API_GUID_H

enum {
	GUID_SIZE = 37, /* with NUL */
};

/* A random UUID, version 4 (RFC 9562, 5.4), in lower case. */
void guid_make(char guid[GUID_SIZE]);

#endif
