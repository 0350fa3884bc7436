"""hearth-vmm alone: each ending of a VM, orders, limits. The guests are those of tests/guests and the real kernel."""

import os
import subprocess

import pytest

from service import ROOT, STATE
from vmm_runner import GUESTS, KERNEL, Vmm

STOPPED, FAILURE, USAGE = 0, 1, 2
REBOOT, PANIC, TRIPLE_FAULT, KVM_ERROR, DEVICE_BROKEN, ORPHANED = 10, 11, 12, 13, 14, 15


@pytest.fixture(scope="module")
def vmm(host):
    subprocess.run(["make", "-s", "guests", "build/hearth-vmm"], cwd=ROOT, check=True)
    return Vmm(host)


@pytest.fixture
def disk():
    """Path of a disk of 64 KiB that begins with HEARTH."""
    path = os.path.join(STATE, "disk.img")
    with open(path, "wb") as file:
        file.write(b"HEARTH".ljust(65536 - 512, b"\0") + b"THE LAST SECTOR".ljust(512, b"\0"))
    yield path
    os.unlink(path)


@pytest.fixture(scope="module")
def spin(host):
    """Flags for a guest that never ends by itself, with its console in a file beside the VM."""
    return ["--kernel", f"{GUESTS}/spin", "--memory", "128", "--console", "/tmp/hearth-test-console"]


def events(said, kind):
    return [message for message in said if message["event"] == kind]


def test_probe_says_that_kvm_runs_guests(vmm):
    status, output, _ = vmm.command("build/hearth-vmm", "--probe")
    assert (status, output) == (0, "KVM can run guests\n")


@pytest.mark.parametrize("guest, status, why, console", [
    ("reset", REBOOT, "asked for a reset", "before the reset\n"),
    ("triple_fault", TRIPLE_FAULT, "triple fault", "before the fault\n"),
    ("panic", PANIC, "Kernel panic - not syncing: as the test wants it", "more text\n"),
    ("chain_loops", DEVICE_BROKEN, "rng: the driver broke queue 0: a chain that loops", ""),
    ("buffer_outside", DEVICE_BROKEN, "rng: the driver broke queue 0: a descriptor outside of memory", ""),
    ("ring_outside", DEVICE_BROKEN, "rng: the driver broke queue 0: rings outside of memory", ""),
    ("unknown", REBOOT, "asked for a reset", "nothing there\n"),
    ("random", REBOOT, "asked for a reset", "random\n"),
])
def test_each_ending_has_its_status_and_its_sentence(vmm, guest, status, why, console):
    result = vmm.guest(guest)
    assert result.status == status, result
    assert why in result.why()
    assert result.console.endswith(console)
    assert "guest failed" not in result.console


def test_a_short_vsock_packet_ends_the_vm(vmm):
    result = vmm.guest("vsock_short_packet", "--vsock", "/tmp/hearth-test-vsock")
    assert result.status == DEVICE_BROKEN
    assert "vsock: the driver broke queue 1: a packet shorter than its header" in result.why()


def test_a_disk_has_bounds_and_can_be_read_only(vmm, disk):
    result = vmm.guest("disk_bounds", "--disk", f"{disk},ro")
    assert (result.status, result.console) == (REBOOT, "disk: THE LAST\n"), result


def test_a_writable_disk_keeps_what_is_written(vmm, disk):
    result = vmm.guest("disk_write", "--disk", disk)
    assert (result.status, result.console) == (REBOOT, "written\n"), result
    with open(disk, "rb") as file:
        content = file.read()
    assert content[:6] == b"HEARTH" and len(content) == 65536
    assert content[512:538] == b"abcdefghijklmnopqrstuvwxyz"


def test_a_halted_guest_can_be_stopped(vmm):
    said, log = vmm.drive("boot sleep:1 stop", "--kernel", f"{GUESTS}/halt", "--memory", "128")
    assert events(said, "answer")[0]["status"] == 0
    assert events(said, "ended")[0]["status"] == STOPPED
    assert said[-1] == {"event": "exit", "status": STOPPED}
    assert "stopped by order" in log


def test_a_spinning_guest_can_be_stopped_by_order_or_signal(vmm, spin):
    for action in "stop", "term":
        said, _ = vmm.drive(f"boot sleep:0.5 {action}", *spin, "--vcpus", "2")
        assert events(said, "ended")[0]["status"] == STOPPED
        assert said[-1]["status"] == STOPPED


def test_without_hearthd_the_vm_ends_after_a_while(vmm, spin):
    said, log = vmm.drive("boot sleep:0.5 close", *spin, "--orphan-timeout", "1")
    assert said[-1]["status"] == ORPHANED
    assert "nobody has held the control socket" in log


def test_a_vm_that_waits_for_its_order_ends_with_hearthd_too(vmm, spin):
    said, _ = vmm.drive("close", *spin, "--orphan-timeout", "1")
    assert said[-1]["status"] == ORPHANED


def test_the_next_hearthd_takes_the_vm_over(vmm, spin):
    said, _ = vmm.drive("boot close sleep:1 connect query sleep:3 query stop", *spin, "--orphan-timeout", "2")
    answers = events(said, "answer")
    assert [answer["status"] for answer in answers] == [0, 0, 0]
    assert answers[1]["text"].startswith("state=running connections=0 vcpus=1 memory_mib=128 ")
    assert said[-1]["status"] == STOPPED


def test_a_paused_vm_does_nothing_until_it_is_resumed(vmm, spin):
    said, _ = vmm.drive("boot sleep:2 pause console cpu sleep:2 console cpu pause resume sleep:3 console resume stop", *spin)
    assert [answer["status"] for answer in events(said, "answer")] == [0] * 5
    sizes = [message["bytes"] for message in events(said, "console")]
    ticks = [message["ticks"] for message in events(said, "cpu")]
    assert sizes[0] == sizes[1] < sizes[2]
    assert ticks[1] - ticks[0] <= 2
    assert said[-1]["status"] == STOPPED


def test_orders_out_of_place_are_refused_with_a_reason(vmm, spin):
    said, _ = vmm.drive("pause resume order:99 short boot boot stop", *spin)
    answers = events(said, "answer")
    assert [answer["status"] for answer in answers] == [22, 22, 95, 74, 0, 114]
    assert "not booted" in answers[0]["text"]
    assert "no order 99" in answers[2]["text"]
    assert "booted before" in answers[5]["text"]
    assert [answer["sequence"] for answer in answers] == [1, 2, 3, 0, 5, 6]


def test_an_ending_is_told_on_the_control_socket(vmm):
    said, _ = vmm.drive("boot wait", "--kernel", f"{GUESTS}/chain_loops", "--memory", "128")
    assert events(said, "ended")[0]["status"] == DEVICE_BROKEN
    assert "a chain that loops" in events(said, "ended")[0]["text"]
    assert said[-1]["status"] == DEVICE_BROKEN


def test_what_the_host_lacks_is_told_before_any_order(vmm):
    said, _ = vmm.drive("wait", "--kernel", "/no/such/kernel")
    assert events(said, "ended")[0]["status"] == FAILURE
    assert "cannot open kernel /no/such/kernel" in events(said, "ended")[0]["text"]
    assert said[-1]["status"] == FAILURE


@pytest.mark.parametrize("flags, status, text", [
    (["--memory", "64", "--kernel", "x"], USAGE, "--memory 64: a number from 128 to 16384"),
    (["--vcpus", "17", "--kernel", "x"], USAGE, "--vcpus 17: a number from 1 to 16"),
    (["--frobnicate"], USAGE, "--frobnicate"),
    ([], USAGE, "--kernel FILE is needed"),
    (["--kernel", "Makefile"], FAILURE, "not an ELF file"),
    (["--kernel", "build/hearth-vmm"], FAILURE, "not a linked kernel"),
    (["--kernel", f"{GUESTS}/halt", "--disk", "/no/such/disk"], FAILURE, "cannot open disk /no/such/disk"),
    (["--kernel", f"{GUESTS}/halt", "--vsock", "/no/such/directory/v"], FAILURE, "cannot listen at /no/such/directory/v"),
    (["--kernel", f"{GUESTS}/halt", "--net", "0"], FAILURE, "--net 0: not an inherited socket of type SOCK_SEQPACKET"),
    (["--kernel", f"{GUESTS}/halt", "--cmdline", "x" * 2048], FAILURE, "command line is too long"),
])
def test_mistakes_are_explained(vmm, flags, status, text):
    result = vmm.run(*flags)
    assert result.status == status, result
    assert text in result.log


def test_the_kernel_without_a_root_panics_and_says_so(vmm):
    result = vmm.run("--kernel", KERNEL, "--memory", "128", timeout=120)
    assert result.status == PANIC
    assert "Unable to mount root fs" in result.why()


def test_the_kernel_sees_all_processors_and_memory_above_4_gib(vmm):
    result = vmm.run("--kernel", KERNEL, "--memory", "4096", "--vcpus", "4", "--console", "-", "--cmdline", "loglevel=7", timeout=240)
    assert result.status == PANIC
    assert "smp: Brought up 1 node, 4 CPUs" in result.console
    assert "[mem 0x0000000100000000-0x000000013fffffff] usable" in result.console
    memory = [line for line in result.console.splitlines() if "K available" in line]
    assert int(memory[0].split("Memory: ")[1].split("K/")[0]) > 3_900_000


def test_the_vmm_needs_little_memory_of_its_own(vmm, spin, disk):
    said, _ = vmm.drive("boot sleep:1 memory stop", *spin, "--disk", f"{disk},ro", "--vsock", "/tmp/hearth-test-vsock")
    assert 0 < events(said, "memory")[0]["own_kib"] < 3072
