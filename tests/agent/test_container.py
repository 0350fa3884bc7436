"""AGENT_CONTAINER_*: what a container finds, what it cannot do, how it ends, and what the host hears of it."""

import io
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import time

import pytest

import container
from agent import EXECUTE, SETTLE, SETTLED, DONE, OFFER_TOKENS
from container import (ATTACH, ENDED, ENDING, ENVIRONMENT, HELD, HOLD, INIT, NONE, PREPARING, READY, REFUSED,
                       RUN, START, STARTING, STATE, describe)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "tests", "images"))
import archives

DEFAULT_CAPABILITIES = 0xa00425fb  # Docker's a80425fb without CAP_MKNOD


@pytest.fixture
def agent(start_container_agent):
    return start_container_agent()


@pytest.fixture
def agent_of(start_container_agent, tmp_path, container_image):
    """An agent with an image of its own, which `change` makes another of."""
    def start(change):
        image = tmp_path / "image"
        shutil.copytree(container_image, image, symlinks=True)
        change(image)
        return start_container_agent(image)

    return start


def shell(script):
    return ["sh", "-c", script]


# ---- who and where -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("user, identity", [
    ("", "uid=0(root) gid=0(root) groups=0(root)"),
    ("root", "uid=0(root) gid=0(root) groups=0(root)"),
    ("app", "uid=1000(app) gid=1001(app) groups=12(logs)"),
    ("1000", "uid=1000(app) gid=1001(app) groups=12(logs)"),
    ("app:logs", "uid=1000(app) gid=12(logs)"),
    ("app:4321", "uid=1000(app) gid=4321"),
    ("4321", "uid=4321 gid=0(root)"),
    ("4321:1234", "uid=4321 gid=1234"),
])
def test_user(agent, user, identity):
    heard = agent.run(["id"], user=user)
    assert heard.status == 0 and re.sub(r" groups=(0\(root\)|12\(logs\)|4321|1234)$", "", heard.stdout.decode().strip()) in (
        identity, re.sub(r" groups=.*", "", identity)), heard
    if "groups=12" in identity:
        assert b"groups=12(logs)" in heard.stdout


@pytest.mark.parametrize("user, words", [("nobody", 'user "nobody"'), ("app:nogroup", 'group "nogroup"'),
                                         ("-1", 'user "-1"')])
def test_no_such_user(agent, user, words):
    heard = agent.run(["id"], user=user)
    assert heard.status == 125 and words in heard.sentence and "image" in heard.sentence, heard
    assert [state for state, _ in heard.states] == [PREPARING, ENDED]


def test_environment_and_defaults(agent):
    heard = agent.run(["env"], user="app", environment=["A=1", "B=two words", "A=3", "EMPTY="])
    assert set(heard.stdout.decode().split("\n")) - {""} == {
        "A=3", "B=two words", "EMPTY=", "HOME=/home/app",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def test_the_images_own_path_and_home(agent):
    heard = agent.run(["busybox", "env"], environment=["PATH=/bin", "HOME=/srv"])
    assert set(heard.stdout.decode().split()) == {"PATH=/bin", "HOME=/srv"}


@pytest.mark.parametrize("directory", ["", "/srv", "/made/by/the/agent"])
def test_working_directory(agent, directory):
    assert agent.run(["pwd"], user="app", directory=directory).stdout.decode().strip() == (directory or "/")


def test_a_working_directory_that_is_a_file(agent):
    heard = agent.run(["pwd"], directory="/etc/passwd")
    assert heard.status == 125 and "working directory /etc/passwd cannot be entered" in heard.sentence


# ---- entrypoints ---------------------------------------------------------------------------------------------------

def make_odd_entrypoints(image):
    (image / "bin" / "no-interpreter").write_text("#!/usr/bin/nothing\n")
    (image / "bin" / "no-program").write_bytes(b"just text")
    (image / "bin" / "script").write_text("#!/bin/sh\necho script \"$@\"\n")
    for name in ("no-interpreter", "no-program", "script"):
        (image / "bin" / name).chmod(0o755)
    (image / "bin" / "not-executable").write_text("#!/bin/sh\n")
    (image / "closed").mkdir(0o700)
    (image / "closed" / "program").write_text("#!/bin/sh\n")


@pytest.mark.parametrize("entrypoint, status, sentence", [
    ("/srv/app", 127, "the entrypoint /srv/app is not in the image"),
    ("app", 127, 'the entrypoint "app" is not in the image: it is in no folder of PATH'),
    ("no-interpreter", 126, "the entrypoint /bin/no-interpreter needs an interpreter or loader that is not in the image"),
    ("/bin/no-program", 126, "the entrypoint /bin/no-program is no program for this machine"),
    ("/bin/not-executable", 126, "may not execute the entrypoint /bin/not-executable"),
    ("/srv", 126, "the entrypoint /srv is a folder"),
    ("/closed/program", 127, "may not enter the folder of the entrypoint"),
    ("/etc/passwd/x", 127, "is not in the image"),
])
def test_no_such_entrypoint(agent_of, entrypoint, status, sentence):
    heard = agent_of(make_odd_entrypoints).run([entrypoint], user="app")
    assert (heard.status, heard.signal) == (status, 0) and sentence in heard.sentence, heard


def test_a_script_is_an_entrypoint(agent_of):
    assert agent_of(make_odd_entrypoints).run(["script", "a", "b c"]).stdout == b"script a b c\n"


@pytest.mark.parametrize("init, script, status, number, sentence", [
    (0, "exit 0", 0, 0, "the entrypoint exited with status 0"),
    (0, "exit 7", 7, 0, "the entrypoint exited with status 7"),
    (0, "kill -9 $$; sleep 9", 137, 9, "the entrypoint was killed by signal 9 (SIGKILL)"),
    (INIT, "exit 0", 0, 0, "the entrypoint exited with status 0"),
    (INIT, "exit 7", 7, 0, "the entrypoint exited with status 7"),
])
def test_exit_status(agent, init, script, status, number, sentence):
    heard = agent.run(shell(script), flags=init)
    assert (heard.status, heard.signal, heard.sentence) == (status, number, sentence)


def test_an_entrypoint_that_is_an_init_is_process_1(agent):
    assert agent.run(shell("echo $$"), flags=INIT).stdout == b"1\n"


def test_an_entrypoint_that_is_none_is_not_process_1(agent):
    heard = agent.run(shell("echo $$; readlink /proc/1/exe; cat /proc/1/comm"))
    assert heard.stdout.split()[0] != b"1" and b"init" in heard.stdout


# ---- the end -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("init", [0, INIT])
def test_stop_signal(agent, init):
    watch = agent.start(shell("trap 'echo got it; exit 5' USR1; trap '' TERM; echo ready; while :; do sleep 0.05; done"),
                        stop_signal=signal.SIGUSR1, flags=init)
    watch.output(b"ready")
    assert watch.stop()[:2] == (STATE, ENDING)
    heard = watch.exit()
    assert heard.status == 5 and heard.stdout == b"ready\ngot it\n"


def test_a_stop_signal_that_musl_keeps_for_itself(agent):
    """The agent is built with it; to others the last of the three is SIGRTMIN."""
    watch = agent.start(shell("trap 'echo got it; exit 5' 34; echo ready; while :; do sleep 0.05; done"), stop_signal=34)
    watch.output(b"ready")
    watch.stop()
    heard = watch.exit()
    assert heard.status == 5 and heard.stdout == b"ready\ngot it\n"


def test_a_stop_signal_without_a_handler_ends(agent):
    watch = agent.start(["sleep", "100"])
    watch.until(READY)
    watch.stop()
    heard = watch.exit()
    assert (heard.status, heard.signal) == (143, 15)


@pytest.mark.parametrize("init", [0, INIT])
def test_who_does_not_heed_the_stop_signal_is_killed(agent, init):
    watch = agent.start(shell("trap '' TERM; sleep 100 & echo ready; while :; do sleep 1; done"), flags=init)
    watch.output(b"ready")
    began = time.monotonic()
    watch.stop(300)
    heard = watch.exit()
    assert 0.3 <= time.monotonic() - began < 5
    assert heard.signal == 9 and heard.sentence == "the entrypoint was killed because it had not ended by itself"
    assert agent.children() == []


def test_a_second_stop_shortens_the_grace(agent):
    watch = agent.start(shell("trap '' TERM; echo ready; while :; do sleep 1; done"))
    watch.output(b"ready")
    assert watch.stop(60000)[1] == ENDING
    assert watch.stop(0)[1] == ENDING
    assert watch.exit().signal == 9


def test_the_rest_ends_with_the_entrypoint(agent):
    watch = agent.start(shell("setsid sleep 1000 & setsid sleep 1000 & echo started"))
    assert watch.exit().status == 0
    assert agent.children() == []
    left = subprocess.run(["pgrep", "-f", "^sleep 1000$"], stdout=subprocess.PIPE, text=True).stdout
    assert left == ""


def test_orphans_are_reaped(agent):
    assert agent.run(["probe", "orphans"]).stdout == b"zombies 0\n"


def test_a_container_ends_with_its_agent(agent):
    watch = agent.start(shell("sleep 1001 & sleep 1001"))
    watch.until(READY)
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    for _ in range(100):
        if subprocess.run(["pgrep", "-f", "^sleep 1001$"], stdout=subprocess.DEVNULL).returncode:
            break
        time.sleep(0.05)
    else:
        pytest.fail("it goes on")
    agent.stop = lambda: subprocess.run(["umount", "-l", agent.scratch], check=True)


# ---- what is out of reach ------------------------------------------------------------------------------------------

def test_processes_and_files_of_the_agent_cannot_be_seen(agent):
    heard = agent.run(shell("ls -d /proc/[0-9]*; find / -xdev -name 'agent.sock' -o -xdev -name handover -o -xdev -name upper; "
                            "ls /work /mnt; cat /proc/1/environ; ls -l /proc/1/fd /proc/1/root /proc/1/exe; "
                            "kill -9 1; kill -TERM 1; echo still here"))
    numbers = [int(number) for number in re.findall(rb"/proc/(\d+)\n", heard.stdout)]
    assert numbers and max(numbers) < 20 and len(numbers) <= 4, heard
    for word in (b"agent.sock", b"handover\n", b"upper", b"hearth-agent", b"->"):
        assert word not in heard.stdout, heard
    assert heard.stderr.count(b"Permission denied") >= 3 and b"still here" in heard.stdout, heard
    assert heard.status == 0


def test_descriptors(agent):
    assert agent.run(["probe", "fds"]).stdout == b"fd 0\nfd 1\nfd 2\n"


@pytest.mark.parametrize("user, effective", [("", DEFAULT_CAPABILITIES), ("app", 0)])
def test_capabilities(agent, user, effective):
    found = dict(re.findall(r"(Cap\w+):\t(\w+)", agent.run(["probe", "caps"], user=user).stdout.decode()))
    assert {name: int(value, 16) for name, value in found.items()} == {
        "CapInh": 0, "CapEff": effective, "CapBnd": DEFAULT_CAPABILITIES}


def test_set_user_id_works(agent):
    heard = agent.run(["probe-as-root", "ids", "caps"], user="app")
    assert b"ids 1000 0 1001 1001" in heard.stdout
    assert f"CapEff:\t{DEFAULT_CAPABILITIES:016x}".encode() in heard.stdout


@pytest.mark.parametrize("init", [0, INIT])
def test_process_1_and_the_vsock(agent, init):
    heard = agent.run(["probe", "vsock", "ptrace", "fds"], flags=init)
    assert b"vsock no\n" in heard.stdout
    assert heard.stdout.endswith(b"fd 0\nfd 1\nfd 2\n")
    if not init:
        assert b"ptrace no\n" in heard.stdout


def test_devices(agent_of):
    def plant(image):
        os.mknod(image / "disk", 0o600 | 0o060000, os.makedev(7, 0))
        os.mknod(image / "null", 0o666 | 0o020000, os.makedev(1, 3))

    heard = agent_of(plant).run(shell(
        "ls /dev; cat /disk; cat /null; mknod /tmp/m b 7 0; mknod /dev/m b 7 0; mknod /dev/shm/m c 1 3; "
        "echo x >/dev/null && head -c 2 /dev/zero | xxd -p; tty; echo pts >/dev/pts/ptmx; mkfifo /tmp/f && echo fifo"))
    assert heard.stdout.decode().split()[:13] == [
        "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"], heard
    assert b"0000\n" in heard.stdout and b"fifo" in heard.stdout, heard
    assert heard.stderr.count(b"Permission denied") >= 2 and heard.stderr.count(b"Operation not permitted") >= 3, heard


MACHINE = [path for path in ("/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger",
                             "/proc/irq/default_smp_affinity", "/sys/kernel/mm/transparent_hugepage/enabled")
           if os.path.exists(path)]


@pytest.mark.parametrize("path", [*MACHINE, "/run/hearth/environment"])
def test_the_machine_cannot_be_changed(agent, path):
    heard = agent.run(shell(f"echo 1 >{path} || echo refused; mount -o remount,rw /proc/sys; umount /proc/sys; "
                            f"echo 1 >{path} || echo refused"))
    assert heard.stdout.count(b"refused") == 2 and heard.stderr.count(b"Read-only file system") == 2, heard


def test_no_mounts_can_be_made(agent):
    heard = agent.run(shell("mount -t tmpfs t /tmp; mount -t proc p /srv; chroot / true && echo chroot; hostname x; "
                            "unshare -m true; ls /srv; date -s 2020-01-01 >/dev/null"))
    assert b"chroot" in heard.stdout and b"self" not in heard.stdout
    assert heard.stderr.count(b"not permitted") + heard.stderr.count(b"ermission denied") >= 5, heard


def test_a_user_namespace_leads_no_further(agent):
    """Whoever is root in one of his own can mount, but neither a bare /proc nor away what covers it."""
    heard = agent.run(["unshare", "-Umrpf", "sh", "-c", "mount -t tmpfs t /srv && echo mounted; mount -t proc p /srv; "
                       "umount /proc/sys; echo 1 >/proc/sys/vm/drop_caches; mknod /tmp/disk b 7 0; echo $$"], user="app")
    if b"unshare" in heard.stderr:
        pytest.skip("no user namespaces on this machine")
    assert heard.stdout == b"mounted\n1\n" and len(heard.stderr.splitlines()) == 4, heard
    assert b"Read-only file system" in heard.stderr


def test_masked(agent):
    heard = agent.run(shell("wc -c </proc/keys; wc -c </proc/timer_list; ls /sys/firmware | wc -l; ls /proc/scsi | wc -l"))
    assert set(heard.stdout.split()) == {b"0"}, heard


def test_shared_memory_and_its_limits(agent):
    heard = agent.run(shell("echo x >/dev/shm/x && cat /dev/shm/x; df /dev/shm | tail -1; ulimit -n; ulimit -c"))
    assert heard.stdout.startswith(b"x\n") and heard.stdout.endswith(b"\n0\n"), heard
    limit = int(heard.stdout.split()[-2])
    assert limit == 65536 or limit == resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 65536


# ---- hostile images ------------------------------------------------------------------------------------------------

def links(name, target):
    def change(image):
        path = image / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        path.symlink_to(target)
    return change


@pytest.mark.parametrize("name, target", [("proc", "/etc"), ("dev", "../../../../dev"), ("run", "/tmp"), ("sys", "bin")])
def test_a_folder_that_is_a_link(agent_of, name, target):
    before = sorted(os.listdir("/dev"))
    heard = agent_of(links(name, target)).run(["true"])
    assert heard.status == 125 and f"the image's /{name}" in heard.sentence and "is no folder" in heard.sentence, heard
    assert sorted(os.listdir("/dev")) == before


@pytest.mark.parametrize("make", [
    lambda path: path.symlink_to("/proc/self/fd/3"),
    lambda path: path.symlink_to("passwd"),
    lambda path: os.mkfifo(path),
    lambda path: path.mkdir(),
    lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5)),
    lambda path: path.write_bytes(b"app:x:-1:0::/:\n" * 50000 + b"\0\xff" * 1000),
    lambda path: path.write_bytes(b"a" * (3 << 20)),
    lambda path: None,
])
@pytest.mark.parametrize("user, status", [("1000:1001", 0), ("app", 125)])
def test_hostile_passwd(agent_of, make, user, status):
    def change(image):
        (image / "etc" / "passwd").unlink()
        (image / "etc" / "group").unlink()
        make(image / "etc" / "passwd")
        make(image / "etc" / "group")

    heard = agent_of(change).run(["probe", "ids"], user=user)
    assert heard.status == status, heard
    assert status or heard.stdout == b"ids 1000 1000 1001 1001\n"


def test_an_image_without_anything(agent_of):
    def strip(image):
        for name in ("etc", "home", "root", "srv", "tmp"):
            shutil.rmtree(image / name)

    assert agent_of(strip).run(["id"]).status == 0


# ---- layers --------------------------------------------------------------------------------------------------------

@pytest.fixture
def attach():
    """Makes block devices of files. Asked for before the agent that has them, so that they are there for longer."""
    loops = []

    def make(files):
        for file in files:
            result = subprocess.run(["losetup", "--find", "--show", "--read-only", str(file)], stdout=subprocess.PIPE, text=True)
            if result.returncode:
                pytest.skip("no loop devices on this machine")
            loops.append(result.stdout.strip())
        return loops

    yield make
    for loop in loops:
        subprocess.run(["losetup", "--detach", loop], check=True)


@pytest.fixture
def disks(attach, tmp_path):
    """Makes a disk of each folder."""
    def make(*folders):
        files = [tmp_path / f"{number}.erofs" for number in range(len(folders))]
        for file, folder in zip(files, folders):
            subprocess.run(["mkfs.erofs", "--quiet", str(file), str(folder)], check=True, stdout=subprocess.DEVNULL)
        return attach(files)

    return make


def test_layers(container_image, disks, start_container_agent, tmp_path):
    """Three disks, the lowest first: what an upper one has, has not any more, or has anew."""
    middle, top = tmp_path / "middle", tmp_path / "top"
    for folder in (middle / "etc" / "old", top / "etc" / "old", top / "etc"):
        folder.mkdir(parents=True, exist_ok=True)
    (middle / "etc" / "old" / "hidden").write_text("hidden\n")
    (middle / "etc" / "word").write_text("middle\n")
    (top / "etc" / "word").write_text("top\n")
    os.mknod(top / "etc" / "group", 0o020000, os.makedev(0, 0))
    os.setxattr(top / "etc" / "old", "trusted.overlay.opaque", b"y")
    (top / "etc" / "old" / "new").write_text("new\n")
    agent = start_container_agent(disks=disks(container_image, middle, top))
    heard = agent.run(shell("cat /etc/word; ls /etc /etc/old; probe-as-root ids; rm /bin/cat; ls /bin/cat; "
                            "chown 5:6 /etc/passwd; echo more >>/etc/word; tail -n 1 /etc/word"), disks=3)
    assert heard.stdout.decode().split() == [
        "top", "/etc:", "old", "passwd", "word", "/etc/old:", "new", "ids", "0", "0", "0", "0", "more"], heard
    assert (top / "etc" / "word").read_text() == "top\n"


def test_an_imported_image(container_image, attach, start_container_agent, tmp_path):
    """From an OCI layout by `hearth image import` to a container that runs: its stack, the lowest file first."""
    lower, upper = io.BytesIO(), []
    with tarfile.open(fileobj=lower, mode="w") as archive:
        for name in sorted(os.listdir(container_image)):
            archive.add(os.path.join(container_image, name), name)
    with open(os.path.join(container_image, "bin", "probe"), "rb") as program:
        # A capability of its own (linux/capability.h): net_bind_service, effective.
        capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0).decode("utf-8", "surrogateescape")
        upper.append(archives.file("bin/capable", program.read(), mode=0o755,
                                   pax={"SCHILY.xattr.security.capability": capability}))
    upper += [archives.file("etc/.wh.group"), archives.file("etc/word", b"upper\n")]
    layout = archives.Layout(tmp_path / "layout", lower.getvalue(), archives.layer(*upper))
    store = tmp_path / "images"
    hearth = os.path.join(ROOT, "build", "hearth")
    image = json.loads(subprocess.run([hearth, "image", "import", "--image-dir", str(store), layout.folder, "test:1"],
                                      check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    files = [store / "layers" / part["file"] for part in image["stack"]]
    agent = start_container_agent(disks=attach(files))
    heard = agent.run(shell("cat /etc/word; ls /etc; probe-as-root ids; capable caps; echo more >>/etc/word"),
                      disks=len(files), user="1000:1001")
    assert heard.stdout.decode().split() == [
        "upper", "passwd", "word", "ids", "1000", "0", "1001", "1001",
        "CapInh:", "0" * 16, "CapEff:", f"{1 << 10:016x}", "CapBnd:", f"{DEFAULT_CAPABILITIES:016x}"], heard
    assert b"ermission denied" in heard.stderr


def test_a_disk_that_is_none(container_image, disks, start_container_agent):
    agent = start_container_agent(disks=disks(container_image))
    heard = agent.run(["true"], disks=2)
    assert heard.status == 125 and heard.sentence.startswith("disk 2 of the image (/dev/vdc) cannot be mounted"), heard
    watch = agent.watch()
    assert watch.order(ATTACH) == (STATE, ENDED, heard.sentence)


def test_no_disk(container_image, disks, start_container_agent):
    agent = start_container_agent(disks=disks(container_image))
    assert agent.watch().order(START, describe(["true"])) == (REFUSED, "the container has no disk")


# ---- what the host hears -------------------------------------------------------------------------------------------

def test_states(agent):
    watch = agent.watch()
    assert watch.order(ATTACH) == (STATE, NONE, "")
    assert watch.order(START, describe(["cat", "/etc/passwd"]))[:2] == (STATE, PREPARING)
    heard = watch.exit()
    # Once as the one that was attached, once as the one that gave the order.
    assert [state for state, _ in heard.states] == [NONE, PREPARING, PREPARING, STARTING, READY, ENDED]
    assert heard.stdout == container.PASSWD.encode()
    assert heard.ran_us > 0


def test_streams(agent):
    heard = agent.run(shell("echo out; echo err >&2; echo own >/dev/stdout; echo own err >/dev/stderr; cat"), user="app")
    assert heard.stdout == b"out\nown\n" and heard.stderr == b"err\nown err\n" and heard.status == 0


def test_the_container_outlives_its_connection(agent):
    first = agent.start(shell("echo one; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo two; exit 3"))
    first.output(b"one")
    first.close()
    second = agent.watch()
    assert second.order(ATTACH)[:2] == (STATE, READY)
    second.output(b"one")
    third = agent.watch()
    third.order(ATTACH)
    subprocess.run(["nsenter", "-t", str(agent.children()[0]), "-m", "touch", "/tmp/go"], check=True)
    for watch in (second, third):
        heard = watch.exit()
        assert heard.stdout == b"one\ntwo\n" and heard.status == 3
    late = agent.watch()
    assert late.order(ATTACH)[:2] == (STATE, ENDED)
    heard = late.exit()
    assert heard.stdout == b"one\ntwo\n" and heard.status == 3 and heard.sentence == "the entrypoint exited with status 3"


def test_a_host_that_does_not_read_does_not_stop_the_container(agent):
    """64 MiB of numbered lines: the container ends in its own time, and the host gets the last of them."""
    watch = agent.start(shell("seq -w 1 8000000; echo done >&2"))
    waiting = agent.watch()
    waiting.order(ATTACH)
    while True:
        probe = agent.watch()
        if probe.order(ATTACH)[1] == ENDED:
            break
        probe.close()
        time.sleep(0.2)
    assert agent.resident_bytes() < 8 << 20
    for heard in (watch.exit(), waiting.exit()):
        assert heard.status == 0 and heard.stderr == b"done\n"
        assert heard.dropped > 30_000_000
        assert heard.dropped + len(heard.stdout) == 64_000_000
        assert heard.stdout.endswith(b"7999999\n8000000\n")
        # What was dropped is one piece or several, and between them nothing is torn or turned.
        lines = heard.stdout.split(b"\n")
        numbers = [int(line) for line in lines if len(line) == 7]
        assert numbers == sorted(numbers) and len(lines) - len(numbers) < 50


def test_a_flood_that_is_read_is_whole(agent):
    heard = agent.run(shell("seq -w 1 100000; sleep 0.2"))
    assert len(heard.stdout) + heard.dropped == 700_000


def test_a_flood_leaves_the_agent_at_work(agent):
    watch = agent.start(["yes"])
    watch.until(READY)
    other = agent.watch()
    for _ in range(20):
        began = time.monotonic()
        assert other.order(ENVIRONMENT, b"A=1\0")[0] == STATE
        assert time.monotonic() - began < 2
    assert other.stop()[0] == STATE
    assert watch.exit().signal == 15


def test_what_makes_no_sense_is_refused(agent):
    watch = agent.watch()
    for order, body, words in (
            (RUN, b"", "no container is held"),
            (container.STOP, struct.pack("<II", 0, 0), "no container runs"),
            (ENVIRONMENT, b"A=1\0", "no container runs"),
            (ENVIRONMENT, b"A\0", "NAME=VALUE"),
            (ENVIRONMENT, b"A=1", "has no end"),
            (ENVIRONMENT, b"A=1\n2\0", "line break"),
            (ENVIRONMENT, b"A=" + b"x" * 65536 + b"\0", "too long"),
            (START, b"", "cut off"),
            (START, describe([]), "no entrypoint"),
            (START, describe(["x"]) + b"\0", "longer than it says"),
            (START, describe(["x"], port=1026), "1026"),
            (START, describe(["x"], disks=8), "disks")):
        kind, sentence = watch.order(order, body)
        assert kind == REFUSED and words in sentence, (order, body)
    assert watch.order(START, describe(["sleep", "100"]))[0] == STATE
    assert watch.order(START, describe(["sleep", "100"]))[0] == REFUSED
    while READY not in [state for state, _ in watch.heard.states]:
        watch.take()


def test_a_broken_order_ends_the_connection_and_not_the_container(agent):
    watch = agent.start(["sleep", "100"])
    watch.until(READY)
    watch.connection.send_frame(container.STOP, 99, b"123")
    with pytest.raises((EOFError, ConnectionResetError)):
        watch.exit()
    assert agent.watch().order(ATTACH)[:2] == (STATE, READY)


def test_no_interpreters(agent):
    watch = agent.watch()
    watch.connection.send_frame(EXECUTE, 5, struct.pack("<BBHIQ", 1, 0, 0, 1000, 1000) + b"1")
    kind, request, body = watch.connection.frame()
    assert (kind, request) == (DONE, 5) and b"runs a container" in body
    assert agent.children() == []


def test_a_guest_for_interpreters_runs_no_container(request, tmp_path):
    agent = request.getfixturevalue("start_agent")(tmp_path)
    try:
        watch = container.Watch(agent.path)
        kind, sentence = watch.order(START, describe(["true"]))
        assert kind == REFUSED and "HEARTH_CONTAINER=1" in sentence
        watch.close()
    finally:
        agent.stop()


# ---- templates -----------------------------------------------------------------------------------------------------

def environment_of(agent):
    with open(os.path.join(agent.scratch, "handover", "environment")) as file:
        return file.read()


def test_held_before_the_entrypoint(agent):
    watch = agent.start(shell("env; cat /run/hearth/environment; echo; sleep 100"), flags=HOLD, environment=["A=image", "B=image"])
    watch.until(HELD)
    watch.connection.send_frame(SETTLE, 77)
    assert watch.connection.frame() == (SETTLED, 77, b"")
    watch.connection.adopt()
    assert watch.order(ENVIRONMENT, b"A=host\0C=host\0E=1\0")[:2] == (STATE, HELD)
    assert watch.order(ENVIRONMENT, b"D=1\0C=again\0E=\0")[0] == STATE
    assert watch.heard.stdout == b""
    assert watch.order(RUN)[0] == STATE
    out = watch.output(b"C=again\n\n").decode()
    environment, file = (part.split() for part in out.split("PWD=/\n"))
    assert set(environment) >= {"A=host", "B=image", "C=again", "D=1"} and "A=image" not in environment
    assert file == ["A=host", "D=1", "C=again"]
    assert watch.order(RUN)[0] == REFUSED


def test_handed_over_while_it_runs(agent):
    watch = agent.start(shell("until grep -q SECRET /run/hearth/environment; do sleep 0.02; done; "
                              "cat /run/hearth/environment; id -u"), user="app")
    watch.until(READY)
    assert environment_of(agent) == ""
    assert watch.order(ENVIRONMENT, b"OTHER=x y=z\0SECRET=\xc3\xa9\0")[0] == STATE
    assert watch.exit().stdout == b"OTHER=x y=z\nSECRET=\xc3\xa9\n1000\n"


def test_too_many_variables(agent):
    watch = agent.start(["sleep", "100"])
    watch.until(READY)
    assert watch.order(ENVIRONMENT, b"A=" + b"x" * 65000 + b"\0")[0] == STATE
    assert watch.order(ENVIRONMENT, b"B=" + b"x" * 1000 + b"\0")[0] == REFUSED
    assert environment_of(agent) == "A=" + "x" * 65000 + "\n"
    assert watch.order(ENVIRONMENT, b"A=\0B=" + b"x" * 1000 + b"\0")[0] == STATE
    assert environment_of(agent) == "B=" + "x" * 1000 + "\n"


def test_tokens_are_offered_to_a_container(agent):
    watch = agent.start(shell("env | grep IDENTITY; sleep 100"), flags=HOLD)
    watch.until(HELD)
    watch.connection.send_frame(OFFER_TOKENS, 0, b"a" * 64)
    assert watch.order(RUN)[0] == STATE
    out = watch.output(b"IDENTITY_HEADER")
    assert b"IDENTITY_HEADER=" + b"a" * 64 in out and b"IDENTITY_ENDPOINT=http://127.0.0.1:" in out
    assert "IDENTITY_HEADER=" + "a" * 64 in environment_of(agent)
    watch.connection.adopt()
    assert environment_of(agent) == ""


def test_a_container_that_is_not_ready_is_not_settled(agent):
    watch = agent.start(["sleep", "100"], port=9)
    watch.until(STARTING)
    watch.connection.send_frame(SETTLE, 77)
    kind, request, body = watch.connection.frame()
    assert (kind, request) == (SETTLED, 77) and b"neither ready nor held" in body


def test_a_held_container_is_stopped_at_once(agent):
    watch = agent.start(["sleep", "100"], flags=HOLD)
    watch.until(HELD)
    watch.stop(60000)
    assert watch.exit().signal == 9
