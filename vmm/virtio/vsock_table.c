#include "vmm/virtio/vsock_table.h"

#include <errno.h>
#include <stdlib.h>

int vsock_table_init(struct vsock_table *table)
{
	*table = (struct vsock_table) { .slots = calloc(VSOCK_CONNECTIONS_MAX, sizeof(*table->slots)) };
	return table->slots ? 0 : -ENOMEM;
}

void vsock_table_fini(struct vsock_table *table)
{
	free(table->slots);
	table->slots = NULL;
}

struct vsock_connection *vsock_table_take(struct vsock_table *table)
{
	struct vsock_connection *connection = NULL;

	for (unsigned i = 0; i < table->n_touched && !connection; i++)
		if (table->slots[i].phase == VSOCK_FREE)
			connection = &table->slots[i];
	if (!connection) {
		if (table->n_touched == VSOCK_CONNECTIONS_MAX)
			return NULL;
		connection = &table->slots[table->n_touched++];
	}
	*connection = (struct vsock_connection) { .phase = VSOCK_GREETING, .source.fd = -1 };
	table->n_used++;
	return connection;
}

static void unqueue(struct vsock_table *table, struct vsock_connection *connection)
{
	struct vsock_connection **link = &table->ready_first;
	struct vsock_connection *previous = NULL;

	if (!connection->is_queued)
		return;
	while (*link != connection) {
		previous = *link;
		link = &previous->next_ready;
	}
	*link = connection->next_ready;
	if (table->ready_last == connection)
		table->ready_last = previous;
	connection->is_queued = false;
}

void vsock_table_release(struct vsock_table *table, struct vsock_connection *connection)
{
	vsock_table_unindex(table, connection);
	unqueue(table, connection);
	connection->phase = VSOCK_FREE;
	table->n_used--;
}

static struct vsock_connection **bucket(const struct vsock_table *table, uint32_t host_port, uint32_t guest_port)
{
	const uint32_t hash = (host_port * 31 + guest_port) * 2654435761U;
	struct vsock_connection *const *buckets = table->buckets;

	return (struct vsock_connection **)&buckets[hash >> 24];
}

void vsock_table_index(struct vsock_table *table, struct vsock_connection *connection)
{
	struct vsock_connection **first = bucket(table, connection->flow.host_port, connection->flow.guest_port);

	connection->next_in_bucket = *first;
	*first = connection;
	connection->is_indexed = true;
}

void vsock_table_unindex(struct vsock_table *table, struct vsock_connection *connection)
{
	struct vsock_connection **link;

	if (!connection->is_indexed)
		return;
	link = bucket(table, connection->flow.host_port, connection->flow.guest_port);
	while (*link != connection)
		link = &(*link)->next_in_bucket;
	*link = connection->next_in_bucket;
	connection->is_indexed = false;
}

struct vsock_connection *vsock_table_find(const struct vsock_table *table, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_connection *connection = *bucket(table, host_port, guest_port);

	while (connection && (connection->flow.host_port != host_port || connection->flow.guest_port != guest_port))
		connection = connection->next_in_bucket;
	return connection;
}

void vsock_table_queue(struct vsock_table *table, struct vsock_connection *connection)
{
	if (connection->is_queued)
		return;
	connection->is_queued = true;
	connection->next_ready = NULL;
	if (table->ready_last && table->ready_first)
		table->ready_last->next_ready = connection;
	else
		table->ready_first = connection;
	table->ready_last = connection;
}

struct vsock_connection *vsock_table_dequeue(struct vsock_table *table)
{
	struct vsock_connection *connection = table->ready_first;

	if (!connection)
		return NULL;
	table->ready_first = connection->next_ready;
	if (!table->ready_first)
		table->ready_last = NULL;
	connection->is_queued = false;
	return connection;
}
