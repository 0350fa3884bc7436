# SPDX-License-Identifier: Apache-2.0
"""The lab's machine: starting QEMU, watching over it, ending it.

A supervisor process owns each QEMU. It holds a lock on the lab's folder for as long as the lab is up, listens to the
machine's heartbeat, and ends QEMU when the machine hangs, when nobody has used it for long, when its owner is gone, or
when told to (SIGTERM). QEMU dies with the supervisor, whatever ends that.
"""

import errno
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

import boot

PROJECT = os.path.dirname(os.path.dirname(boot.HERE))
# Patience while booting and between heartbeats. Both are counted in seconds in which we ourselves were awake.
BOOT_SECONDS = 120
POWER_OFF_SECONDS = 10
# What a dying kernel, our init and QEMU say when they say why.
TELLING_WORDS = ("panic", "BUG", "Oops", "RIP: 0010", "lab: ", "qemu")


# struct flock: type, whence, start, length, process
WHOLE_FILE_LOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)


class LabError(Exception):
    pass


class MachineLost(LabError):
    """The machine did not come up, hung or ended. Trying again may help."""


def lab_dir():
    return os.path.abspath(os.environ.get("HEARTH_LAB_DIR") or os.path.join(PROJECT, "build", "lab"))


def setting(name, default, lowest, highest):
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or not lowest <= int(text) <= highest:
        raise LabError(f"{name}={text}: must be a whole number from {lowest} to {highest}")
    return int(text)


class Folder:
    """The files of one lab."""

    def __init__(self, path):
        self.path = path

    def file(self, name):
        return os.path.join(self.path, name)

    def state(self):
        try:
            with open(self.file("state"), encoding="utf-8") as file:
                return json.load(file)
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def write(self, name, text):
        temporary = self.file(f"{name}.{os.getpid()}")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(temporary, self.file(name))

    def read(self, name):
        try:
            with open(self.file(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def remove(self, *names):
        for name in names:
            try:
                os.unlink(self.file(name))
            except FileNotFoundError:
                pass

    def keep_old(self, name):
        """Keep one earlier version: what a machine said before it died must outlast the next one's start."""
        try:
            if os.stat(self.file(name)).st_size > 0:
                os.replace(self.file(name), self.file(name + ".old"))
        except FileNotFoundError:
            pass

    def lock(self):
        """The lock that says "a lab is up here", or None when another process has it. Forked children share it."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        fd = os.open(self.file("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, WHOLE_FILE_LOCK)
            return fd
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return None
            raise

    def is_up(self):
        try:
            fd = os.open(self.file("lock"), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        held = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, WHOLE_FILE_LOCK)
        os.close(fd)
        return struct.unpack_from("h", held)[0] != fcntl.F_UNLCK

    def wait_until_down(self, seconds):
        end = time.monotonic() + seconds
        while self.is_up():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True


# ---- starting --------------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def chosen_port():
    port = setting("HEARTH_LAB_PORT", 8080, 0, 65535)
    if port == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LabError(f"port {port} of 127.0.0.1 is taken ({error.strerror}); end what listens there, or choose "
                            f"another port with HEARTH_LAB_PORT (0: any free one)") from error
    return port


def read_settings():
    """All that the environment decides, checked before anything is started."""
    return {"memory_mib": setting("HEARTH_LAB_MEMORY_MIB", 6144, 1024, 1 << 20),
            "cpus": setting("HEARTH_LAB_CPUS", 1, 1, 64),
            "watchdog_seconds": setting("HEARTH_LAB_WATCHDOG_S", 60, 5, 86400),
            "idle_seconds": setting("HEARTH_LAB_IDLE_S", 7200, 0, 1 << 31),
            "http_port": chosen_port(), "qemu": find_qemu()}


def find_qemu():
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise LabError("qemu-system-x86_64 is missing; run scripts/setup lab")
    return qemu


def shares():
    """9p shares: (tag, path on both sides, read-only, mount options inside)."""
    # Coherent with the outside: nothing is cached beyond an open file.
    live = "trans=virtio,version=9p2000.L,msize=512000,cache=mmap"
    # Names in the cache are made from their content, so that what was once read stays true.
    fixed = "trans=virtio,version=9p2000.L,msize=512000,cache=loose"
    os.makedirs(boot.cache_dir(), exist_ok=True)
    return [("project", PROJECT, False, live), ("cache", boot.cache_dir(), True, fixed)]


def config_text(token):
    lines = [f"token {token}"]
    for tag, path, _, options in shares():
        lines.append(f"share {tag} {options} {path}")
    return "\n".join(lines) + "\n"


def qemu_escape(path):
    return path.replace(",", ",,")


def qemu_command(settings, folder, kernel, command_port):
    forward = f"hostfwd=tcp:127.0.0.1:{command_port}-:22,hostfwd=tcp:127.0.0.1:{settings['http_port']}-:8080"
    command = [
        "setpriv", "--pdeathsig", "KILL", settings["qemu"], "-name", "hearth-lab",
        # Without "fast" string instructions kernels and libraries copy and clear by words: each byte costs as much here.
        "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,-erms,-fsrm", "-M", "q35",
        "-m", str(settings["memory_mib"]), "-smp", str(settings["cpus"]),
        "-display", "none", "-no-reboot", "-nodefaults",
        "-chardev", f"file,id=console,path={qemu_escape(folder.file('console'))}", "-serial", "chardev:console",
        "-chardev", "stdio,id=monitor,signal=off", "-serial", "chardev:monitor",
        "-kernel", kernel, "-initrd", folder.file("initramfs"),
        "-append", "console=ttyS0 panic=-1 quiet loglevel=1 mitigations=off cryptomgr.notests tsc=reliable nowatchdog",
        "-device", "virtio-rng-pci",
        "-netdev", f"user,id=net,{forward}",
        "-device", "virtio-net-pci,netdev=net,romfile=",
        "-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
    ]
    for tag, path, read_only, _ in shares():
        command += ["-virtfs", f"local,path={qemu_escape(path)},mount_tag={tag},security_model=none,multidevs=remap"
                    + (",readonly=on" if read_only else "")]
    return command


class Supervisor:
    def __init__(self, folder, process, settings, owner):
        self.folder = folder
        self.process = process
        self.watchdog_seconds = settings["watchdog_seconds"]
        self.idle_seconds = settings["idle_seconds"]
        self.owner = owner  # read end of a pipe whose other end the owner holds; None: the lab stays up by itself
        self.owner_gone = False
        self.booted = False
        self.active = 0
        self.silent_seconds = 0
        self.unused_seconds = 0
        self.buffer = b""
        self.stopping = None  # the reason, once power-off was asked for
        self.stop_seconds = 0

    def on_booted(self):
        state = self.folder.state()
        state["ready"] = True
        self.folder.write("state", json.dumps(state))
        self.booted = True
        self.unused_seconds = 0

    def take_heartbeats(self, data):
        lines = (self.buffer + data).split(b"\n")
        self.buffer = lines.pop()[-100:]
        for line in lines:
            if line.startswith(b"H ") and line[2:].isdigit():
                self.silent_seconds = 0
                self.active = int(line[2:])
                if self.active:
                    self.unused_seconds = 0
                if not self.booted:
                    self.on_booted()

    def power_off(self, reason):
        if self.stopping is not None:
            return
        self.stopping = reason
        if not self.booted:
            self.process.kill()
            return
        try:
            self.process.stdin.write(b"Q\n")
            self.process.stdin.flush()
        except OSError:
            self.process.kill()

    def stays_up(self):
        return self.owner is None and not self.owner_gone

    def tick(self):
        """Once a second."""
        self.silent_seconds += 1
        self.unused_seconds += 1
        if self.stopping is not None:
            self.stop_seconds += 1
            if self.stop_seconds > POWER_OFF_SECONDS:
                self.process.kill()
        elif not self.booted and self.silent_seconds > BOOT_SECONDS:
            self.stopping = f"the lab's machine did not come up within {BOOT_SECONDS} s"
            self.process.kill()
        elif self.booted and self.silent_seconds > self.watchdog_seconds:
            self.stopping = f"the lab's machine hung (no heartbeat for {self.watchdog_seconds} s) and was ended"
            self.process.kill()
        elif self.booted and self.stays_up() and 0 < self.idle_seconds < self.unused_seconds:
            self.power_off(f"the lab was not used for {self.idle_seconds} s and ended by itself")

    def take_requests(self, requests):
        """Signals: SIGTERM, end the lab; SIGUSR1, somebody wants it to stay up."""
        for number in os.read(requests, 100):
            if number == signal.SIGTERM:
                self.power_off("the lab was stopped")
            elif number == signal.SIGUSR1:
                self.owner, self.owner_gone = None, False

    def watch(self, requests):
        output = self.process.stdout.fileno()
        next_tick = time.monotonic() + 1
        while True:
            watched = [output, requests] + ([self.owner] if self.owner is not None else [])
            ready, _, _ = select.select(watched, [], [], max(0, next_tick - time.monotonic()))
            if output in ready:
                data = os.read(output, 4096)
                if not data:
                    break
                self.take_heartbeats(data)
            if self.owner in ready:
                self.owner, self.owner_gone = None, True
            if requests in ready:
                self.take_requests(requests)
            if self.owner_gone and self.active == 0:
                self.power_off("the command ended")
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + 1
                self.tick()
        status = self.process.wait()
        return self.stopping or self.last_words(status)

    def last_words(self, status):
        said = (self.folder.read("qemu.log") + self.folder.read("console")).strip().splitlines()
        telling = [line for line in said if any(word in line for word in TELLING_WORDS)] or said[-5:]
        return "\n  ".join([f"the lab's machine ended by itself (QEMU's status {status}); see "
                            f"{self.folder.file('console')}"] + telling[:8])


def launch_qemu(folder, kernel, initramfs, settings, log):
    token = secrets.token_hex(16)
    with open(initramfs, "rb") as source, open(folder.file("initramfs"), "wb") as target:
        os.chmod(folder.file("initramfs"), 0o600)
        target.write(source.read())
        target.write(boot.config_archive(config_text(token)))
    command_port = free_port()
    process = subprocess.Popen(qemu_command(settings, folder, kernel, command_port), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=log, cwd="/")
    folder.write("state", json.dumps({
        "supervisor": os.getpid(), "qemu": process.pid, "token": token, "command_port": command_port,
        "http_port": settings["http_port"], "started": time.time(), "ready": False}))
    return process


def supervise(folder, kernel, initramfs, settings, owner):
    """The supervisor's life: from here to the end of the lab. Runs in its own process; the lock is held by it."""
    os.setsid()
    log = os.open(folder.file("qemu.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.chdir("/")
    requests, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    for request in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(request, lambda *_: None)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    process = launch_qemu(folder, kernel, initramfs, settings, log)
    reason = Supervisor(folder, process, settings, owner).watch(requests)
    folder.write("ended", reason + "\n")
    folder.remove("state", "initramfs")


def close_others(keep):
    """What the starter had open is not ours to keep: a pipe held open would keep its reader waiting."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass


class Started:
    """A lab that this process started: its supervisor, and the pipe that keeps it alive."""

    def __init__(self, pid, pipe):
        self.pid = pid
        self.pipe = pipe

    def has_ended(self):
        if self.pid is not None and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = None
        return self.pid is None

    def release(self):
        """Let go of the lab, which ends it unless others use it."""
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None

    def wait_until_ended(self, seconds, others_may_stay=False):
        end = time.monotonic() + seconds
        while not self.has_ended():
            if time.monotonic() > end:
                if others_may_stay:
                    return
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.01)


def start(folder, lock, keep):
    """Start a lab whose supervisor takes over the lock. keep: it stays up after this process has let go of it."""
    settings = read_settings()
    kernel, initramfs = boot.prepare()
    folder.keep_old("console")
    folder.remove("ended", "state", "qemu.log")
    owner, pipe = (None, None) if keep else os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            close_others({lock, owner})
            supervise(folder, kernel, initramfs, settings, owner)
            status = 0
        except Exception as error:  # the starter learns of it from the file
            folder.write("ended", f"the lab's supervisor failed: {error!r}\n")
        finally:
            os._exit(status)
    os.close(lock)
    if owner is not None:
        os.close(owner)
    return Started(pid, pipe)


def why_ended(folder):
    return folder.read("ended").strip() or "the lab's supervisor is gone; it was killed"


def wait_until_ready(folder, started=None):
    """The lab's state once it takes commands, or MachineLost when it ended instead."""
    while True:
        state = folder.state()
        if state and state["ready"] and folder.is_up():
            return state
        if started and started.has_ended():
            raise MachineLost(why_ended(folder))
        if not started and not folder.is_up():
            raise MachineLost(why_ended(folder))
        time.sleep(0.02)


def keep_up(state):
    """A lab that was started for one command shall stay."""
    os.kill(state["supervisor"], signal.SIGUSR1)


def stop(folder):
    """End the lab. Returns whether one was up."""
    if not folder.is_up():
        return False
    end = time.monotonic() + 5
    while not folder.state() and time.monotonic() < end and folder.is_up():
        time.sleep(0.02)
    state = folder.state()
    if state and folder.is_up():
        os.kill(state["supervisor"], signal.SIGTERM)
        if not folder.wait_until_down(POWER_OFF_SECONDS + 5):
            os.kill(state["supervisor"], signal.SIGKILL)
    return folder.wait_until_down(5) or True
