/*
 * The Content-Disposition of a part of a multipart body, in all the dialects that clients write it in: quoted or not,
 * raw UTF-8, percent-encoded, RFC 2047 words, RFC 5987 extended values. Pure logic.
 */
#ifndef HEARTH_API_CONTENT_DISPOSITION_H
#define HEARTH_API_CONTENT_DISPOSITION_H

#include <stdbool.h>
#include <stddef.h>

enum {
	FILE_NAME_SIZE = 4096, /* of a name as a client writes it, with its NUL */
};

/*
 * The file's name from the headers of a part (lines with CR LF). `decodes_percent` for a client that percent-encodes the
 * plain parameter. False if there is no Content-Disposition with one, or it is too long, or decodes to a NUL.
 */
bool content_disposition_file_name(const char *headers, bool decodes_percent, char name[FILE_NAME_SIZE]);

#endif
