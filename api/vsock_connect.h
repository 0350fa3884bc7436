/* How a connection through a VMM's vsock socket begins: "CONNECT <port>", which it answers with "OK <n>". */
#ifndef HEARTH_API_VSOCK_CONNECT_H
#define HEARTH_API_VSOCK_CONNECT_H

#include <stddef.h>
#include <stdint.h>

enum {
	VSOCK_LINE_SIZE = 32,
};

/* Writes the first line. Returns its bytes, without the NUL. */
size_t vsock_connect_line(char line[VSOCK_LINE_SIZE], uint32_t port);

/* What came of the answer so far. Zeroed at first. */
struct vsock_answer {
	char text[VSOCK_LINE_SIZE];
	size_t size;
};

/*
 * Takes the answer, and moves *data and *size behind it. 1 when it is there, 0 if more is needed, -EMSGSIZE if it is too
 * long, -ECONNREFUSED if it is a refusal.
 */
int vsock_answer_take(struct vsock_answer *answer, const char **data, size_t *size);

#endif
