"""
Guests that do what no driver may (tests/hostile), against hearth-vmm as it is shipped and against one with ASan and UBSan.
Each ends in order, and a session of somebody else goes on meanwhile.
"""

import os
import subprocess

import pytest

from service import ROOT
from vmm_runner import Vmm

REBOOT, DEVICE_BROKEN = 10, 14
SHIPPED, SANITIZED = "build/hearth-vmm", "build/hearth-vmm-sanitized"
VSOCK = "/tmp/hearth-test-hostile-vsock"
DISK = "build/images/code-interpreter.erofs"
WITH_NETWORK = "with a network"  # instead of a flag

SWEEPS = [
    ("registers", "all registers"),
    ("ports", "all ports"),
    ("processor", "all of the processor"),
    ("queues", "a queue after all"),
    ("racing", "raced"),
]

# What is wrong with each variant of tests/hostile/descriptors.c, as the device says it; None: it may be used.
CHAINS = {
    0: "a chain that loops", 1: "a chain that loops", 2: "", 3: "", 4: "outside of memory", 5: "outside of memory",
    6: "outside of memory", 7: "outside of memory", 8: "outside of memory", 9: None, 10: None, 11: "", 12: "", 13: None,
    14: "", 15: "",
}


@pytest.fixture(scope="module")
def vmm(host):
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "hostile", "build/hearth-vmm"], cwd=ROOT, check=True)
    return Vmm(host)


@pytest.fixture(autouse=True)
def a_neighbour_goes_on(session):
    """Beside every one of them, and after it."""
    assert session.python("n = globals().get('n', 0) + 1\nn > 0").result is True
    yield
    assert session.python("n > 0").result is True


def run(vmm, program, guest, *flags):
    jail = ("--jail", "off") if program == SANITIZED else ()
    flags = ["--kernel", f"build/hostile/{guest}", "--memory", "128", "--console", "-", *jail, *flags]
    if WITH_NETWORK in flags:
        flags.remove(WITH_NETWORK)
        result = vmm.run("tests/e2e/with_network.py", program, *flags, timeout=100, program="/usr/bin/python3")
    else:
        result = vmm.run(*flags, timeout=100, program=program)
    assert "Sanitizer" not in result.log and "runtime error" not in result.log, result.log
    assert "guest failed" not in result.console, result
    assert result.status in (REBOOT, DEVICE_BROKEN), result
    return result


@pytest.mark.parametrize("program", [SHIPPED, SANITIZED])
@pytest.mark.parametrize("guest, last", SWEEPS)
def test_sweeps(vmm, program, guest, last):
    result = run(vmm, program, guest, "--vsock", VSOCK, "--disk", f"{DISK},ro", WITH_NETWORK)
    if result.status == REBOOT:
        assert result.console.endswith(f"{last}\n"), result
    else:
        assert guest in ("registers", "racing") and "the driver broke queue" in result.why(), result


@pytest.mark.parametrize("program", [SHIPPED, SANITIZED])
def test_streams_without_manners(vmm, program):
    result = run(vmm, program, "streams", "--vsock", VSOCK)
    assert result.console.endswith("all streams\n")
    assert "vsock: the driver broke queue 1: a packet longer than its descriptors or than 64 KiB" in result.why()


@pytest.mark.parametrize("program", [SHIPPED, SANITIZED])
def test_frames_without_manners(vmm, program):
    result = run(vmm, program, "frames", WITH_NETWORK)
    assert "all frames\n" in result.console, result
    assert "net: dropped a frame of 13 bytes from the guest" in result.log
    assert "net: dropped a frame of 65535 bytes from the guest" in result.log
    if result.status == REBOOT:
        assert result.console.endswith("raced\n"), result
    else:
        assert "net: the driver broke queue 1: " in result.why()


@pytest.mark.parametrize("variant", CHAINS)
@pytest.mark.parametrize("device, queue, flags", [
    ("RNG", 0, ()), ("BLK", 0, ("--disk", f"{DISK},ro")), ("VSOCK", 0, ("--vsock", VSOCK)), ("VSOCK", 1, ("--vsock", VSOCK)),
    ("NET", 0, (WITH_NETWORK,)), ("NET", 1, (WITH_NETWORK,)),
])
def test_forbidden_chains(vmm, device, queue, flags, variant):
    result = run(vmm, SANITIZED, f"descriptors-{device}-{queue}-{variant}", *flags)
    if device == "VSOCK" and queue == 0:
        return  # buffers for what the host sends: it sends nothing here
    if CHAINS[variant] is not None or device != "RNG":
        assert result.status == DEVICE_BROKEN, result
        assert f"the driver broke queue {queue}: " in result.why()
        if device == "RNG":
            assert CHAINS[variant] in result.why()
