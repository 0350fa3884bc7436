"""The account of a process's memory, from smaps as the kernel writes it."""

import memory
import pytest

FIELDS = """Size:               {size} kB
Rss:                {rss} kB
Shared_Clean:       {shared} kB
Shared_Dirty:          0 kB
Private_Clean:      {clean} kB
Private_Dirty:      {dirty} kB
VmFlags: rd ex mr mw me
"""


def mapping(start, kib, path, shared=0, clean=0, dirty=0):
    line = f"{start:x}-{start + kib * 1024:x} rw-p 00000000 00:2b 1234                  {path}\n"
    return line + FIELDS.format(size=kib, rss=shared + clean + dirty, shared=shared, clean=clean, dirty=dirty)


BINARY = mapping(0x1000, 200, "/opt/build/hearth-vmm", shared=100, clean=40, dirty=8)
HEAP = mapping(0x100000, 1024, "[heap]", dirty=70)


def test_booted_guest_is_one_large_mapping():
    text = BINARY + HEAP + mapping(0x7f0000000000, 512 * 1024, "", dirty=4000)
    account = memory.account(text, 512)
    assert account == {"private_kib": 4118, "private_dirty_kib": 4078, "shared_kib": 100, "vmm_private_kib": 118,
                       "vmm_private_dirty_kib": 78, "guest_private_kib": 4000}


def test_clone_is_pieces_of_memory_files():
    text = (BINARY + HEAP + mapping(0x7f0000000000, 4096, "/run/t/abc/memory", shared=900, clean=3, dirty=5) +
            mapping(0x7f0010000000, 8, "/run/s/one/memory (deleted)", dirty=8) +
            mapping(0x7f0020000000, 400, "/usr/lib/memory.so.1/libc.so.6", clean=11))
    account = memory.account(text, 512)
    assert account["guest_private_kib"] == 16
    assert account["vmm_private_kib"] == 118 + 11
    assert account["shared_kib"] == 1000


def test_process_without_a_guest_is_an_error():
    with pytest.raises(ValueError):
        memory.account(BINARY + HEAP, 512)


def test_of_a_real_process():
    mappings = memory.parse(open("/proc/self/smaps", encoding="utf-8").read())
    assert len(mappings) > 5 and sum(m.kib(memory.PRIVATE) for m in mappings) > 1000
    assert any("python" in m.path for m in mappings)
