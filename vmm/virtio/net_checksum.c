#include "vmm/virtio/net_checksum.h"

#include <string.h>

/* In the order of this machine's bytes: the sum does not mind (RFC 1071). A frame has too few words to overflow it. */
static uint64_t sum_of(const uint8_t *bytes, size_t length)
{
	uint64_t sum = 0;
	uint32_t word;
	uint16_t rest = 0;

	for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		sum += word;
	}
	for (; length > 0; bytes += sizeof(rest), length -= length < sizeof(rest) ? length : sizeof(rest)) {
		rest = 0;
		memcpy(&rest, bytes, length < sizeof(rest) ? length : sizeof(rest));
		sum += rest;
	}
	return sum;
}

bool net_checksum_complete(uint8_t *frame, size_t length, size_t start, size_t offset)
{
	uint64_t sum;
	uint16_t checksum;

	if (start > length || offset > length - start || length - start - offset < sizeof(checksum))
		return false;
	sum = sum_of(frame + start, length - start);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	checksum = (uint16_t)~sum;
	/* In UDP 0 says that there is none; the two mean the same. */
	checksum = checksum ? checksum : 0xffff;
	memcpy(frame + start + offset, &checksum, sizeof(checksum));
	return true;
}
