/* The checksum that a guest's driver leaves to the device (VIRTIO_NET_F_CSUM; virtio 1.2, 5.1.6.2). Pure logic. */
#ifndef HEARTH_VMM_VIRTIO_NET_CHECKSUM_H
#define HEARTH_VMM_VIRTIO_NET_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Puts the checksum of all from `start` to the end of the frame where it belongs, `offset` bytes behind `start`; the
 * driver has put there what else counts. False, and nothing is changed, if that place is not within the frame.
 */
bool net_checksum_complete(uint8_t *frame, size_t length, size_t start, size_t offset);

#endif
