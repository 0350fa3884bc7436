/*
 * The network of a session, as its parts agree on it (docs/network.md):
 *
 *     guest -- virtio-net in hearth-vmm -- a socket, one frame a message -- hearth-netd -- passt (TCP) -- the host's sockets
 *                                                                                 `-- UDP and names, its own sockets
 *
 * hearthd makes socketpair(AF_UNIX, SOCK_SEQPACKET), gives one end to hearth-vmm (--net FD) and the other to
 * hearth-netd (--vmm FD), which starts passt itself. A message is one Ethernet frame without its check sequence,
 * NETWORK_FRAME_MIN to NETWORK_FRAME_MAX bytes; there is no header before it, and all checksums in it are complete.
 * Neither end waits for the other: what cannot be sent at once is dropped. An end that closes is a cable that is pulled.
 *
 * Every guest has the same addresses, so that a snapshot can be cloned freely: nothing is shared between guests.
 */
#ifndef HEARTH_COMMON_NETWORK_PROTOCOL_H
#define HEARTH_COMMON_NETWORK_PROTOCOL_H

#define NETWORK_GUEST_MAC     "\x02\x00\x00\x00\x00\x02" /* 6 bytes */
#define NETWORK_GATEWAY_MAC   "\x02\x00\x00\x00\x00\x01"
#define NETWORK_GUEST_ADDRESS "10.0.2.15"
#define NETWORK_NETMASK       "255.255.255.0"
#define NETWORK_GATEWAY       "10.0.2.2" /* the only router, and the only resolver: port 53 of UDP */

enum {
	NETWORK_PREFIX_LENGTH = 24,
	NETWORK_MAC_SIZE = 6,
	NETWORK_MTU = 65520,       /* of IPv4 packets; VIRTIO_NET_F_MTU */
	NETWORK_FRAME_MIN = 14,    /* an Ethernet header */
	NETWORK_FRAME_MAX = 65534, /* and a packet */
};

/*
 * hearth-netd's command line. Descriptors are numbers of inherited ones.
 *
 *     --vmm FD           the socket above
 *     --log FD           where a line is written for each connection; see below. A file that was opened for appending
 *                        outlives a hearthd; a pipe that nobody reads loses lines, and is never waited for
 *     --policy FILE      see below; read once, at the start
 *     --id NAME          in its own messages (stderr)
 *     --passt FILE       default: passt beside hearth-netd
 *     --resolver ADDRESS whom to ask for names, up to 3 times; default: those of /etc/resolv.conf
 *     --jail full|partial|off, --jail-user ID, --jail-cgroup FILE
 *                        as hearth-vmm's (docs/security.md). For a full jail it is started as the first process of a PID
 *                        namespace, as hearth-vmm is; but it stays in hearthd's network namespace
 *
 * It ends when the VMM's socket ends, and passt with it.
 */
enum network_exit {
	NETWORK_EXIT_ENDED = 0,           /* the VMM's socket has ended, or SIGTERM */
	NETWORK_EXIT_FAILURE = 1,         /* the host could not provide something; stderr says what */
	NETWORK_EXIT_USAGE = 2,           /* the flags or the policy make no sense */
	NETWORK_EXIT_PASST = 3,           /* passt has ended: the guest is without network, and goes on */
	NETWORK_EXIT_FORBIDDEN_CALL = 16, /* it made a system call that its jail forbids */
};

/*
 * The policy: text, one entry a line; empty lines and lines that start with # mean nothing.
 *
 *     default allow        or deny; exactly once. What is done with an address that nothing else speaks of
 *     allow 10.1.0.0/16    an IPv4 network, or an address (as /32). Bits after the prefix must be zero
 *     deny 192.0.2.7
 *     allow example.org    that name alone
 *     deny *.example.org   every name below it, and not itself
 *
 * Among networks the longest prefix that fits decides, deny before allow where both are equally long. Among names a deny
 * that fits beats every allow. Denied whatever the default: loopback, private, link-local, shared, documentation,
 * multicast and reserved ranges and the host's own addresses; only an allowed network (never a name) that lies in one
 * of them, with a prefix at least as long as its, opens it.
 *
 * With `default deny` an address is allowed if a network allows it, or if it was the answer for a name that is allowed.
 * With `default deny` names that no entry allows are not resolved.
 *
 * Names are compared as ASCII, without regard to case; international names stand as xn--. No final dot.
 */
enum {
	NETWORK_POLICY_NETWORKS_MAX = 256, /* allow and deny together */
	NETWORK_POLICY_DOMAINS_MAX = 256,
	NETWORK_POLICY_SIZE_MAX = 131072, /* bytes of the file */
	NETWORK_DOMAIN_MAX = 253,         /* bytes of a name */
};

/*
 * A log line: one JSON object, at most NETWORK_LOG_LINE_MAX bytes with its newline, in one write. When a connection is
 * denied, or ends; and for each name that is asked for.
 *
 *     "time"         RFC 3339, UTC, milliseconds
 *     "protocol"     "tcp", "udp", "dns", "icmp", "ip" (another protocol, a fragment, an option), "ipv6", "ethernet",
 *                    or "network" for what concerns all of it
 *     "destination"  IPv4 address; absent where there is none
 *     "port"         of tcp and udp
 *     "domain"       the name that was asked for, or of which the address was the answer; absent if unknown
 *     "sent"         bytes of payload, by the guest
 *     "received"     bytes of payload, by the guest
 *     "seconds"      how long the connection was open, with three decimals
 *     "verdict"      "allowed" or "denied"
 *     "reason"       one word of: allowed: "default", "network", "domain"; denied: also "host", "private", "gateway",
 *                    "resolver", "protocol", "source", "broadcast", "fragment", "options", "malformed", "full", "rate",
 *                    "unreachable"; of all of it: "passt-ended", "ended"
 *     "left_out"     how many denied ones were not logged since the last line, so that a guest cannot fill a disk;
 *                    absent if none
 */
enum { NETWORK_LOG_LINE_MAX = 1024 };

#endif
