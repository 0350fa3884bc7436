/*
 * The connections of a vsock device: slots that live as long as the device (so a late event finds a slot, never freed
 * memory), a lookup by ports, and the list of those that have something for the guest.
 */
#ifndef HEARTH_VMM_VIRTIO_VSOCK_TABLE_H
#define HEARTH_VMM_VIRTIO_VSOCK_TABLE_H

#include "vmm/event_loop.h"
#include "vmm/virtio/vsock_flow.h"

enum {
	VSOCK_CONNECTIONS_MAX = 1023,
	VSOCK_BUCKETS = 256,
};

enum vsock_phase {
	VSOCK_FREE,
	VSOCK_GREETING, /* a client that has not sent its CONNECT line; the flow means nothing yet */
	VSOCK_STREAM,
};

struct vsock_connection {
	enum vsock_phase phase;
	struct vsock_flow flow;
	struct event_source source; /* the host end; its descriptor is -1 when it was given up */
	void *owner;                /* the device */
	uint8_t *backlog; /* ring of VSOCK_WINDOW bytes: byte n of the stream is at n modulo its size; NULL if empty */
	int64_t deadline_ms; /* CLOCK_MONOTONIC; 0: none */
	bool is_readable;    /* the host end may have bytes: no EAGAIN since the last event */
	bool is_queued;      /* in the ready list */
	bool is_indexed;     /* in its bucket */
	struct vsock_connection *next_in_bucket;
	struct vsock_connection *next_ready;
};

struct vsock_table {
	struct vsock_connection *slots; /* VSOCK_CONNECTIONS_MAX */
	unsigned n_touched;             /* slots from here on were never used */
	unsigned n_used;
	struct vsock_connection *buckets[VSOCK_BUCKETS];
	struct vsock_connection *ready_first, *ready_last;
};

/* 0 or -ENOMEM. */
int vsock_table_init(struct vsock_table *table);
void vsock_table_fini(struct vsock_table *table);

/* A cleared slot that is the caller's until vsock_table_release(), or NULL if all are in use. */
struct vsock_connection *vsock_table_take(struct vsock_table *table);
void vsock_table_release(struct vsock_table *table, struct vsock_connection *connection);

/* Makes it known by the ports in its flow. */
void vsock_table_index(struct vsock_table *table, struct vsock_connection *connection);
void vsock_table_unindex(struct vsock_table *table, struct vsock_connection *connection);
struct vsock_connection *vsock_table_find(const struct vsock_table *table, uint32_t host_port, uint32_t guest_port);

/* The ready list, first in first out; no connection stands in it twice. */
void vsock_table_queue(struct vsock_table *table, struct vsock_connection *connection);
struct vsock_connection *vsock_table_dequeue(struct vsock_table *table);

#endif
