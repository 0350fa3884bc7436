"""A guest that wants to get something out, past its policy: all attempts fail, are seen in the log, and nothing reaches a cable."""

import os
import socket
import struct
import time

import pytest

from lab import FOREIGN_RESOLVER, GATEWAY, GATEWAY_MAC, GUEST, GUEST_MAC, HOST, METADATA, OTHER, SERVER
from test_reach import assert_refused_at_once, echo, resolve, tcp, udp

SECRET = b"the-secret-of-the-session"
FIN, SYN, RST, ACK = 1, 2, 4, 16
POLICY = "default deny\nallow allowed.example\nallow 93.184.216.34/32\n"


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ethernet(payload, kind=0x0800, source=GUEST_MAC, destination=GATEWAY_MAC):
    return destination + source + struct.pack(">H", kind) + payload


def ip(payload, protocol=17, source=GUEST, destination=SERVER, fragment=0, options=b"", version=4):
    size = 20 + len(options)
    head = struct.pack(">BBHHHBBH4s4s", version << 4 | size // 4, 0, size + len(payload), 1, fragment, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(destination)) + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def datagram(payload=SECRET, port=7, source_port=4000):
    return struct.pack(">HHHH", source_port, port, 8 + len(payload), 0) + payload


def segment(flags, port=7, source_port=4000, sequence=1, acknowledgement=0, options=b""):
    """Of TCP, without data."""
    head = struct.pack(">HHIIBBHHH", source_port, port, sequence, acknowledgement, 20 + len(options) << 2, flags, 65535, 0, 0) + options
    sum_of = checksum(socket.inet_aton(GUEST) + socket.inet_aton(SERVER) + struct.pack(">BBH", 0, 6, len(head)) + head)
    return head[:16] + struct.pack(">H", sum_of) + head[18:]


def maximum_segment_size(size):
    return struct.pack(">BBH", 2, 4, size)


def query(name, kind=1, identity=7, tail=b""):
    labels = b"".join(bytes([len(x)]) + x for x in name.split(b".")) + b"\0"
    return struct.pack(">HHHHHH", identity, 0x100, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1) + tail


@pytest.fixture
def netd(connect, sniffer):
    """Whatever a test tries: nothing of it goes over the cable."""
    netd = connect(POLICY)
    yield netd
    for frame in sniffer.frames():
        assert SECRET not in frame and SECRET.hex().encode() not in frame


FRAMES = {
    "spoofed IPv4 source": (ethernet(ip(datagram(), source="10.0.2.99")), "udp", "source"),
    "spoofed source of the host": (ethernet(ip(datagram(), source=HOST)), "udp", "source"),
    "spoofed MAC": (ethernet(ip(datagram()), source=bytes.fromhex("02000000dead")), "udp", "source"),
    "another MAC as destination": (ethernet(ip(datagram()), destination=bytes.fromhex("02000000beef")), "udp", "malformed"),
    "broadcast": (ethernet(ip(datagram(), destination="255.255.255.255"), destination=b"\xff" * 6), "udp", "broadcast"),
    "broadcast of the network": (ethernet(ip(datagram(), destination="10.0.2.255")), "udp", "broadcast"),
    "multicast": (ethernet(ip(datagram(), destination="239.1.2.3"), destination=b"\1\0\x5e\1\2\3"), "udp", "broadcast"),
    "first fragment": (ethernet(ip(datagram(), fragment=0x2000)), "udp", "fragment"),
    "last fragment": (ethernet(ip(SECRET, fragment=0x0010)), "udp", "fragment"),
    "IP options": (ethernet(ip(datagram(), options=b"\x83\x07\x04" + socket.inet_aton(OTHER) + b"\0")), "udp", "options"),
    "ICMP echo": (ethernet(ip(b"\x08\0\0\0\0\1\0\1" + SECRET, protocol=1)), "icmp", "protocol"),
    "GRE": (ethernet(ip(b"\0\0\x08\0" + SECRET, protocol=47)), "ip", "protocol"),
    "SCTP": (ethernet(ip(SECRET, protocol=132)), "ip", "protocol"),
    "IP in IP": (ethernet(ip(ip(datagram()), protocol=4)), "ip", "protocol"),
    "IPv6": (ethernet(b"\x60\0\0\0\0\x19\x11\x40" + b"\xfe\x80" + bytes(14) + b"\x20\1" + bytes(14) + SECRET, 0x86dd), "ipv6", "protocol"),
    "VLAN": (ethernet(b"\0\1\x08\0" + ip(datagram()), 0x8100), "ethernet", "protocol"),
    "LLDP": (ethernet(SECRET, 0x88cc), "ethernet", "protocol"),
    "a length that lies": (ethernet(ip(datagram())[:40]), "udp", "malformed"),
    "a UDP length that lies": (ethernet(ip(struct.pack(">HHHH", 1, 7, 8, 0) + SECRET)), "udp", "malformed"),
    "the begin and the end of a connection in one": (ethernet(ip(segment(SYN | FIN), 6)), "tcp", "malformed"),
    "the begin and a reset in one": (ethernet(ip(segment(SYN | RST), 6)), "tcp", "malformed"),
    "segments of no bytes": (ethernet(ip(segment(SYN, options=maximum_segment_size(0)), 6)), "tcp", "malformed"),
    "segments longer than a frame": (ethernet(ip(segment(SYN, options=maximum_segment_size(65535)), 6)), "tcp", "malformed"),
    "TCP options that end nowhere": (ethernet(ip(segment(SYN, options=b"\3\0\1\1"), 6)), "tcp", "malformed"),
    "a frame too short": (b"\2\0\0", "ethernet", "malformed"),
    "another guest": (ethernet(ip(datagram(), destination="10.0.2.16")), "udp", "private"),
    "link-local metadata": (ethernet(ip(datagram(port=80), destination=METADATA)), "udp", "private"),
    "a resolver of its own": (ethernet(ip(datagram(query(SECRET), 53), destination=FOREIGN_RESOLVER)), "udp", "default"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames(netd, name):
    frame, protocol, reason = FRAMES[name]
    netd.inject(frame)
    assert netd.wait_for_log(protocol=protocol, reason=reason, verdict="denied")


def test_arp_of_another(netd):
    """A guest that says that it is the gateway."""
    arp = struct.pack(">HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, GATEWAY_MAC, socket.inet_aton(GATEWAY), bytes(6), socket.inet_aton(GUEST))
    netd.inject(ethernet(arp, 0x0806, destination=b"\xff" * 6))
    netd.wait_for_log(protocol="ethernet", reason="source", verdict="denied")


def test_dns_by_tcp(lab, netd):
    for address in GATEWAY, FOREIGN_RESOLVER:
        with pytest.raises(ConnectionRefusedError):
            tcp(lab, address, 53)
        netd.wait_for_log(protocol="tcp", destination=address, port=53, verdict="denied")


def test_the_hosts_loopback_through_the_gateway(lab, netd):
    """A service of the host's listens on 127.0.0.1:8080, and on port 80 of all its addresses."""
    assert_refused_at_once(lab, GATEWAY, 8080)
    assert_refused_at_once(lab, HOST, 80)
    for address in "127.0.0.1", "127.0.0.2":
        syn = struct.pack(">HHIIBBHHH", 4001, 8080, 1, 0, 0x50, 2, 1000, 0, 0)
        netd.inject(ethernet(ip(syn, 6, destination=address)))
        netd.wait_for_log(protocol="tcp", destination=address, verdict="denied")
    lab.on_host[1].settimeout(0.2)
    with pytest.raises(TimeoutError):
        lab.on_host[1].accept()


def test_raw_sockets_and_ping_of_a_real_stack(lab, netd):
    with lab.guest, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as ping:
        ping.sendto(b"\x08\0" + struct.pack(">HHH", checksum(b"\x08\0\0\0\0\1\0\1" + SECRET), 1, 1) + SECRET, (SERVER, 0))
        ping.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ping.recv(100)
    with lab.guest, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(ip(datagram(), source="10.0.2.77"), (SERVER, 0))
    netd.wait_for_log(protocol="icmp", destination=SERVER, reason="protocol")
    netd.wait_for_log(protocol="udp", destination=SERVER, reason="source")


def test_names_as_a_tunnel(lab, netd):
    """Long names, unusual bytes, data behind the question, names that are not allowed, too many of those that are."""
    asked = len(lab.servers.asked)
    long = ".".join(["a" * 60] * 3)
    assert resolve(lab, f"{long}.allowed.example")[0] == 1
    assert resolve(lab, f"{SECRET.hex()}.other.example")[0] == 5
    for name in (b"\x01\x02.allowed.example", b"sp ace.example"):
        assert udp(lab, GATEWAY, 53, query(name))[3] & 15 == 1
    assert len(lab.servers.asked) == asked
    # What is behind the question stays behind: the resolver hears the name alone (the sniffer looks for the secret).
    assert udp(lab, GATEWAY, 53, query(b"allowed.example", tail=SECRET))[3] & 15 == 0
    codes = [resolve(lab, "allowed.example", identity=n)[0] for n in range(300)]
    assert codes.count(5) > 50 and 180 <= codes.count(0) < 250
    netd.wait_for_log(protocol="dns", reason="rate", verdict="denied")


def test_answers_of_nobody_asked(lab, netd):
    """Whoever knows the ports of the host's sockets sends in vain: they are connected."""
    assert udp(lab, SERVER) == b"hello"
    with lab.internet, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for port in range(32768, 33768):
            sock.sendto(b"an answer", (HOST, port))
    time.sleep(0.2)
    assert not any(b"an answer" in frame for frame in netd.from_netd)


def test_nothing_comes_in(lab, netd):
    """No port of the host leads to the guest, whatever listens there."""
    with lab.guest:
        listener = socket.create_server(("0.0.0.0", 9000))
        listener_udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener_udp.bind(("0.0.0.0", 9000))
    assert echo(lab, SERVER) == b"hello"
    with lab.internet, pytest.raises(OSError):
        socket.create_connection((HOST, 9000), timeout=1)
    with lab.internet, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (HOST, 9000))
    listener_udp.settimeout(0.3)
    with pytest.raises(TimeoutError):
        listener_udp.recv(10)
    listener.close()
    listener_udp.close()


def test_the_log_is_bounded(netd):
    """A guest that knocks at thousands of doors fills no disk: what is left out is counted."""
    for i in range(3000):
        try:
            netd.inject(ethernet(ip(datagram(port=i + 1), destination=f"10.{i % 250}.1.1")))
        except BlockingIOError:
            time.sleep(0.01)
    time.sleep(0.5)
    netd.inject(ethernet(SECRET, 0x88cc))
    time.sleep(1)
    netd.inject(ethernet(SECRET, 0x88cd))
    assert netd.wait_for(lambda: sum(line.get("left_out", 0) for line in netd.log()) > 2500)
    assert len(netd.log()) < 120 and os.path.getsize(netd.log_file.name) < 64 << 10
