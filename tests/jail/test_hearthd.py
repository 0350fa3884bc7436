"""hearthd and the jails of its VMMs, natively: guests need not run for VMMs to be jailed, attacked and cleared away."""

import http.client
import json
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import time

import pytest

from taken_vmm import BUILD, CALLS, Gone, Orders, limits

FIRST_USER = 1879048192


class Hearthd:
    """Each session's machine is booted; the guests never answer."""

    def __init__(self, folder, *arguments, wrapper=(), build=BUILD):
        self.runtime = f"/tmp/hearth-test-{secrets.token_hex(4)}"
        for name, text in (("token", secrets.token_hex(16)), ("image", "\0" * 4096)):
            with open(folder / name, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(text)
        self.log_path = folder / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*wrapper, os.path.join(build, "hearthd"), "--listen", "127.0.0.1:0", "--home", folder, "--kernel",
                 os.path.join(build, "guests", "spin"), "--image",
                 folder / "image", "--runtime-dir", self.runtime, "--session-memory-mib", "128", "--boot-always", "true",
                 "--ready-sessions", "0", "--vmm", os.path.join(build, "hearth-vmm-compromised"),
                 *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        self.token = (folder / "token").read_text()
        self.address = re.search(r"serving on http://(\S+)", self.process.stdout.readline()).group(1)
        self.asked = []

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def wait_for(self, pattern, timeout=20):
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.log())):
            assert time.monotonic() < deadline and self.process.poll() is None, self.log()
            time.sleep(0.05)
        return found

    def ask(self, identifier):
        """Asks for an execution, and waits for no answer."""
        body = json.dumps({"properties": {"codeInputType": "inline", "executionType": "synchronous", "code": "1"}})
        host, port = self.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port))
        connection.request("POST", f"/code/execute?api-version=2024-02-02-preview&identifier={identifier}", body,
                           {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        self.asked.append(connection)

    def vmms(self, count):
        """{vm id: process ID} of so many sessions."""
        for number in range(count):
            self.ask(f"s{number}")
        deadline = time.monotonic() + 20
        found = {}
        while len(found) < count:
            assert time.monotonic() < deadline, self.log()
            for vm in os.listdir(self.runtime):
                try:
                    with open(os.path.join(self.runtime, vm, "pid")) as file:
                        found[vm] = int(file.read())
                except (OSError, ValueError):
                    pass
            time.sleep(0.05)
        return found

    def orders(self, vm):
        orders = Orders(os.path.join(self.runtime, vm, "vsock", "sock.orders"))
        assert orders.call("getpid") == 1
        return orders

    def stop(self):
        for connection in self.asked:
            connection.close()
        self.process.stdout.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path, can_be_jailed):
    running = []

    def start(*arguments, **options):
        running.append(Hearthd(tmp_path, *arguments, **options))
        return running[-1]

    yield start
    for hearthd in running:
        if hearthd.process.poll() is None:
            hearthd.stop()


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def groups_of(vm):
    """Folders of the microVM's control groups."""
    found = subprocess.run(["find", "/sys/fs/cgroup", "-type", "d", "-name", vm], stdout=subprocess.PIPE, text=True)
    return found.stdout.split()


def test_each_vmm_has_a_user_and_groups_of_its_own(start):
    hearthd = start()
    vmms = hearthd.vmms(2)
    users = set()
    for vm, pid in vmms.items():
        hearthd.orders(vm).close()
        status = status_of(pid)
        uids = set(status["Uid"].split())
        assert uids == {str(FIRST_USER + int(vm[-4:], 16))}
        assert status["NSpid"].split()[-1] == "1"
        assert (status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)) == ("2", "1", 0)
        users |= uids
    assert len(users) == len(vmms)
    hearthd.wait_for(r"jail=(full|partial) user=1879048192")


def limit_of(groups, *names):
    for group in groups:
        for name in names:
            if os.path.exists(os.path.join(group, name)):
                with open(os.path.join(group, name)) as file:
                    return file.read().split()[0]
    return None


def test_its_groups_limit_it_and_go_with_it(start):
    hearthd = start()
    vm, pid = next(iter(hearthd.vmms(1).items()))
    hearthd.orders(vm).close()
    log = hearthd.log()
    lacking = re.search(r"no limits by cgroup of: ([a-z ]+)", log)
    lacking = lacking.group(1).split() if lacking else []
    groups = groups_of(vm)
    for controller, names, value in (("memory", ("memory.max", "memory.limit_in_bytes"), str((128 + 256) << 20)),
                                     ("cpu", ("cpu.max", "cpu.cfs_quota_us"), "200000"), ("pids", ("pids.max",), "7")):
        if controller not in lacking:
            assert limit_of(groups, *names) == value, controller
    for group in groups:
        with open(os.path.join(group, "cgroup.procs")) as file:
            assert str(pid) in file.read().split(), group
    assert hearthd.stop() == 0
    assert groups_of(vm) == []
    assert not os.path.exists(hearthd.runtime)


def test_a_violation_is_in_the_log_and_others_go_on(start):
    hearthd = start()
    vmms = hearthd.vmms(2)
    taken, other = list(vmms)[:2]
    neighbour = hearthd.orders(other)
    with pytest.raises(Gone):
        hearthd.orders(taken).call("openat", -100, b"/etc/shadow", os.O_RDONLY, 0)
    hearthd.wait_for(rf"warn: vm={taken} lost: hearth-vmm broke its jail's rules: it may have been taken over \(it made the "
                     rf"system call {CALLS['openat']}, which its jail forbids\)")
    assert neighbour.call("getpid") == 1
    assert not os.path.exists(f"/proc/{vmms[taken]}")


def test_nothing_of_hearthd_is_inherited(start):
    hearthd = start()
    vm, pid = next(iter(hearthd.vmms(1).items()))
    orders = hearthd.orders(vm)  # kept: a connection that is being closed would come and go in the folder
    folder = f"/proc/{pid}/fd"
    for fd in os.listdir(folder):
        target = os.readlink(os.path.join(folder, fd))
        assert not re.search(r"hearth\.db|token|lock$|pidfd|io_uring", target), target
    with open(f"/proc/{pid}/environ", "rb") as file:
        assert file.read() == b""
    orders.close()
    assert limits(pid)["Max open files"] == (1280, 1280)


def test_without_the_jail_it_is_said_loudly(start):
    hearthd = start("--unsafe-no-jail", "true")
    hearthd.wait_for(r"error: UNSAFE: hearth-vmm runs without its jail")
    pid = next(iter(hearthd.vmms(1).values()))
    hearthd.wait_for(r"vmm/[0-9a-f]{12}: warn: not jailed")
    assert set(status_of(pid)["Uid"].split()) == {"0"}


def test_an_ordinary_users_vmms_are_jailed_too(start, tmp_path):
    """hearthd without any right but to use /dev/kvm: the jail stands in a user namespace."""
    device, build, nobody = tmp_path / "kvm", tmp_path / "build", 65534
    (build / "guests").mkdir(parents=True)
    for name in "hearthd", "hearth-vmm-compromised", "guests/spin":  # the checkout may be root's alone
        shutil.copy(os.path.join(BUILD, name), build / name)
    os.mknod(device, stat.S_IFCHR | 0o600, os.stat("/dev/kvm").st_rdev)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o007 == 0 and "pytest" in folder.name:
            folder.chmod(0o711)
    os.chown(tmp_path, nobody, nobody)
    os.chown(device, nobody, nobody)
    script = f'mount --bind {device} /dev/kvm && chown {nobody} {tmp_path}/* && exec setpriv --reuid {nobody} --regid {nobody} ' \
             f'--clear-groups "$@"'
    hearthd = start(wrapper=("unshare", "-m", "sh", "-c", script, "sh"), build=build)
    hearthd.wait_for(r"jail: all VMMs have hearthd's user")
    (vm, pid), (other, _) = list(hearthd.vmms(2).items())[:2]
    orders, neighbour = hearthd.orders(vm), hearthd.orders(other)
    status = status_of(pid)
    assert set(status["Uid"].split()) == {str(nobody)}
    assert (status["Seccomp"], status["NoNewPrivs"], int(status["CapBnd"], 16)) == ("2", "1", 0)
    assert status["NSpid"].split()[-1] == "1"
    for name in "user", "mnt", "pid", "net", "ipc", "uts", "cgroup":
        assert os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"), name
    assert os.listdir(f"/proc/{pid}/root") == ["vsock"]
    with pytest.raises(Gone):
        orders.call("openat", -100, b"/etc/passwd", os.O_RDONLY, 0)
    assert neighbour.call("getpid") == 1
