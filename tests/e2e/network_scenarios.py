#!/usr/bin/python3
"""The network device of real microVMs, one scenario a run: it fails, or prints what it found. Runs beside KVM.

usage: network_scenarios.py SCENARIO

The other end of the device is a Network of this file: it answers ARP for the gateway, repeats UDP and swallows TCP.
"""

import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
import zlib

from microvm import Ended, Vm

GUEST_MAC, GATEWAY_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
GUEST, GATEWAY, OUTSIDE = (socket.inet_aton(address) for address in ("10.0.2.15", "10.0.2.2", "198.51.100.7"))
UDP, TCP = 17, 6
FIN, SYN, ACK = 1, 2, 16
FAILURE = 1
READY_KIB = 2048  # private memory of a clone that waits


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def with_checksum(protocol, segment, place):
    """The segment from OUTSIDE to the guest, with its checksum at `place`, in a frame."""
    pseudo = OUTSIDE + GUEST + struct.pack(">HH", protocol, len(segment))
    segment = segment[:place] + struct.pack(">H", checksum(pseudo + segment)) + segment[place + 2:]
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 0, 0, 64, protocol, 0, OUTSIDE, GUEST)
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    return GUEST_MAC + GATEWAY_MAC + b"\x08\x00" + header + segment


def udp_frame(port, destination_port, data):
    return with_checksum(UDP, struct.pack(">HHHH", port, destination_port, 8 + len(data), 0) + data, 6)


class Sink:
    """The other end of one TCP connection on a wire that loses nothing: takes all, and says at the end what it was."""

    def __init__(self, segment):
        self.ports = segment[2:4] + segment[0:2]
        self.expected = struct.unpack(">I", segment[4:8])[0] + 1
        self.sent = 0
        self.data = bytearray()

    def segment(self, flags, data=b"", options=b""):
        made = self.ports + struct.pack(">IIBBHHH", self.sent, self.expected % 2 ** 32, (20 + len(options)) << 2, flags, 65535, 0, 0)
        self.sent += len(data) + bool(flags & (SYN | FIN))
        return with_checksum(TCP, made + options + data, 16)

    def hear(self, segment):
        """What is to be sent for it."""
        flags, data = segment[13], segment[segment[12] >> 4 << 2:]
        if flags & SYN:
            return [self.segment(SYN | ACK, options=struct.pack(">BBH", 2, 4, 65480))]
        if struct.unpack(">I", segment[4:8])[0] != self.expected % 2 ** 32 or not (data or flags & FIN):
            return []
        self.data += data
        self.expected += len(data) + bool(flags & FIN)
        if not flags & FIN:
            return [self.segment(ACK)]
        return [self.segment(ACK | FIN, f"{len(self.data)} {zlib.crc32(self.data)}".encode())]


class Network:
    """`guest_end` is for --net. What was heard is counted by kind; every UDP datagram comes back with "again: " before it."""

    def __init__(self):
        self.guest_end, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.heard = {"arp": 0, "udp": 0, "tcp": 0, "else": 0}
        self.lengths = []
        self.foreign = []  # another source
        self.wrong = []  # a wrong checksum
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        try:
            while frame := self.socket.recv(1 << 17):
                self.hear(frame)
        except OSError:
            pass

    def hear(self, frame):
        kind, packet = frame[12:14], frame[14:]
        if frame[6:12] != GUEST_MAC:
            self.foreign.append(frame)
        if kind == b"\x08\x06" and packet[24:28] == GATEWAY:
            self.heard["arp"] += 1
            self.socket.send(frame[6:12] + GATEWAY_MAC + kind + packet[:6] + b"\0\2" + GATEWAY_MAC + GATEWAY + packet[8:18])
        elif kind == b"\x08\x00" and packet[9] in (UDP, TCP) and packet[12:16] == GUEST:
            protocol, segment = packet[9], packet[20:]
            self.heard["udp" if protocol == UDP else "tcp"] += 1
            self.lengths.append(len(frame))
            if checksum(packet[12:20] + struct.pack(">HH", protocol, len(segment)) + segment):
                self.wrong.append(frame)
            self.hear_udp(segment) if protocol == UDP else self.hear_tcp(segment)
        else:
            self.heard["else"] += 1

    def hear_udp(self, segment):
        port, destination_port = struct.unpack(">HH", segment[:4])
        self.socket.send(udp_frame(destination_port, port, b"again: " + segment[8:]))

    def hear_tcp(self, segment):
        if segment[13] & SYN:
            self.sink = Sink(segment)
        for frame in self.sink.hear(segment):
            self.socket.send(frame)

    def close(self):
        """Pulls the cable."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def boot(network):
    vm = Vm.boot(net=network.guest_end)
    network.guest_end.close()
    return vm


def restore(paths, network, **options):
    vm = Vm.restore(*paths, net=network.guest_end, **options)
    network.guest_end.close()
    return vm


ASK = """
import socket
def ask(data):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect(("198.51.100.7", 7))
        s.send(data)
        return s.recv(1 << 17)
"""
LONGEST = 65520 - 28 - len("again: ")


def answers(guest):
    """Small datagrams come back, and those that fill the longest frame."""
    assert guest.run(ASK + "ask(b'hello')").text == "b'again: hello'"
    found = guest.run(f"data = bytes(range(256)) * 256; ask(data[:{LONGEST}]) == b'again: ' + data[:{LONGEST}]")
    assert found.text == "True", found


def device():
    """What the guest's code finds, and what it may not do; frames in both directions; a cable that is pulled."""
    network = Network()
    with boot(network) as vm:
        guest = vm.guest()
        answers(guest)
        assert max(network.lengths) == 65534 - len("again: "), network.lengths
        found = guest.run("import zlib\ndata = bytes(range(251)) * 20000\n"
                          "with socket.create_connection(('198.51.100.7', 80), 20) as s:\n"
                          "    s.sendall(data)\n    s.shutdown(socket.SHUT_WR)\n"
                          "    print(s.recv(100).decode() == f'{len(data)} {zlib.crc32(data)}')")
        assert found.stdout == b"True\n", found
        assert max(network.lengths) > 65000 and network.heard["tcp"] > 5020000 // 65480, network.heard
        assert network.heard["arp"] >= 1 and not network.foreign and not network.wrong, network.heard
        assert network.heard["else"] == 0, network.heard  # neither IPv6 nor anything else is said unasked

        found = guest.run("print(open('/etc/resolv.conf').read(), open('/sys/class/net/eth0/mtu').read(), "
                          "open('/sys/class/net/eth0/address').read(), open('/proc/net/if_inet6').read())")
        assert found.stdout.decode().split() == ["nameserver", "10.0.2.2", "65520", "02:00:00:00:00:02", *(["0" * 31 + "1"]),
                                                 "01", "80", "10", "80", "lo"], found.stdout
        for family, kind in ("AF_PACKET", "SOCK_RAW"), ("AF_INET", "SOCK_RAW"), ("AF_INET6", "SOCK_RAW"):
            found = guest.run(f"try:\n    socket.socket(socket.{family}, socket.{kind}, 1)\nexcept OSError as e:\n    print('no')")
            assert found.stdout == b"no\n", (family, found.stdout)

        network.close()
        found = guest.run("try:\n    s = socket.socket(type=socket.SOCK_DGRAM)\n    s.settimeout(1)\n"
                          "    s.sendto(b'x' * 1000, ('198.51.100.7', 7))\n    s.recv(1)\nexcept OSError:\n    print('cut off')")
        assert found.stdout == b"cut off\n", found
        assert guest.run("1 + 1").text == "2"
        assert "net: the other end has closed" in vm.log_text()


def clones():
    """A template, whose other end nobody serves, and its clones, each with a network of its own."""
    folder = tempfile.mkdtemp(prefix="hearth-test-", dir="/tmp")
    unserved, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with Vm.boot(net=unserved) as vm:
        guest = vm.guest()
        # Far more than the socket takes: nothing waits for it.
        guest.run(ASK + "s = socket.socket(type=socket.SOCK_DGRAM)\ns.setblocking(False)\nfor i in range(100):\n    try:\n"
                  "        s.sendto(b'x' * 9000, ('198.51.100.7', 7))\n    except BlockingIOError:\n        pass")
        guest.settle()
        guest.close()
        vm.wait_until_unconnected()
        paths = [shutil.move(path, folder) for path in vm.snapshot("network")]
    networks = [Network(), Network()]
    with restore(paths, networks[0]) as first, restore(paths, networks[1]) as second:
        print("private KiB of a clone that waits, guest and other:", second.private_kib())
        assert sum(second.private_kib()) < READY_KIB, second.private_kib()
        for vm, network in (first, networks[0]), (second, networks[1]):
            guest = vm.guest()
            guest.adopt()
            answers(guest)
            guest.close()
        assert not networks[0].foreign and not networks[1].foreign
        # And one of a clone that was used.
        first.wait_until_unconnected()
        layer = [shutil.move(path, folder) for path in first.snapshot("network-layer")]
    network = Network()
    with Vm.restore(layer[0], paths[1], layer[1], net=network.guest_end) as vm:
        network.guest_end.close()
        answers(vm.guest())

    for net, why in (None, "it was made with a network device: give it --net"), (other_end, None):
        try:
            vm = Vm.restore(*paths, net=net, resume=False)
            assert vm.query()["state"] == "paused"
            vm.close()
            assert why is None
        except (Ended, OSError) as ended:
            assert why and why in str(ended), ended
    shutil.rmtree(folder)


def absence():
    """Without the flag there is no device, and what was made without one is not given one."""
    folder = tempfile.mkdtemp(prefix="hearth-test-", dir="/tmp")
    with Vm.boot() as vm:
        guest = vm.guest()
        found = guest.run("import os\nprint(sorted(os.listdir('/sys/class/net')), open('/proc/net/route').read().count('\\n'))")
        assert found.stdout.decode().split() == ["['lo']", "1"], found.stdout
        guest.close()
        vm.wait_until_unconnected()
        paths = [shutil.move(path, folder) for path in vm.snapshot("no-network")]
    network = Network()
    vm = Vm.restore(*paths, net=network.guest_end, resume=False)
    reason = vm.close()
    assert "it was made without a network device: leave --net out" in reason, reason
    assert vm.status == FAILURE
    shutil.rmtree(folder)


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
    {f.__name__: f for f in (device, clones, absence)}[sys.argv[1]]()
