/* The end of a machine whose container may end in order first: its stop signal, and some time. */
#ifndef HEARTH_API_CONTAINER_FAREWELL_H
#define HEARTH_API_CONTAINER_FAREWELL_H

#include "api/container_client.h"
#include "api/microvm.h"

enum {
	CONTAINER_FAREWELL_MS = 5000, /* from the stop signal to SIGKILL */
};

/*
 * Takes over the machine and the connection about its container: asks that to end, and destroys the machine when it has,
 * or its time is over. `gone` as for microvm_destroy().
 */
void container_farewell(uv_loop_t *loop, struct microvm *vm, struct container_client *client, void (*gone)(void *data),
			void *data);

#endif
