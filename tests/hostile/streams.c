/*
 * vsock without manners: thousands of connections, every host port, data without a connection and beyond all credit,
 * lengths that lie, types and operations that do not exist, other people's addresses. Nothing of it is an error of the ring, so
 * the device goes on; a packet that is shorter than it says ends the VM.
 */
#include "tests/guests/guest.h"

enum { REQUEST = 1, RESPONSE, RESET, SHUTDOWN, DATA, CREDIT_UPDATE, CREDIT_REQUEST, STREAM = 1, N_PACKETS = 5000 };

struct packet {
	uint64_t source_cid, destination_cid;
	uint32_t source_port, destination_port, length;
	uint16_t type, operation;
	uint32_t flags, buf_alloc, fwd_cnt;
	uint8_t data[256];
} __attribute__((packed));

static struct ring sent, received;
static struct packet packet, answers[RING_SIZE];
static uint64_t device;
static uint64_t state = 0x853c49e6748fea9b;

static uint32_t any(uint32_t n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % n;
}

static void take_answers(void)
{
	while (received.used.index != (uint16_t)(received.available.index - RING_SIZE))
		ring_offer(&received, (uint16_t)(received.available.index % RING_SIZE));
	virtio_notify(device, 0);
}

static void send(void)
{
	const uint16_t before = sent.used.index;

	sent.descriptors[0] =
		(struct descriptor) { (uint64_t)&packet, 44 + (packet.length < 256 ? packet.length : 256), 0, 0 };
	ring_offer(&sent, 0);
	virtio_notify(device, 1);
	while (sent.used.index == before) {
		take_answers();
		__asm__ volatile("pause");
	}
	take_answers();
}

int main(void)
{
	device = virtio_find(VIRTIO_VSOCK);
	virtio_negotiate(device, 0);
	virtio_set_queue(device, 0, (uint64_t)received.descriptors, (uint64_t)&received.available,
			 (uint64_t)&received.used);
	virtio_set_queue(device, 1, (uint64_t)sent.descriptors, (uint64_t)&sent.available, (uint64_t)&sent.used);
	write32(device + 0x70, 0xf);
	for (unsigned i = 0; i < RING_SIZE; i++) {
		received.descriptors[i] =
			(struct descriptor) { (uint64_t)&answers[i], sizeof(answers[i]), DESC_WRITE, 0 };
		ring_offer(&received, (uint16_t)i);
	}
	for (unsigned i = 0; i < N_PACKETS; i++) {
		packet = (struct packet) { .source_cid = any(50) ? 3 : any(5),
					   .destination_cid = any(50) ? 2 : any(5),
					   .source_port = 1024 + any(i % 2 ? 4 : 60000),
					   .destination_port = any(2) ? 1025 : any(0x7fffffff),
					   .type = (uint16_t)(any(50) ? STREAM : any(5)),
					   .operation = (uint16_t)(any(3) ? REQUEST : any(12)),
					   .flags = any(8),
					   .buf_alloc = any(4) ? 65536 : any(0x7fffffff) * 2,
					   .fwd_cnt = any(4) ? 0 : any(0x7fffffff) * 2 };
		if (packet.operation == DATA || any(20) == 0)
			packet.length = any(256);
		send();
	}
	print("all streams\n");
	/* And the one thing that is an error. */
	packet = (struct packet) { 3, 2, 1024, 1025, 0xffffffff, STREAM, DATA, 0, 0, 0, { 0 } };
	send();
	print("a length that lies was taken\n");
	reset();
	wait_for_the_end();
	return 0;
}
