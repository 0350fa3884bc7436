"""QEMU's microvm machine, cold: from the process's start to print(1), with the same kernel, image and agent."""

import shutil
import tempfile
import time

import guest
from peers import qemu

TITLE = "QEMU -M microvm, cold boot, same kernel, image and agent"
RUNS, SECONDS = 20, 75

is_available = qemu.is_available


class Peer:
    def __init__(self, settings):
        self.settings = settings

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="hearth-bench-qemu-")
        self.ready = guest.ReadyListener(qemu.TIMEOUT_S)
        return self

    def __exit__(self, *_):
        self.ready.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self):
        began = time.monotonic()
        machine, phases = qemu.boot(self.settings, self.folder, self.ready)
        try:
            asked = time.monotonic()
            with guest.connect(machine.cid, qemu.TIMEOUT_S) as stream:
                waited = guest.print_one(stream)
            ended = time.monotonic()
        finally:
            machine.end()
        phases["interpreter"] = waited
        phases["execution"] = (ended - asked) * 1000 - waited
        return (ended - began) * 1000, {name: round(ms, 3) for name, ms in phases.items()}
