"""A container of the agent's on this machine: no interpreters, no VM, an image that is a folder; needs root."""

import os
import shutil
import signal
import socket
import struct
import subprocess

from agent import STDERR, STDOUT, AgentProcess, Connection

START, RUN, STOP, ATTACH, ENVIRONMENT = range(32, 37)
STATE, REFUSED, DROPPED, EXITED = range(48, 52)
NONE, PREPARING, HELD, STARTING, READY, UNREADY, ENDING, ENDED = range(8)
HOLD, INIT = 1, 2
STARTUP, LIVENESS, READINESS = 1, 2, 3
HTTP, TCP = 1, 2


def text(value):
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def texts(values):
    return struct.pack("<I", len(values)) + b"".join(map(text, values))


def probe(kind, action, port, path=None, headers=(), delay=0, period=50, timeout=1000, successes=1, failures=3):
    path = path if path is not None else "/" if action == HTTP else ""
    return (struct.pack("<BBHIIIII", kind, action, port, delay, period, timeout, successes, failures) + text(path)
            + texts(headers))


def describe(arguments, flags=0, disks=0, stop_signal=signal.SIGTERM, port=0, user="", directory="", environment=(),
             probes=()):
    return (struct.pack("<IBBHI", flags, disks, stop_signal, port, len(probes)) + text(user) + text(directory)
            + texts(arguments) + texts(environment) + b"".join(probes))


class Exit:
    """What came of a container: all that a connection heard."""

    def __init__(self):
        self.stdout = self.stderr = b""
        self.dropped = 0
        self.states = []

    def __repr__(self):
        return (f"<exit status={getattr(self, 'status', None)} signal={getattr(self, 'signal', None)} "
                f"{getattr(self, 'sentence', None)!r} states={self.states} stdout={self.stdout[-2000:]!r} "
                f"stderr={self.stderr[-2000:]!r}>")


class Watch:
    """A connection that hears of the container."""

    def __init__(self, path):
        self.connection = Connection(path)
        self.heard = Exit()
        self.requests = set()  # of orders after which it hears of the container
        self.numbers = iter(range(1, 1 << 30))
        self.answers = {}

    def close(self):
        self.connection.close()

    def order(self, kind, body=b""):
        """Sends an order; its answer: (STATE, state, sentence) or (REFUSED, sentence)."""
        number = next(self.numbers)
        self.connection.send_frame(kind, number, body)
        if kind in (START, ATTACH):
            self.requests.add(number)
        while number not in self.answers:
            self.take(answering=number)
        return self.answers[number]

    def take(self, answering=None):
        kind, request, body = self.connection.frame()
        heard = self.heard
        if request == answering and kind == REFUSED:
            self.answers[request] = (kind, body.decode())
        elif request == answering and kind == STATE:
            self.answers[request] = (kind, body[0], body[8:].decode())
        assert request in self.requests | {answering}
        if kind == STATE:
            assert body[1:8] == bytes(7)
            heard.states.append((body[0], body[8:].decode()))
        elif kind == STDOUT:
            assert 0 < len(body) <= 65536
            heard.stdout += body
        elif kind == STDERR:
            assert 0 < len(body) <= 65536
            heard.stderr += body
        elif kind == DROPPED:
            heard.dropped += struct.unpack("<Q", body)[0]
        elif kind == EXITED:
            heard.status, heard.signal, heard.ran_us = struct.unpack_from("<IIQ", body)
            heard.sentence = body[16:].decode()
        else:
            assert kind == REFUSED, kind
        return kind

    def until(self, state):
        """Goes on until the container is in this state; the sentence that came with it."""
        while not self.heard.states or self.heard.states[-1][0] != state:
            assert self.take() != EXITED, self.heard
        return self.heard.states[-1][1]

    def output(self, wanted):
        while wanted not in self.heard.stdout + self.heard.stderr:
            assert self.take() != EXITED, self.heard
        return self.heard.stdout

    def exit(self):
        while self.take() != EXITED:
            pass
        assert self.heard.states[-1][0] == ENDED
        return self.heard

    def stop(self, grace_ms=5000):
        return self.order(STOP, struct.pack("<II", grace_ms, 0))


def with_disks(disks):
    """What makes block devices the second, third, … disk of a program, in a /dev that it alone has."""
    if not disks:
        return []
    nodes = [("null", "c", 1, 3), ("urandom", "c", 1, 9)]
    for letter, disk in zip("bcdefgh", disks):
        number = os.stat(disk).st_rdev
        nodes.append((f"vd{letter}", "b", os.major(number), os.minor(number)))
    made = "; ".join(f"mknod /dev/{name} {kind} {major} {minor}" for name, kind, major, minor in nodes)
    return ["unshare", "--mount", "sh", "-ec", f'mount -t tmpfs dev /dev; {made}; exec "$@"', "sh"]


class ContainerAgent(AgentProcess):
    def __init__(self, folder, binary, image, disks=()):
        """The image is a folder, or `disks` are the block devices that the guest has beside its own."""
        self.ingress_path = os.path.join(str(folder), "ingress.sock")
        self.scratch = os.path.join(str(folder), "scratch")
        self.watches = []
        os.mkdir(self.scratch)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "container", self.scratch], check=True)
        super().__init__(folder, [*with_disks(disks), binary, "--container-dir", self.scratch,
                                  *(() if disks else ("--container-root", str(image))),
                                  "--ingress-unix", self.ingress_path, "--work-dir", str(folder)])

    def watch(self):
        self.watches.append(Watch(self.path))
        return self.watches[-1]

    def start(self, arguments, **options):
        watch = self.watch()
        kind, *rest = watch.order(START, describe(arguments, **options))
        assert kind == STATE, rest
        return watch

    def run(self, arguments, **options):
        return self.start(arguments, **options).exit()

    def ingress(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(self.ingress_path)
        return connection

    def stop(self):
        for watch in self.watches:
            watch.close()
        try:
            super().stop()
        finally:
            subprocess.run(["umount", "-l", self.scratch], check=True)


PASSWD = """root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:An app:/home/app:/bin/sh
"""
GROUP = """root:x:0:
app:x:1001:
logs:x:12:other,app
"""


def make_image(folder, programs):
    """A small image: busybox, and a program of the tests that is also there as set-user-ID root."""
    root = os.path.join(str(folder), "image")
    for name in ("bin", "etc", "root", "home/app", "tmp", "srv"):
        os.makedirs(os.path.join(root, name))
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    os.chown(os.path.join(root, "home/app"), 1000, 1001)
    shutil.copy("/bin/busybox", os.path.join(root, "bin"))
    applets = subprocess.run(["/bin/busybox", "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            os.symlink("busybox", os.path.join(root, "bin", applet))
    for name, source in programs.items():
        subprocess.run(["musl-gcc", "-static", "-O1", "-Wall", "-Werror", "-idirafter", "/usr/include", "-idirafter",
                        "/usr/include/x86_64-linux-gnu", "-o", os.path.join(root, "bin", name), source], check=True)
        shutil.copy(os.path.join(root, "bin", name), os.path.join(root, "bin", f"{name}-as-root"))
        os.chmod(os.path.join(root, "bin", f"{name}-as-root"), 0o4755)
    for name, content in (("passwd", PASSWD), ("group", GROUP)):
        with open(os.path.join(root, "etc", name), "w") as file:
            file.write(content)
    return root
