/*
 * One entry of a network's policy (common/network_protocol.h), as hearthd takes it from users and hearth-netd reads it:
 * so that what one has taken is not refused by the other. Entries are in lower case.
 */
#ifndef HEARTH_COMMON_POLICY_ENTRY_H
#define HEARTH_COMMON_POLICY_ENTRY_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether it is meant as a network or an address, well or badly written: else it is a name. */
bool policy_entry_is_network(const char *entry);

/*
 * Reads an IPv4 network, or an address, which is one of 32 bits; the address is in the host's byte order. Negative with
 * *err set if it is none.
 */
int policy_entry_read_network(const char *entry, uint32_t *address, unsigned int *prefix, struct error *err);

/* Whether it is a name, without "*." and without a final dot. */
bool policy_entry_is_name(const char *text);

#endif
