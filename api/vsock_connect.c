#include "api/vsock_connect.h"

#include "common/text.h"

#include <errno.h>
#include <stdio.h>

size_t vsock_connect_line(char line[VSOCK_LINE_SIZE], uint32_t port)
{
	return (size_t)snprintf(line, VSOCK_LINE_SIZE, "CONNECT %u\n", port);
}

int vsock_answer_take(struct vsock_answer *answer, const char **data, size_t *size)
{
	const char *end = memchr(*data, '\n', *size);
	size_t n = end ? (size_t)(end - *data) : *size;

	if (n >= sizeof(answer->text) - answer->size)
		return -EMSGSIZE;
	memcpy(answer->text + answer->size, *data, n);
	answer->size += n;
	if (!end)
		return 0;
	*data += n + 1;
	*size -= n + 1;
	return text_begins_with(answer->text, "OK ") ? 1 : -ECONNREFUSED;
}
