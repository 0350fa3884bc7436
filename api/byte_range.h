/* The Range header of a request (RFC 9110, 14.2), as far as it asks for one range of bytes. Pure logic. */
#ifndef HEARTH_API_BYTE_RANGE_H
#define HEARTH_API_BYTE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct byte_range {
	uint64_t offset; /* of the first byte; AGENT_FILE_FROM_END: the last `length` bytes are meant */
	uint64_t length; /* bytes; more than there are means all that there are */
};

/*
 * Reads "bytes=FIRST-LAST", "bytes=FIRST-" and "bytes=-LENGTH". False for everything else, several ranges among it: then
 * the header is to be ignored, as the RFC allows. Numbers beyond INT64_MAX count as that.
 */
bool byte_range_parse(const char *header, struct byte_range *range);

#endif
