"""A hearthd on this machine that needs no KVM: its VMM ends at once, so that no session can start, but all else serves."""

import os
import secrets
import shutil
import subprocess
import tempfile

import pytest
import requests

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class Hearthd:
    def __init__(self, folder):
        self.folder = str(folder)
        self.token = secrets.token_hex(16)
        self.process = None
        # Pools may ask for a network, too: hearthd looks for its parts beside hearth-vmm.
        for name in ("hearth-vmm", "hearth-netd", "passt"):
            os.symlink("/bin/false", os.path.join(self.folder, name))
        for name in ("kernel", "image"):
            with open(os.path.join(self.folder, name), "w"):
                pass
        with open(os.path.join(self.folder, "token"), "w", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(self.token + "\n")

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, *options):
        command = [os.path.join(ROOT, "build", "hearthd"), "--listen", "127.0.0.1:0", "--home", self.folder,
                   "--runtime-dir", self.path("run"), "--vmm", self.path("hearth-vmm"), "--kernel", self.path("kernel"),
                   "--image", self.path("image"), "--ready-sessions", "0", "--boot-always", "true", *options]
        with open(self.path("stderr"), "ab") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                                            text=True)
        line = self.process.stdout.readline()
        assert "serving on " in line, self.stderr()
        self.url = line.split("serving on ")[1].strip()
        return self

    def stderr(self):
        with open(self.path("stderr"), errors="replace") as file:
            return file.read()

    def request(self, method, path, token=True, **options):
        headers = {"Authorization": f"Bearer {self.token}"} if token else {}
        headers.update(options.pop("headers", {}))
        return requests.request(method, f"{self.url}/{path}", headers=headers, timeout=60, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def execute(self, identifier, pool=None):
        prefix = f"sessionPools/{pool}/" if pool else ""
        return self.request("POST", f"{prefix}executions", params={"identifier": identifier}, json={"code": "1"})

    def command(self, *arguments, **options):
        """The command line, told where this service is."""
        environment = {**os.environ, "HEARTH_URL": self.url, "HEARTH_TOKEN": self.token, "HEARTH_HOME": self.folder}
        return subprocess.run([os.path.join(ROOT, "build", "hearth"), *arguments], env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              **options)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.stdout.close()
            assert self.process.wait(30) == 0, self.stderr()
            self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process.stdout.close()
        self.process = None


@pytest.fixture
def hearthd():
    """One for a test, not started. Its folder has a short path, for the sockets in it."""
    folder = tempfile.mkdtemp(prefix="hearth-")
    hearthd = Hearthd(folder)
    try:
        yield hearthd
    finally:
        if hearthd.process:
            hearthd.stop()
        shutil.rmtree(folder)
