/* CRC-32 as in zlib and Ethernet (polynomial 0xedb88320): finds accidents, not attackers. */
#ifndef HEARTH_COMMON_CRC32_H
#define HEARTH_COMMON_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `size` bytes that follow those with the checksum `before` (0 at the start). */
uint32_t crc32_of(uint32_t before, const void *data, size_t size);

#endif
