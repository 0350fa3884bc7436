"""What memory a process holds for itself, and what it shares, from /proc/PID/smaps.

Private is what its end gives back (Private_Clean + Private_Dirty). A page of a file that only one process has mapped
counts as private and clean although others could share it, so clones are measured while others of theirs live.
"""

import re

HEADER = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)$")
PRIVATE = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")
SHARED = ("Shared_Clean", "Shared_Dirty", "Shared_Hugetlb")


class Mapping:
    def __init__(self, start, end, path):
        self.path, self.size_kib = path, (end - start) // 1024
        self.fields = {}

    def kib(self, names):
        return sum(self.fields.get(name, 0) for name in names)


def parse(text):
    """The mappings in the text of a smaps file."""
    mappings = []
    for line in text.splitlines():
        match = HEADER.match(line)
        if match:
            mappings.append(Mapping(int(match.group(1), 16), int(match.group(2), 16), match.group(3)))
            continue
        name, _, value = line.partition(":")
        words = value.split()
        if mappings and len(words) == 2 and words[1] == "kB":
            mappings[-1].fields[name] = int(words[0])
    return mappings


def is_guest(mapping, memory_mib):
    """A guest's RAM: as large as it, or a piece of the memory files that it was restored from."""
    name = mapping.path.removesuffix(" (deleted)").rsplit("/", 1)[-1]
    return mapping.size_kib >= memory_mib * 1024 or name == "memory" or name.endswith(".memory")


def account(text, memory_mib):
    """Of one hearth-vmm: KiB private and shared in all, and of the VMM alone, apart from the guest's RAM."""
    mappings = parse(text)
    guest = [mapping for mapping in mappings if is_guest(mapping, memory_mib)]
    if not guest:
        raise ValueError("no mapping looks like the guest's memory")
    own = [mapping for mapping in mappings if mapping not in guest]
    return {
        "private_kib": sum(mapping.kib(PRIVATE) for mapping in mappings),
        "private_dirty_kib": sum(mapping.kib(("Private_Dirty",)) for mapping in mappings),
        "shared_kib": sum(mapping.kib(SHARED) for mapping in mappings),
        "vmm_private_kib": sum(mapping.kib(PRIVATE) for mapping in own),
        "vmm_private_dirty_kib": sum(mapping.kib(("Private_Dirty",)) for mapping in own),
        "guest_private_kib": sum(mapping.kib(PRIVATE) for mapping in guest),
    }


def of_process(pid, memory_mib):
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        return account(file.read(), memory_mib)


def status_kib(pid, name):
    """A line of /proc/PID/status in KiB, such as VmRSS."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no {name}")


def available_kib():
    """What the machine could still give (MemAvailable)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
