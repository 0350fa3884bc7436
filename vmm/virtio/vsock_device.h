/*
 * What the files of the vsock device share. vsock.c has the device and its queues' turns, vsock_connection.c the life of a
 * connection, vsock_tx.c and vsock_rx.c the ways from and to the guest, vsock_clients.c what happens at the host ends. Who
 * calls these functions holds the device's lock; those for the event loop take it.
 */
#ifndef HEARTH_VMM_VIRTIO_VSOCK_DEVICE_H
#define HEARTH_VMM_VIRTIO_VSOCK_DEVICE_H

#include "vmm/event_loop.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/vsock_flow.h"
#include "vmm/virtio/vsock_host.h"
#include "vmm/virtio/vsock_table.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	VSOCK_QUEUE_RX = 0, /* to the guest */
	VSOCK_QUEUE_TX = 1, /* from the guest */
	VSOCK_QUEUE_EVENT = 2,
	VSOCK_N_QUEUES = 3,

	VSOCK_STRAYS_MAX = 64, /* RSTs that wait for RX buffers; when full, TX waits too */
	VSOCK_PACKETS_PER_PASS = 256,
};

/* Ports given to clients, so that they never look like a service's (and like other VMMs'). */
#define VSOCK_HOST_PORT_FIRST (1U << 30)
#define VSOCK_HOST_PORT_END   (1U << 31)

struct vsock {
	struct virtio_device device; /* first: the table of operations casts */
	struct virtio_vsock_config config;
	char path[VSOCK_HOST_PATH_MAX + 1];
	struct event_loop *loop;
	struct event_source listener;
	bool is_listening; /* the listener is in the loop */
	struct event_source timer;
	bool is_ticking;
	struct vsock_table table;
	uint32_t next_host_port;
	unsigned n_backlogs;
	struct vsock_header strays[VSOCK_STRAYS_MAX]; /* first in first out */
	unsigned first_stray, n_strays;

	/* After a restore of a guest that had connections: they are gone, and the guest has to be told. */
	bool reset_is_due;
	bool is_gated;       /* told, but not yet acknowledged: nothing is sent to the guest, it would be thrown away */
	uint16_t gate_index; /* of the event queue's available ring when it was told */
};

/* ---- life of a connection (vsock_connection.c) ---- */

/* What is due later is looked for a few times a second, while that is on. */
void vsock_set_tick(struct vsock *vsock, bool on);
void vsock_set_deadline(struct vsock *vsock, struct vsock_connection *c, int64_t in_ms);

/* Milliseconds of CLOCK_MONOTONIC, as deadlines are. */
int64_t vsock_now_ms(void);

/* Watches a connection's host end. 0 or -errno. */
int vsock_watch(struct vsock *vsock, struct vsock_connection *c, int fd);

/* Memory for what its host end does not take now. 0, -ENOBUFS if too many have some, or -errno. */
int vsock_make_backlog(struct vsock *vsock, struct vsock_connection *c);
void vsock_free_backlog(struct vsock *vsock, struct vsock_connection *c);

/* Accepts clients again, if that was given up for want of descriptors. */
void vsock_listen_again(struct vsock *vsock);

/* Gives up the host end; what is known of the connection stays. */
void vsock_close_host_end(struct vsock *vsock, struct vsock_connection *c);

/* The end of a connection, whatever its state. */
void vsock_release(struct vsock *vsock, struct vsock_connection *c);

bool vsock_has_something_for_guest(const struct vsock_connection *c);

/* After anything happened to a connection: lets it go if it is over, queues it if it has something for the guest. */
void vsock_settle(struct vsock *vsock, struct vsock_connection *c);

void vsock_reset_connection(struct vsock *vsock, struct vsock_connection *c);

/* ---- the ways between a guest and host ends (vsock_tx.c, vsock_rx.c) ---- */

/* Takes packets of the guest, up to VSOCK_PACKETS_PER_PASS. Returns how many. */
unsigned vsock_serve_tx(struct vsock *vsock);

/* Hands a host end what was kept for it, as far as it takes it. */
void vsock_drain_backlog(struct vsock *vsock, struct vsock_connection *c);

/* Fills the guest's buffers, as long as there are some, with up to VSOCK_PACKETS_PER_PASS packets. Returns how many. */
unsigned vsock_serve_rx(struct vsock *vsock);

/* Nothing more comes from the host end; it may take no more, either. */
void vsock_host_end_finished(struct vsock *vsock, struct vsock_connection *c);

/* ---- host ends (vsock_clients.c): for the event loop ---- */

void vsock_host_end_ready(void *connection, uint32_t events);
void vsock_listener_ready(void *vsock, uint32_t events);
void vsock_timer_ready(void *vsock, uint32_t events);

#endif
