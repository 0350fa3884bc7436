"""
What a VMM that was taken over can do. Filtered: a forbidden call is its end, and is told. Without filters: the rest of
the jail leaves it nothing. A second VMM goes on undisturbed.
"""

import errno
import os
import re
import signal
import socket
import struct
import threading
import time

import pytest

from taken_vmm import BUILD, CALLS, FORBIDDEN, SPIN, Gone, limits

AT_FDCWD = -100
KVM_CREATE_VM = 0xAE01
KVM_CREATE_VCPU = 0xAE41
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE = 1, 2, 0x20, 0x4000
CLONE_NEWUSER = 0x10000000
IP_LOOPBACK = struct.pack("<H", socket.AF_INET) + struct.pack("!H4s8x", 9, bytes([127, 0, 0, 1]))


def unix_address(path):
    return struct.pack("<H", socket.AF_UNIX) + path.encode() + b"\0"


# ---- with filters ----

FORBIDDEN_CALLS = [
    ("open a file", "openat", AT_FDCWD, b"/etc/passwd", os.O_RDONLY, 0),
    ("open a file the old way", "open", b"/etc/passwd", os.O_RDONLY, 0),
    ("look for a file", "stat", b"/etc/passwd", b"\0" * 256),
    ("make a file", "mkdir", b"/x", 0o700),
    ("remove a file", "unlink", b"/vsock/sock"),
    ("use TCP", "socket", socket.AF_INET, socket.SOCK_STREAM, 0),
    ("use UDP over IPv6", "socket", socket.AF_INET6, socket.SOCK_DGRAM, 0),
    ("talk to the kernel by netlink", "socket", 16, socket.SOCK_RAW, 0),
    ("use packets", "socket", socket.AF_UNIX, socket.SOCK_SEQPACKET, 0),
    ("listen", "bind", 3, unix_address("/vsock/x"), 20),
    ("signal everybody", "kill", -1, 9),
    ("signal a process", "kill", 2, 9),
    ("signal a thread of another", "tgkill", 2, 2, 34),
    ("kill a thread of its own", "tgkill", 1, 1, 9),
    ("trace", "ptrace", 16, 1, 0, 0),
    ("read another's memory", "process_vm_readv", 1, b"\0" * 16, 1, b"\0" * 16, 1, 0),
    ("fork", "fork"),
    ("clone", "clone", signal.SIGCHLD, 0, 0, 0, 0),
    ("clone with clone3", "clone3", b"\0" * 64, 64),
    ("execute", "execve", b"/bin/sh", 0, 0),
    ("mount", "mount", b"x", b"/", b"tmpfs", 0, 0),
    ("change the root", "chroot", b"/"),
    ("make namespaces", "unshare", CLONE_NEWUSER),
    ("enter namespaces", "setns", 3, 0),
    ("become root", "setuid", 0),
    ("load a program into the kernel", "bpf", 0, b"\0" * 64, 64),
    ("use io_uring", "io_uring_setup", 4, b"\0" * 120),
    ("watch performance counters", "perf_event_open", b"\0" * 64, 0, -1, -1, 0),
    ("keep keys", "add_key", b"user", b"a", b"b", 1, -1),
    ("load a module", "init_module", b"x", 1, b""),
    ("handle page faults", "userfaultfd", 0),
    ("raise limits", "prlimit64", 0, 1, b"\0" * 16, 0),
    ("change the handler of violations", "rt_sigaction", 31, b"\0" * 32, 0, 8),
    ("replace its filter", "seccomp", 1, 0, b"\0" * 16),
    ("be traceable", "prctl", 4, 1),
    ("map memory to execute", "mmap", 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
    ("map a file", "mmap", 0, 4096, PROT_READ, MAP_PRIVATE, 8, 0),
    ("make memory executable", "mprotect", b"\0" * 16, 4096, PROT_READ | PROT_EXEC),
    ("make a VM of its own", "ioctl", 5, KVM_CREATE_VM, 0),
    ("make a vCPU", "ioctl", 5, KVM_CREATE_VCPU, 3),
    ("steal terminal input", "ioctl", 0, 0x5412, b"x"),
    ("make descriptors", "eventfd2", 0, 0),
    ("duplicate descriptors", "dup", 3),
]


@pytest.mark.parametrize("call", [call[1:] for call in FORBIDDEN_CALLS], ids=[call[0] for call in FORBIDDEN_CALLS])
def test_a_forbidden_call_is_the_end_and_is_told(take, call):
    vmm = take()
    with pytest.raises(Gone):
        result = vmm.call(*call)
        raise AssertionError(f"it lives, and {call[0]} gave {result}")
    status, said = vmm.ended()
    assert status == FORBIDDEN
    sentence = f"it made the system call {CALLS[call[0]]}, which its jail forbids"
    assert said == sentence
    assert f"error: {sentence}\n" in vmm.log()


def test_what_it_needs_goes_on_working(take):
    vmm = take()
    assert vmm.call("getpid") == 1
    address = vmm.call("mmap", 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    assert address > 0
    assert vmm.call("socket", socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0) > 2
    assert vmm.is_alive()


# ---- without filters: what the rest of the jail holds ----

def is_denied(result):
    return result in (-errno.EPERM, -errno.EACCES)


def test_there_are_no_files(take):
    vmm = take(is_filtered=False)
    for path in "/etc/passwd", "/proc/self/mem", "/dev/kvm", "/sys", "/tmp", "/run", vmm.folder, vmm.console:
        assert vmm.call("openat", AT_FDCWD, path.encode(), os.O_RDONLY, 0) == -errno.ENOENT, path
    fd = vmm.call("openat", AT_FDCWD, b"/", os.O_RDONLY | os.O_DIRECTORY, 0)
    assert vmm.call("getdents64", fd, b"\0" * 1024, 1024) > 0
    assert re.findall(rb"[a-z]{2,}", vmm.orders.data[:1024]) == [b"vsock"]
    for path in b"/x", b"/vsock/x":
        assert vmm.call("mkdir", path, 0o700) in (-errno.EROFS, -errno.EACCES)
    assert vmm.call("unlink", b"/vsock/sock") in (-errno.EROFS, -errno.EACCES)


def test_the_way_back_to_the_machines_files_is_closed(take):
    vmm = take(is_filtered=False)
    for path in b"..", b"../../..", b"/vsock/../../etc/passwd", b"/proc/1/root/etc/passwd":
        fd = vmm.call("openat", AT_FDCWD, path, os.O_RDONLY, 0)
        assert fd < 0 or vmm.call("openat", fd, b"etc", os.O_RDONLY, 0) == -errno.ENOENT, path
    assert is_denied(vmm.call("chroot", b"/vsock"))
    assert is_denied(vmm.call("mount", b"x", b"/vsock", b"tmpfs", 0, 0))
    assert is_denied(vmm.call("mount", b"proc", b"/vsock", b"proc", 0, 0))
    assert is_denied(vmm.call("pivot_root", b"/", b"/vsock"))


def test_there_is_no_network(take):
    vmm = take(is_filtered=False)
    listener = socket.create_server(("127.0.0.1", 0))
    address = struct.pack("<H", socket.AF_INET) + struct.pack("!H4s8x", listener.getsockname()[1], bytes([127, 0, 0, 1]))
    with listener:
        fd = vmm.call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
        assert fd >= 0
        assert vmm.call("connect", fd, address, len(address)) == -errno.ENETUNREACH
    assert is_denied(vmm.call("socket", 17, socket.SOCK_RAW, 0))  # AF_PACKET
    # Abstract Unix sockets belong to the network namespace, too.
    name = f"\0hearth-test-{os.getpid()}".encode()
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(name)
        abstract.listen()
        fd = vmm.call("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0)
        address = struct.pack("<H", socket.AF_UNIX) + name
        assert vmm.call("connect", fd, address, len(address)) == -errno.ECONNREFUSED


def test_a_network_device_is_one_socket(take):
    """What it may say there is hearth-netd's to judge. Descriptors with numbers around the two that it needs are closed."""
    guest_end, network = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    others = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(3)]
    net = os.dup2(guest_end.fileno(), others[1], inheritable=True)
    others.remove(net)
    vmm = take(machine=("--kernel", SPIN, "--memory", "128", "--net", str(net)), inherited=[net, *others])
    folder = f"/proc/{vmm.pid()}/fd"
    assert os.stat(f"{folder}/{net}").st_ino == os.fstat(net).st_ino
    assert not [fd for fd in os.listdir(folder) if os.readlink(f"{folder}/{fd}") == "/etc/passwd"]
    frame = b"any frame at all"
    assert vmm.call("write", net, frame, len(frame)) == len(frame)
    network.settimeout(10)
    assert network.recv(100) == frame
    for fd in net, *others:
        os.close(fd)


def test_other_sockets_of_the_service_are_out_of_reach(take):
    vmm, other = take(is_filtered=False), take()
    for path in other.vsock, f"{vmm.folder}/control", f"{other.folder}/control", "/run/hearth/x/control.sock":
        fd = vmm.call("socket", socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)
        address = unix_address(path)
        assert vmm.call("connect", fd, address, len(address)) == -errno.ENOENT, path
    # Its own folder has only what its guest may reach as well; of that, what is not for its user stays closed.
    fd = vmm.call("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0)
    with socket.socket(socket.AF_UNIX) as for_root:
        for_root.bind(f"{vmm.vsock}_7")
        for_root.listen()
        address = unix_address("/vsock/sock_7")
        assert vmm.call("connect", fd, address, len(address)) == -errno.EACCES
        os.chmod(f"{vmm.vsock}_7", 0o666)
        assert vmm.call("connect", fd, address, len(address)) == 0


def test_there_are_no_other_processes(take):
    vmm, other = take(is_filtered=False), take()
    assert vmm.call("getpid") == 1
    for pid in 4000, other.pid(), os.getpid(), os.getppid():
        assert vmm.call("kill", pid, 0) == -errno.ESRCH
        assert vmm.call("ptrace", 16, pid, 0, 0) == -errno.ESRCH
        part = struct.pack("<QQ", 4096, 8)
        assert vmm.call("process_vm_readv", pid, part, 1, part, 1, 0) == -errno.ESRCH
        assert vmm.call("pidfd_open", pid, 0) == -errno.ESRCH
    assert vmm.call("kill", -1, 9) == -errno.ESRCH
    assert other.is_alive()


def test_it_has_no_rights_and_gets_none(take):
    vmm = take(is_filtered=False)
    assert vmm.call("getuid") == 65534  # nobody that this machine knows
    assert vmm.call("setuid", 0) == -errno.EINVAL
    assert is_denied(vmm.call("unshare", 0x00020000))  # CLONE_NEWNS
    with open(f"/proc/{vmm.pid()}/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    for kind in "Inh", "Prm", "Eff", "Bnd", "Amb":
        assert int(status[f"Cap{kind}"], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(vmm.user)}
    assert status["Groups"].strip() == ""


def test_it_is_in_namespaces_of_its_own(take):
    vmm = take()
    for name in "user", "mnt", "pid", "net", "ipc", "uts", "cgroup":
        own, ours = (os.readlink(f"/proc/{pid}/ns/{name}") for pid in (vmm.pid(), "self"))
        assert own != ours, name


def test_processes_have_an_end(take):
    vmm = take(is_filtered=False)
    assert limits(vmm.pid())["Max processes"] == (24, 24)


def test_memory_has_an_end(take):
    vmm = take()
    before = vmm.call("mmap", 0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    assert before > 0
    for _ in range(64):
        result = vmm.call("mmap", 0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if result < 0:
            break
    assert result == -errno.ENOMEM
    assert vmm.is_alive()


def test_descriptors_have_an_end(take):
    vmm = take()
    for count in range(2000):
        result = vmm.call("socket", socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        if result < 0:
            break
    assert result == -errno.EMFILE and 1000 < count < 1281
    assert vmm.is_alive()


def test_files_have_an_end(take):
    vmm = take()
    console = next(int(fd) for fd in os.listdir(f"/proc/{vmm.pid()}/fd")
                   if os.readlink(f"/proc/{vmm.pid()}/fd/{fd}") == vmm.console)
    most = limits(vmm.pid())["Max file size"][0]
    assert most <= (128 + 2 + 64) << 20
    assert vmm.call("pwrite64", console, b"x" * 64, 64, most - 64) == 64
    assert vmm.call("pwrite64", console, b"x" * 64, 64, most) == -errno.EFBIG
    assert vmm.is_alive()


def test_a_large_image_that_is_read_moves_no_end(take, tmp_path):
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, 4 << 30)
    for flag, is_written in (f"{disk},ro", False), (str(disk), True):
        vmm = take(machine=("--kernel", SPIN, "--memory", "128", "--disk", flag))
        assert (limits(vmm.pid())["Max file size"][0] > 4 << 30) == is_written


def test_nothing_of_it_is_dumped(take):
    vmm = take()
    assert limits(vmm.pid())["Max core file size"] == (0, 0)
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(vmm.user)
        os.setuid(vmm.user)
        try:
            open(f"/proc/{vmm.pid()}/mem", "rb")
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0  # not even its own user reads its memory


def test_a_neighbour_goes_on_undisturbed(take):
    neighbour = take()
    slowest, stop = 0.0, threading.Event()

    def ask():
        nonlocal slowest
        while not stop.is_set():
            began = time.monotonic()
            assert neighbour.call("getpid") == 1
            slowest = max(slowest, time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for call in FORBIDDEN_CALLS[:8]:
            with pytest.raises(Gone):
                take().call(*call[1:])
    finally:
        stop.set()
        asking.join()
    assert neighbour.is_alive() and slowest < 5


def test_the_shipped_vmm_takes_no_such_orders():
    with open(os.path.join(BUILD, "hearth-vmm"), "rb") as file:
        assert b".orders" not in file.read()
