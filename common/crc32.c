#include "common/crc32.h"

uint32_t crc32_of(uint32_t before, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint32_t table[16], crc = ~before;

	/* A nibble at a time: the table costs nothing to make, and what is checked is some 100 KiB. */
	for (uint32_t i = 0; i < 16; i++) {
		table[i] = i;
		for (int bit = 0; bit < 4; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320U : 0);
	}
	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}
