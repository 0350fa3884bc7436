"""What the two QEMU peers share: its microvm machine with Hearth's own kernel, image and agent.

The machine is stripped as far as QEMU's documentation tells how to, and what the kernel is told is what hearth-vmm tells it
(vmm/x86/boot.c), but for how devices are found: QEMU names them on the command line, Hearth in a device tree.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

import guest

PROGRAM = "qemu-system-x86_64"
MACHINE = "microvm,accel=kvm,acpi=off,pit=off,pic=on,rtc=off,isa-serial=off,x-option-roms=off,auto-kernel-cmdline=on"
KERNEL_ARGUMENTS = ("quiet loglevel=1 reboot=t panic=-1 no_timer_check clocksource=kvm-clock tsc=reliable "
                    "swiotlb=noforce random.trust_cpu=on random.trust_bootloader=on "
                    "root=/dev/vda rootfstype=erofs ro init=/sbin/init")
TIMEOUT_S = 90


def is_available(settings):
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed (scripts/setup bench)"
    for device in ("/dev/kvm", "/dev/vhost-vsock"):
        if not os.access(device, os.R_OK | os.W_OK):
            return f"{device} is missing or not open to this user (modprobe vhost_vsock)"
    for name in ("kernel", "image"):
        if not os.path.exists(settings[name]):
            return f"{settings[name]} is missing"
    return None


class Machine:
    """One QEMU process. `more` are further flags."""

    def __init__(self, settings, folder, *more):
        self.cid = 3 + secrets.randbelow(1 << 30)
        self.qmp_path = os.path.join(folder, f"qmp-{self.cid}")
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [PROGRAM, "-M", MACHINE, "-cpu", "host", "-m", str(settings["memory_mib"]), "-smp", "1", "-nodefaults",
             "-no-user-config", "-display", "none", "-no-reboot", "-kernel", settings["kernel"], "-append",
             KERNEL_ARGUMENTS, "-blockdev", f"driver=file,node-name=image,filename={settings['image']},read-only=on",
             "-device", "virtio-blk-device,drive=image", "-device", f"vhost-vsock-device,guest-cid={self.cid}",
             "-device", "virtio-rng-device", "-qmp", f"unix:{self.qmp_path},server=on,wait=off", *more],
            stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)

    def why(self):
        self.errors.seek(0)
        return self.errors.read()[-500:].decode(errors="replace").strip() or "QEMU says nothing"

    def end(self):
        self.process.kill()
        self.process.wait()
        self.errors.close()


class Qmp:
    """QEMU's control protocol: JSON lines."""

    def __init__(self, path):
        deadline = time.monotonic() + TIMEOUT_S
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
        self.stream = self.socket.makefile("r", encoding="utf-8")
        self.stream.readline()  # the greeting
        self.order("qmp_capabilities")

    def order(self, name, **arguments):
        self.socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        for line in self.stream:
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"QEMU refuses {name}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]
        raise RuntimeError("QEMU closed its control socket")

    def wait(self, event):
        for line in self.stream:
            if json.loads(line).get("event") == event:
                return
        raise RuntimeError(f"QEMU closed its control socket before {event}")

    def close(self):
        self.stream.close()
        self.socket.close()


def boot(settings, folder, ready):
    """Starts a machine; when its agent is ready, (machine, phases in ms). `ready` is a guest.ReadyListener."""
    began = time.monotonic()
    machine = Machine(settings, folder)
    try:
        agent_began_us, agent_listens_us = ready.wait()
    except guest.GuestError as error:
        why = machine.why()
        machine.end()
        raise RuntimeError(f"{error}; {why}") from error
    whole = (time.monotonic() - began) * 1000
    kernel, agent = agent_began_us / 1000, (agent_listens_us - agent_began_us) / 1000
    return machine, {"vmm": whole - kernel - agent, "kernel": kernel, "agent": agent}
