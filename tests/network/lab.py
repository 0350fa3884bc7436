"""Three network namespaces: a guest's, with a real Linux stack on a TAP device; a host's, where hearth-netd and passt run; and
an internet's, with servers. A thread carries the guest's frames to hearth-netd, as hearth-vmm does."""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
NETD = os.path.join(ROOT, "build", "hearth-netd")
PASST = os.path.join(ROOT, "build", "passt")

GUEST_MAC, GATEWAY_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
GUEST, GATEWAY, HOST, ROUTER = "10.0.2.15", "10.0.2.2", "198.51.100.2", "198.51.100.1"
SERVER, OTHER, RESOLVER, FOREIGN_RESOLVER = "93.184.216.34", "93.184.216.99", "192.168.77.53", "1.1.1.1"
METADATA, PRIVATE = "169.254.169.254", "192.168.77.1"
ADDRESSES = SERVER, OTHER, RESOLVER, FOREIGN_RESOLVER, METADATA, PRIVATE, "10.9.9.9"

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x2, 0x1000
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def become_root():
    """In a user namespace of our own, if we are not root already."""
    if os.geteuid() == 0:
        return
    user, group = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWUSER))
    for name, text in ("setgroups", "deny"), ("gid_map", f"0 {group} 1"), ("uid_map", f"0 {user} 1"):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


class Namespace:
    """A network namespace; sockets and processes that are made inside `with` are in it."""

    def __init__(self):
        self.before = []
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        check(libc.unshare(CLONE_NEWNET))
        self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.run("ip", "link", "set", "lo", "up")
        check(libc.setns(home, CLONE_NEWNET))
        os.close(home)

    def __enter__(self):
        self.before.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        check(libc.setns(self.fd, CLONE_NEWNET))

    def __exit__(self, *_):
        home = self.before.pop()
        check(libc.setns(home, CLONE_NEWNET))
        os.close(home)

    @staticmethod
    def run(*command):
        subprocess.run(command, check=True, capture_output=True, text=True)

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"


class Servers:
    """What is to be reached, or not: TCP and UDP echo on port 7, HTTP on 80, DNS on 53, at all addresses."""

    def __init__(self, namespace, names):
        self.names = names
        self.asked = []
        self.block = os.urandom(1 << 20)
        self.sockets = []
        with namespace:
            for port, serve in (7, self.echo), (80, self.http), (53, self.refuse), (5001, self.digest), (5002, self.source):
                self.start(socket.create_server(("0.0.0.0", port)), self.accept, serve)
            for address in ADDRESSES:
                self.start(self.datagram((address, 7)), self.echo_datagrams)
            for address in RESOLVER, FOREIGN_RESOLVER:
                self.start(self.datagram((address, 53)), self.answer_names, address)

    def start(self, sock, target, *arguments):
        self.sockets.append(sock)
        threading.Thread(target=target, args=(sock, *arguments), daemon=True).start()

    @staticmethod
    def datagram(address):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(address)
        return sock

    @staticmethod
    def accept(listener, serve):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    @staticmethod
    def echo(connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    @staticmethod
    def http(connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            body = f"you reached {connection.getsockname()[0]}".encode()
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    @staticmethod
    def digest(connection):
        """Of all that comes."""
        with connection, contextlib.suppress(OSError):
            digest = hashlib.sha256()
            while data := connection.recv(1 << 16):
                digest.update(data)
            connection.sendall(digest.digest())

    def source(self, connection):
        with connection, contextlib.suppress(OSError):
            for _ in range(16):
                connection.sendall(self.block)

    @staticmethod
    def refuse(connection):
        connection.close()

    @staticmethod
    def echo_datagrams(sock):
        with contextlib.suppress(OSError):
            while True:
                data, peer = sock.recvfrom(65536)
                sock.sendto(data, peer)

    def answer_names(self, sock, address):
        with contextlib.suppress(OSError):
            while True:
                query, peer = sock.recvfrom(4096)
                sock.sendto(self.answer(query, address), peer)

    def answer(self, query, resolver):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name = ".".join(labels)
        kind = struct.unpack_from(">H", query, at + 1)[0]
        self.asked.append((resolver, name, kind))
        question = query[12:at + 5]
        records = [(k, v) for k, v in self.names.get(name, ()) if kind == k or k == "alias"]
        body, owner = b"", b"\xc0\x0c"
        for k, value in records:
            if k == "alias":
                target = b"".join(bytes([len(x)]) + x.encode() for x in value.split(".")) + b"\0"
                body += owner + struct.pack(">HHIH", 5, 1, 30, len(target)) + target
                owner = target
                for address in [v for k2, v in self.names.get(value, ()) if k2 == kind]:
                    body += owner + struct.pack(">HHIH", 1, 1, 30, 4) + socket.inet_aton(address)
            else:
                data = socket.inet_aton(value) if k == 1 else value
                body += owner + struct.pack(">HHIH", k, 1, 30, len(data)) + data
        n = body and sum(2 if k == "alias" else 1 for k, _ in records)
        code = 0 if name in self.names else 3
        return query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, n or 0, 0, 0) + question + body


class Lab:
    """Both networks, with the servers; made once."""

    def __init__(self, names):
        self.guest, self.host, self.internet = Namespace(), Namespace(), Namespace()
        with self.host:
            self.host.run("ip", "link", "add", "host0", "type", "veth", "peer", "name", "net0")
            self.host.run("ip", "link", "set", "net0", "netns", self.internet.path)
            self.host.run("ip", "address", "add", HOST + "/24", "dev", "host0")
            self.host.run("ip", "link", "set", "host0", "up")
            self.host.run("ip", "route", "add", "default", "via", ROUTER)
            self.on_host = [socket.create_server(("0.0.0.0", 80)), socket.create_server(("127.0.0.1", 8080))]
        with self.internet:
            self.internet.run("ip", "address", "add", ROUTER + "/24", "dev", "net0")
            self.internet.run("ip", "link", "set", "net0", "up")
            for address in ADDRESSES:
                self.internet.run("ip", "address", "add", address + "/32", "dev", "net0")
        with self.guest:
            self.tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
            self.guest.run("ip", "link", "set", "eth0", "address", GUEST_MAC.hex(":"), "mtu", "65520")
            self.guest.run("ip", "address", "add", GUEST + "/24", "dev", "eth0")
            self.guest.run("ip", "link", "set", "eth0", "up")
            self.guest.run("ip", "route", "add", "default", "via", GATEWAY)
        self.servers = Servers(self.internet, names)


def child_of(parent):
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{name}/stat") as file:
            if int(file.read().rpartition(")")[2].split()[1]) == parent:
                return int(name)
    raise AssertionError(f"process {parent} has no child")


class Netd:
    """A hearth-netd with its passt, and the cable between it and the guest. Its log is read as it grows."""

    def __init__(self, lab, policy, *flags, jail="full"):
        self.lab = lab
        self.folder = tempfile.TemporaryDirectory(prefix="hearth-network-")
        path = lambda name: os.path.join(self.folder.name, name)  # noqa: E731
        with open(path("policy"), "w") as file:
            file.write(policy)
        os.chmod(self.folder.name, 0o755)
        self.log_file = open(path("log"), "ab+")
        self.errors = open(path("stderr"), "wb+")
        self.vmm, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.vmm.setblocking(False)
        self.began = time.monotonic()
        with lab.host:
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child", NETD, "--vmm", str(end.fileno()), "--log", str(self.log_file.fileno()),
                 "--policy", path("policy"), "--resolver", RESOLVER, "--jail", jail, *flags],
                pass_fds=(end.fileno(), self.log_file.fileno()), stdin=subprocess.DEVNULL, stderr=self.errors)
        end.close()
        self.is_connected = True
        self.from_netd = []  # frames that the guest got
        self.cable = threading.Thread(target=self.carry, daemon=True)
        self.cable.start()
        self.wait_for(lambda: "ready" in self.messages() or self.process.poll() is not None, 10)
        assert "ready" in self.messages(), self.messages()

    def carry(self):
        """Frames between the TAP device and the socket, until the socket ends."""
        tap = self.lab.tap
        while self.is_connected:
            ready, _, _ = select.select([tap, self.vmm], [], [], 0.1)
            if tap in ready and not select.select([], [self.vmm], [], 0)[1]:
                ready.remove(tap)  # its queue holds them meanwhile
                time.sleep(0.0002)
            if tap in ready:
                with contextlib.suppress(BlockingIOError, BrokenPipeError):
                    self.vmm.send(os.read(tap, 65536))
            if self.vmm in ready:
                try:
                    frame = self.vmm.recv(65536)
                except (BlockingIOError, ConnectionError):
                    continue
                if not frame:
                    return
                if len(self.from_netd) < 4096:
                    self.from_netd.append(frame)
                os.write(tap, frame)

    @staticmethod
    def wait_for(condition, seconds=5):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        return condition()

    def messages(self):
        self.errors.flush()
        with open(self.errors.name) as file:
            return file.read()

    def log(self):
        with open(self.log_file.name) as file:
            return [json.loads(line) for line in file]

    def wait_for_log(self, **fields):
        """The first line with these fields."""
        found = lambda: [line for line in self.log() if all(line.get(k) == v for k, v in fields.items())]  # noqa: E731
        assert self.wait_for(found, 8), (fields, self.log(), self.messages())
        return found()[0]

    def inject(self, frame):
        """A frame as a hostile guest's driver sends it."""
        self.vmm.send(frame)

    def detach(self):
        """From the guest's stack: what comes lies in the socket then."""
        self.is_connected = False
        self.cable.join()

    def pids(self):
        """Of hearth-netd and of passt."""
        netd = child_of(self.process.pid)
        return netd, child_of(netd)

    def unplug(self):
        """As when the VMM ends."""
        self.detach()
        self.vmm.close()

    def close(self):
        self.unplug()
        try:
            self.process.wait(5)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.log_file.close()
            self.errors.close()
            self.folder.cleanup()


class Sniffer:
    """All that goes through the internet's cable."""

    def __init__(self, lab):
        with lab.internet:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind(("net0", 3))
        self.socket.setblocking(False)

    def frames(self, seconds=0.2):
        """What has come, and comes within so many seconds."""
        frames, deadline = [], time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                frames.append(self.socket.recv(65536))
        return frames

    def close(self):
        self.socket.close()
