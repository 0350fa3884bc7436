/* The guest's network interfaces, by the kernel's calls alone: no program has to be started for them. */
#ifndef HEARTH_GUEST_AGENT_NETWORK_H
#define HEARTH_GUEST_AGENT_NETWORK_H

/*
 * Brings up loopback and, if the machine has a network device, eth0 with the addresses that every guest has
 * (common/network_protocol.h) and the resolver. What does not succeed is logged: a guest without network is of use too.
 */
void network_configure(void);

#endif
