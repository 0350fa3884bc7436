"""hearthd on this machine without any KVM: all that does not need a microVM, over real connections."""

import os
import re
import secrets
import signal
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
sys.path.append(os.path.join(os.path.dirname(HERE), "images"))  # archives

from played import OPTIONS, import_image
from proxied import IMAGE, Web

ROOT = os.path.dirname(os.path.dirname(HERE))
TOKEN = secrets.token_hex(16)


def environment_for(url, token):
    """Of a command that talks with that service."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    return {**clean, "HEARTH_URL": url, "HEARTH_TOKEN": token}


class Hearthd:
    def __init__(self, folder, *arguments):
        self.folder, self.token = str(folder), TOKEN
        for name, text in (("token", TOKEN + "\n"), ("kernel", ""), ("image", "")):
            with open(os.path.join(self.folder, name), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(text)
        self.log_path = os.path.join(self.folder, "log")
        # On /tmp, since the sockets' paths must be short.
        self.runtime = f"/tmp/hearth-test-{secrets.token_hex(4)}"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [os.path.join(ROOT, "build", "hearthd"), "--listen", "127.0.0.1:0", "--home", self.folder, "--vmm",
                 "/bin/false", "--kernel", f"{self.folder}/kernel", "--image", f"{self.folder}/image", "--runtime-dir",
                 self.runtime, "--ready-sessions", "0", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        self.said = self.process.stdout.readline()
        found = re.search(r"serving on (\S+)", self.said)
        self.url = found.group(1) if found else None

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        try:
            os.rmdir(self.runtime)
        except OSError:
            pass
        return status

    def hearth(self, *arguments, token=None, **environment):
        """Runs the command against it."""
        return subprocess.run([os.path.join(ROOT, "build", "hearth"), *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60,
                              env={**environment_for(self.url or "", token or self.token), **environment})


@pytest.fixture
def start(tmp_path):
    """Starts one with the arguments that are given; it must end well."""
    running = []

    def start(*arguments):
        running.append(Hearthd(tmp_path, *arguments))
        return running[-1]

    yield start
    for hearthd in running:
        hearthd.stop()


@pytest.fixture
def options():
    """Of the hearthd of `web`: a test parametrizes it."""
    return ()


@pytest.fixture
def authority():
    """The file by which its certificate is believed, where `options` give it one."""
    return None


@pytest.fixture
def web(start, tmp_path, options, authority):
    import_image(tmp_path, IMAGE)
    hearthd = start(*OPTIONS, "--min-cooldown-seconds", "1", "--image-dir", tmp_path / "images", *options)
    web = Web(hearthd, tmp_path, authority)
    yield web
    web.end()
