"""A VMM that was taken over, and how it is told which system calls to make (tests/compromised/compromised.c)."""

import array
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.path.join(ROOT, "build")
SPIN = os.path.join(BUILD, "guests", "spin")
DATA = 8192
FORBIDDEN = 16  # exit status: VMM_EXIT_FORBIDDEN_CALL

# x86-64
CALLS = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "mmap": 9, "mprotect": 10, "rt_sigaction": 13, "ioctl": 16,
    "pwrite64": 18, "dup": 32, "socket": 41, "connect": 42, "sendmsg": 46, "bind": 49, "listen": 50, "socketpair": 53,
    "clone": 56, "fork": 57, "execve": 59, "kill": 62, "mkdir": 83, "unlink": 87, "getuid": 102, "ptrace": 101, "setuid": 105,
    "prctl": 157, "pivot_root": 155, "chroot": 161, "mount": 165, "tkill": 200, "add_key": 248, "getdents64": 217,
    "openat": 257, "unshare": 272, "eventfd2": 290, "prlimit64": 302, "process_vm_readv": 310, "setns": 308, "seccomp": 317,
    "memfd_create": 319, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
    "tgkill": 234, "getrandom": 318, "perf_event_open": 298, "getpid": 39, "init_module": 175, "keyctl": 250, "personality": 135,
}


class Gone(Exception):
    """The VMM ended instead of answering."""


class Orders:
    """A connection to the taken VMM."""

    def __init__(self, path, timeout=20):
        deadline = time.monotonic() + timeout
        while True:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                assert time.monotonic() < deadline, f"nobody listens at {path}"
                time.sleep(0.02)
        self.socket.settimeout(timeout)
        self.data = b""

    def call(self, name, *arguments):
        """The result of the system call, an errno value negative; bytes are passed by pointer. Raises Gone."""
        values, pointers, data = [], 0, b""
        for number, argument in enumerate(arguments):
            if isinstance(argument, bytes):
                pointers |= 1 << number
                values.append(len(data))
                data += argument + b"\0" * (16 - len(argument) % 8)
            else:
                values.append(argument & (2 ** 64 - 1))
        values += [0] * (6 - len(values))
        try:
            self.socket.send(struct.pack("<qQ6Q", CALLS[name], pointers, *values) + data.ljust(DATA, b"\0"))
            answer = self.socket.recv(65536)
        except OSError as error:
            raise Gone(str(error)) from None
        if not answer:
            raise Gone
        self.data = answer[64:]
        return struct.unpack("<q", answer[:8])[0]

    def close(self):
        self.socket.close()


class TakenVmm:
    """One that stands alone, started as hearthd does it; its guest spins, or does not run where KVM cannot run it."""

    def __init__(self, program, jail="full", user=None, machine=("--kernel", SPIN, "--memory", "128"), inherited=()):
        self.user = user or 1879048192 + secrets.randbelow(65536)
        self.folder = f"/tmp/hearth-test-{secrets.token_hex(4)}"
        os.makedirs(os.path.join(self.folder, "sockets"))
        os.chmod(self.folder, 0o711)
        self.vsock = os.path.join(self.folder, "sockets", "sock")
        self.console = os.path.join(self.folder, "console")
        self.log_path = os.path.join(self.folder, "log")
        control = os.path.join(self.folder, "control")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(control)
        listener.listen(1)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--fork", os.path.join(BUILD, program), *machine, "--control", str(listener.fileno()), "--jail", jail, "--jail-user", str(self.user), "--vsock",
                 self.vsock, "--console", self.console],
                pass_fds=[listener.fileno(), *inherited], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        listener.close()
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.connect(control)
        self.control.settimeout(20)
        try:
            self.orders = Orders(f"{self.vsock}.orders")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None
        self.call = self.orders.call
        try:
            self.call("getpid")  # answered when the jail stands
        except Gone:
            raise AssertionError(f"it ended\n{self.log()}") from None

    def pid(self):
        """As this machine sees it."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return int(file.read().split()[0])

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def ended(self):
        """(exit status, what it said last on the control socket)"""
        said = b""
        try:
            while packet := self.control.recv(4096):
                said = packet
        except OSError:
            pass
        return self.process.wait(20), said[16:].decode()

    def order(self, kind, fds=()):
        """An order of hearthd's: the answer's text."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([struct.pack("<HHIQ", kind, 0, 1, 0)], rights)
        packet = self.control.recv(4096)
        assert struct.unpack("<HH", packet[:4]) == (32, 0), packet
        return packet[16:].decode()

    def mappings(self, path):
        """(start, end, rights) of each mapping of a file."""
        with open(f"/proc/{self.pid()}/maps") as file:
            lines = [line.split(None, 5) for line in file]
        return [(*(int(number, 16) for number in words[0].split("-")), words[1]) for words in lines
                if len(words) == 6 and words[5].rstrip("\n") == path]

    def is_alive(self):
        return self.process.poll() is None and self.call("getpid") == 1

    def close(self):
        try:
            os.kill(self.pid(), signal.SIGKILL)
        except (OSError, IndexError):
            pass  # it ended by itself
        self.process.kill()
        self.process.wait()
        self.control.close()
        self.orders.close()
        shutil.rmtree(self.folder, ignore_errors=True)



def limits(pid):
    """Soft and hard, by the names of /proc (proc(5)); None: unlimited."""
    with open(f"/proc/{pid}/limits") as file:
        lines = [(line[:26].strip(), line[26:].split()) for line in file.readlines()[1:]]
    return {name: tuple(None if word == "unlimited" else int(word) for word in words[:2]) for name, words in lines}
