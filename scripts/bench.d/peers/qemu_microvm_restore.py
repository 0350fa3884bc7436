"""QEMU's microvm machine from its own snapshot: saved once by `migrate` to a file, restored by `-incoming` from it."""

import os
import shutil
import tempfile
import time

import guest
from peers import qemu

TITLE = "QEMU -M microvm, from its own snapshot (-incoming file), same guest"
RUNS, SECONDS = 20, 40


def is_available(settings):
    return qemu.is_available(settings)


class Peer:
    def __init__(self, settings):
        self.settings = settings

    def __enter__(self):
        """The snapshot is taken when print(1) ran once, so that the interpreter is warm as in Hearth's template."""
        self.folder = tempfile.mkdtemp(prefix="hearth-bench-qemu-")
        self.file = os.path.join(self.folder, "snapshot")
        try:
            self.save()
        except BaseException:
            self.__exit__()
            raise
        return self

    def save(self):
        ready = guest.ReadyListener(qemu.TIMEOUT_S)
        try:
            machine, _ = qemu.boot(self.settings, self.folder, ready)
        finally:
            ready.close()
        try:
            with guest.connect(machine.cid, qemu.TIMEOUT_S) as stream:
                guest.print_one(stream)
            control = qemu.Qmp(machine.qmp_path)
            control.order("stop")
            control.order("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
            control.order("migrate", uri=f"file:{self.file}")
            deadline = time.monotonic() + qemu.TIMEOUT_S
            while (status := control.order("query-migrate").get("status")) != "completed":
                if status in ("failed", "cancelled") or time.monotonic() > deadline:
                    raise RuntimeError(f"QEMU did not save its state: {status}")
                time.sleep(0.05)
            control.close()
        finally:
            machine.end()

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self):
        began = time.monotonic()
        machine = qemu.Machine(self.settings, self.folder, "-incoming", f"file:{self.file}")
        try:
            control = qemu.Qmp(machine.qmp_path)
            deadline = began + qemu.TIMEOUT_S
            while control.order("query-status")["status"] == "inmigrate":
                if machine.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"QEMU did not restore its state: {machine.why()}")
                time.sleep(0.002)
            control.order("cont")  # it was saved while it stood still
            running = time.monotonic()
            with guest.connect(machine.cid, qemu.TIMEOUT_S) as stream:
                guest.print_one(stream)
            ended = time.monotonic()
            control.close()
        finally:
            machine.end()
        return (ended - began) * 1000, {"restore": round((running - began) * 1000, 3),
                                        "execution": round((ended - running) * 1000, 3)}
