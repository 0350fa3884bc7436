"""A container of the same image: its root file system in the usual namespaces, with a writable layer in memory."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time

TITLE = "a container (crun or runc) of the same image, `python3 -c 'print(1)'`"
RUNS, SECONDS = 30, 10
RUNTIMES = ("crun", "runc")
ARGUMENTS = ["python3", "-c", "print(1)"]


def runtime():
    return next(filter(None, map(shutil.which, RUNTIMES)), None)


def is_available(settings):
    if runtime() is None:
        return f"none of {', '.join(RUNTIMES)} is installed (scripts/setup bench)"
    if os.geteuid() != 0:
        return "mounting the image needs root"
    if not os.path.exists("/dev/loop-control"):
        return "mounting the image needs loop devices"
    if not os.path.exists(settings["image"]):
        return f"{settings['image']} is missing"
    return None


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def configuration(root):
    """An OCI configuration with what Docker gives a container by default, less what a one-liner cannot notice."""
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ARGUMENTS, "cwd": "/", "noNewPrivileges": True,
                    "env": ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root"]},
        "root": {"path": root},
        "hostname": "bench",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
        ],
        "linux": {
            "namespaces": [{"type": name} for name in ("pid", "mount", "ipc", "uts", "network")],
            "resources": {"memory": {"limit": 512 << 20}, "pids": {"limit": 256}},
        },
    }


class Peer:
    """Mounted and described once; each run is one container from the runtime's start to the line that it prints."""

    def __init__(self, settings):
        self.image = settings["image"]
        self.runtime = runtime()

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="hearth-bench-container-")
        self.mounted = []
        lower, layer, root = (os.path.join(self.folder, name) for name in ("image", "layer", "root"))
        try:
            for folder in (lower, layer, root):
                os.mkdir(folder)
            self.mount(lower, "-t", "erofs", "-o", "ro,loop", self.image, lower)
            self.mount(layer, "-t", "tmpfs", "tmpfs", layer)
            upper, work = os.path.join(layer, "upper"), os.path.join(layer, "work")
            os.mkdir(upper)
            os.mkdir(work)
            self.mount(root, "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "overlay", root)
            with open(os.path.join(self.folder, "config.json"), "w", encoding="utf-8") as file:
                json.dump(configuration(root), file)
            self.run()  # from here on its files are in the page cache
        except BaseException:
            self.__exit__()
            raise
        return self

    def mount(self, folder, *arguments):
        mount(*arguments)
        self.mounted.append(folder)

    def __exit__(self, *_):
        for folder in reversed(self.mounted):
            subprocess.run(["umount", folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self):
        name = f"bench-{secrets.token_hex(6)}"
        began = time.monotonic()
        process = subprocess.Popen([self.runtime, "run", "--bundle", self.folder, name], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = process.stdout.readline()
        ms = (time.monotonic() - began) * 1000
        _, errors = process.communicate(timeout=60)
        if process.returncode != 0 or line != b"1\n":
            raise RuntimeError(f"{self.runtime} printed {line!r}: {errors[-300:].decode(errors='replace').strip()}")
        return ms, {}
