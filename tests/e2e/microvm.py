"""One hearth-vmm with the real kernel and image, driven as hearthd drives it. Runs beside KVM (in the lab, where there is one)."""

import array
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "agent"))

from agent import Connection  # noqa: E402

BOOT, PAUSE, RESUME, STOP, SNAPSHOT, QUERY = range(1, 7)
ANSWER, ENDED = 32, 33
AGENT_PORT, READY_PORT = 1024, 1025
SETTLE, ADOPT, SETTLED, ADOPTED = 3, 4, 23, 24
IDENTITY_NEW, IDENTITY_KEEP = 1, 2
LIMIT_S = 120
DISK = "build/images/code-interpreter.erofs"


class Ended(Exception):
    """The VM ended; the text is its reason."""


class Guest(Connection):
    """A connection to the agent through the VMM's socket."""

    def __init__(self, path, port=AGENT_PORT):
        super().__init__(path)
        self.socket.settimeout(LIMIT_S)
        self.socket.sendall(b"CONNECT %d\n" % port)
        line = b""
        while not line.endswith(b"\n"):
            byte = self.socket.recv(1)
            if not byte:
                raise EOFError("nobody listens in the guest")
            line += byte
        assert line.startswith(b"OK "), line

    def settle(self):
        self.send_frame(SETTLE, 1000)
        kind, about, body = self.frame()
        assert (kind, about) == (SETTLED, 1000) and not body, (kind, about, body)

    def adopt(self, name="clone", identity=IDENTITY_NEW, ahead_s=0):
        now = time.time_ns() + ahead_s * 10 ** 9
        body = struct.pack("<QB7x", now, identity) + os.urandom(64) + name.encode()
        self.send_frame(ADOPT, 1001, body)
        kind, about, body = self.frame()
        assert (kind, about) == (ADOPTED, 1001), (kind, about, body)


class Vm:
    """Its files are in a folder of its own, which close() removes."""

    def __init__(self, *flags, disk=DISK, orphan_timeout=60, wrapper=(), net=None):
        self.folder = tempfile.mkdtemp(prefix="hearth-test-", dir="/tmp")
        os.chmod(self.folder, 0o711)  # the jailed VMM is another user
        self.vsock = os.path.join(self.folder, "vsock.sock")
        self.console = os.path.join(self.folder, "console.log")
        control = os.path.join(self.folder, "control.sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(control)
        listener.listen(4)
        self.ready = socket.socket(socket.AF_UNIX)
        self.ready.bind(f"{self.vsock}_{READY_PORT}")
        os.chmod(f"{self.vsock}_{READY_PORT}", 0o666)
        self.ready.listen()
        self.control_path = control
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*wrapper, "build/hearth-vmm", "--control", str(listener.fileno()), "--orphan-timeout", str(orphan_timeout), "--disk",
             f"{disk},ro", "--vsock", self.vsock, "--console", self.console, *(["--net", str(net.fileno())] if net else []), *flags],
            pass_fds=[listener.fileno(), *([net.fileno()] if net else [])], stderr=self.log)
        listener.close()
        self.sequence = 0
        self.connect()

    def connect(self):
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.connect(self.control_path)

    @classmethod
    def boot(cls, memory=512, vcpus=1, flags=(), **options):
        """A VM whose agent has said that it is ready."""
        vm = cls("--kernel", "build/images/vmlinux", "--memory", str(memory), "--vcpus", str(vcpus), "--cmdline",
                 "root=/dev/vda rootfstype=erofs ro init=/sbin/init", *flags, **options)
        vm.order(BOOT)
        vm.ready.settimeout(LIMIT_S)
        connection, _ = vm.ready.accept()
        with connection, connection.makefile("rb") as stream:
            assert len(stream.read()) > 16
        return vm

    @classmethod
    def restore(cls, state, *memory_files, resume=True, flags=(), **options):
        vm = cls("--restore", state, *(word for file in memory_files for word in ("--memory-file", file)), *flags, **options)
        if resume:
            vm.order(RESUME)
        return vm

    def order(self, kind, fds=()):
        """The answer's status and text."""
        self.sequence += 1
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.control.sendmsg([struct.pack("<HHIQ", kind, 0, self.sequence, 0)], rights)
        except OSError as error:
            if kind != STOP:  # what it said last is still there to be read
                print(f"order {kind}: {error}", file=sys.stderr)
        while True:
            if not select.select([self.control], [], [], LIMIT_S)[0]:
                raise TimeoutError(f"no answer to order {kind}\n{self.log_text()}")
            try:
                packet = self.control.recv(4096)
            except ConnectionResetError:  # it ended with an order unread; what it said is still to come
                packet = self.control.recv(4096)
            if not packet:
                raise Ended(f"hearth-vmm is gone\n{self.log_text()}")
            type_, status, sequence, _ = struct.unpack("<HHIQ", packet[:16])
            if type_ == ENDED:
                raise Ended(packet[16:].decode())
            if sequence == self.sequence:
                return status, packet[16:].decode()

    def do(self, kind, fds=()):
        status, text = self.order(kind, fds)
        assert status == 0, text
        return text

    def query(self):
        return dict(word.split("=", 1) for word in self.do(QUERY).split())

    def guest(self):
        return Guest(self.vsock)

    def wait_until_unconnected(self):
        deadline = time.monotonic() + 30
        while self.query()["connections"] != "0":
            assert time.monotonic() < deadline, "connections do not close"
            time.sleep(0.02)

    def snapshot(self, name):
        """Pauses the VM and writes a snapshot into new files: their paths."""
        self.do(PAUSE)
        paths = [os.path.join(tempfile.gettempdir(), f"hearth-test-snapshot-{os.getpid()}-{name}.{kind}")
                 for kind in ("state", "memory")]
        fds = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600) for path in paths]
        try:
            self.do(SNAPSHOT, fds)
        finally:
            for fd in fds:
                os.close(fd)
        return paths

    def log_text(self):
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        try:
            with open(self.console, errors="replace") as file:
                return text + file.read()[-2000:]
        except OSError:
            return text

    def private_kib(self):
        """
        Private memory: (of the guest's RAM, of everything else). A page of the memory file that nobody else has mapped
        just now counts as private in smaps, but is not: it is the file's. What a guest wrote is anonymous. So it is with the
        program and its libraries, of which the kernel maps what is near a page that is used: what was written counts.
        """
        guest = own = 0
        is_guest = is_file = False
        with open(f"/proc/{self.process.pid}/smaps") as smaps:
            for line in smaps:
                words = line.split()
                if not words[0].endswith(":"):
                    is_guest = len(words) > 5 and words[5].endswith(".memory")
                    is_file = len(words) > 5 and words[5].startswith("/")
                elif is_guest and words[0] == "Anonymous:":
                    guest += int(words[1])
                elif not is_guest and words[0] in (("Private_Dirty:",) if is_file else ("Private_Clean:", "Private_Dirty:")):
                    own += int(words[1])
        return guest, own

    def close(self):
        """Ends it, whatever it does. The reason that it gave."""
        reason = None
        try:
            self.order(STOP)
        except (Ended, OSError, TimeoutError) as ended:
            reason = str(ended)
        try:
            self.status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.status = self.process.wait()
        self.control.close()
        self.ready.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return reason

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.log_text(), file=sys.stderr)
        self.close()
