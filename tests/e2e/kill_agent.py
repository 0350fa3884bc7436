#!/usr/bin/python3
"""
Kills the agent of a microVM: usage: kill_agent.py PID, of its hearth-vmm.

Nothing in a guest can, since the agent is process 1 there, and from outside no process of a guest is to be seen. So its code
in the guest's memory becomes instructions that no processor runs: it ends as soon as it has something to do.
"""

import contextlib
import os
import struct
import sys

AGENT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../build/hearth-agent")
PAGE = 4096
PT_LOAD, PF_X = 1, 1
UD2 = b"\x0f\x0b"


def pages_of_code():
    """As the guest's page cache holds them: those of the file that are code from their first byte to their last."""
    with open(AGENT, "rb") as file:
        elf = file.read()
    [at] = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    pages = set()
    for header in range(at, at + size * count, size):
        kind, flags, offset = struct.unpack_from("<IIQ", elf, header)
        [length] = struct.unpack_from("<Q", elf, header + 32)
        if kind == PT_LOAD and flags & PF_X:
            pages |= {elf[page:page + PAGE] for page in range(offset, offset + length - PAGE + 1, PAGE)}
    return pages


def mappings(pid):
    with open(f"/proc/{pid}/maps") as file:
        for line in file:
            ends, rights = line.split()[:2]
            if rights == "rw-p":
                yield (int(end, 16) for end in ends.split("-"))


def find(memory, pid):
    """The addresses of those pages in an open /proc/PID/mem."""
    pages = pages_of_code()
    beginnings = {page[:16] for page in pages}  # most pages need no closer look
    for start, end in mappings(pid):
        for piece in range(start, end, 256 * PAGE):
            data = os.pread(memory.fileno(), min(256 * PAGE, end - piece), piece)
            for at in range(0, len(data), PAGE):
                if data[at:at + 16] in beginnings and data[at:at + PAGE] in pages:
                    yield piece + at


def main(pid):
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        found = list(find(memory, pid))
        print(f"{len(found)} pages")
        with contextlib.suppress(OSError):  # it has ended already
            for address in found:
                os.pwrite(memory.fileno(), UD2 * (PAGE // len(UD2)), address)
    return not found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
