"""What clones share is read-only: one that was taken over changes nothing that its siblings, or later clones, see."""

import errno
import hashlib
import os

import pytest

from taken_vmm import TakenVmm

BOOT, PAUSE, SNAPSHOT = 1, 2, 5
PROT_READ, PROT_WRITE, MAP_SHARED = 1, 2, 1


@pytest.fixture
def snapshot(tmp_path, can_be_jailed):
    """(state file, memory file) of a guest."""
    os.chmod(tmp_path, 0o700)  # root's, as hearthd's template folder is
    paths = [str(tmp_path / "state"), str(tmp_path / "memory")]
    vmm = TakenVmm("hearth-vmm-compromised")
    try:
        vmm.order(BOOT)
        vmm.order(PAUSE)
        fds = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in paths]
        vmm.order(SNAPSHOT, fds)
        for fd in fds:
            os.close(fd)
    finally:
        vmm.close()
    return paths


def content(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def guest_memory(vmm, address, size=64):
    with open(f"/proc/{vmm.pid()}/mem", "rb") as file:
        file.seek(address)
        return file.read(size)


def test_a_clone_changes_its_own_memory_alone(take, snapshot):
    state, memory = snapshot
    machine = ("--restore", state, "--memory-file", memory)
    before = content(memory), content(state)
    taken, sibling = take(machine=machine), take(machine=machine)
    mappings = taken.mappings(memory)  # of what the guest has written: holes are not mapped
    assert mappings and all(rights == "rw-p" for _, _, rights in mappings)
    start, sibling_start = mappings[0][0], sibling.mappings(memory)[0][0]
    same = guest_memory(sibling, sibling_start)

    assert taken.call("getrandom", start, 64, 0) == 64
    assert guest_memory(taken, start) != same
    assert guest_memory(sibling, sibling_start) == same
    later = take(machine=machine)
    assert guest_memory(later, later.mappings(memory)[0][0]) == same
    assert (content(memory), content(state)) == before


def test_a_clone_holds_no_descriptor_of_what_is_shared(take, snapshot):
    state, memory = snapshot
    taken = take(is_filtered=False, machine=("--restore", state, "--memory-file", memory))
    folder = f"/proc/{taken.pid()}/fd"
    held = {os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)}
    assert not held & {state, memory}
    assert taken.call("openat", -100, memory.encode(), os.O_RDWR, 0) == -errno.ENOENT
    # Not even a file that it may read: each has one user, and the jail shows none.
    assert all(rights[3] == "p" for _, _, rights in taken.mappings(memory))
