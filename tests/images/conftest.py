"""`hearth image` on this machine: no service and no VM. The kernel's own EROFS and overlayfs read what it makes."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from archives import Layout

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
HEARTH = os.path.join(ROOT, "build", "hearth")


class Store:
    """A folder for images, and the command that works on it."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
        self.environment["HEARTH_IMAGE_DIR"] = self.folder

    def start(self, *arguments):
        return subprocess.Popen([HEARTH, "image", *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def run(self, *arguments):
        return subprocess.run([HEARTH, "image", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=300, env=self.environment)

    def image(self, *arguments):
        """An import that works: what is known of the image."""
        result = self.run("import", *arguments)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def refuse(self, *arguments):
        """An import that must not work, and must leave nothing but layers that were good: what it says."""
        result = self.run("import", *arguments)
        assert result.returncode == 2, (result.returncode, result.stdout, result.stderr)
        assert [name for name in self.files() if not name.startswith("layers/")] == []
        return result.stderr

    def list(self):
        return json.loads(self.run("ls").stdout)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def files(self):
        """All files in it but its lock."""
        return sorted(os.path.relpath(os.path.join(folder, name), self.folder)
                      for folder, _, names in os.walk(self.folder) for name in names if name != "lock")

    def layer_files(self, image):
        return [self.path("layers", part["file"]) for part in image["stack"]]


@contextlib.contextmanager
def mounted(folder, *options):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["mount", *options, folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True, capture_output=True)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def layout(tmp_path):
    """Makes a layout of layers; returns its folder."""
    made = []

    def make(*layers, name=None, **options):
        made.append(Layout(tmp_path / (name or f"layout{len(made)}"), *layers, **options))
        return made[-1].folder

    return make


@pytest.fixture
def mount(tmp_path, store):
    """Stacks an image as a guest does; returns the folder where it is mounted. Each of its files is checked before."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    with contextlib.ExitStack() as mounts:
        def stack(image):
            lower = []
            for number, path in enumerate(store.layer_files(image)):
                checked = subprocess.run(["fsck.erofs", path], capture_output=True, text=True)
                assert checked.returncode == 0, checked.stdout + checked.stderr
                lower.append(mounts.enter_context(mounted(f"{tmp_path}/lower{number}", "-o", "loop,ro", path)))
            if len(lower) == 1:  # overlayfs wants two; a guest has a writable one above
                os.makedirs(f"{tmp_path}/nothing")
                lower.append(f"{tmp_path}/nothing")
            return mounts.enter_context(
                mounted(f"{tmp_path}/image", "-t", "overlay", "overlay", "-o", "ro,lowerdir=" + ":".join(lower[::-1])
                        if image["stack"][1:] else "ro,lowerdir=" + ":".join(lower)))

        yield stack
