"""What the workloads share: sessions of their own, the parts of a start, and hearthd's processes."""

import os
import secrets
import time

import measure
import rest

# The parts of a start as hearthd tells them (docs/api.md), in the order in which they happen.
PHASES = ("allocation", "resume", "restore", "adoption", "first_byte", "vmm", "kernel", "agent", "interpreter", "execution")
MISSES_MAX = 5


def client(settings):
    return rest.Client(settings["url"], settings["token"])


def new_identifier():
    return f"bench-{secrets.token_hex(8)}"


def budget(settings):
    return measure.Budget(settings["runs"], settings["seconds"], settings["least"])


def phases(timing, total_ms):
    """The known parts of a start and, as `other`, what of its total they leave: connecting, HTTP, queueing, the client."""
    parts = {name: timing[name] for name in PHASES if isinstance(timing.get(name), float)}
    parts["other"] = round(max(0.0, total_ms - sum(parts.values())), 3)
    return parts


def timed_print(api, identifier, pool):
    """From the POST to the result of print(1): (milliseconds, x-hearth-timing)."""
    began = time.monotonic()
    answer = api.print_one(identifier, pool)
    return (time.monotonic() - began) * 1000, answer.timing()


def source_of(timing):
    """warm, restore or boot. A hearthd that has no templates does not say: it boots."""
    return timing.get("source", "boot")


# ---- processes -------------------------------------------------------------------------------------------------------

def vmm_pids():
    """The hearth-vmm processes beside us, by the identifier of their VM."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == "hearth-vmm" and "--id" in words[:-1]:
            found[words[words.index("--id") + 1]] = int(entry)
    return found


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
