"""What the workloads share: sessions of their own, the parts of a start, and hearthd's processes."""

import os
import secrets
import socket
import subprocess
import time

import measure
import rest

# The parts of getting a machine, as hearthd tells them in x-hearth-timing (docs/api.md); `allocation` holds them all.
MACHINE_PHASES = ("vmm", "kernel", "agent", "adopt")


def client(settings, pool=""):
    return rest.Client(settings["url"], settings["token"], pool)


def new_identifier():
    return f"bench-{secrets.token_hex(8)}"


def budget(settings):
    return measure.Budget(settings["runs"], settings["seconds"], settings["least"])


def phases(timing, total_ms):
    """The parts of a start, one after the other. `other` is what they leave of its total: HTTP and the client itself."""
    parts = {name: timing[name] for name in MACHINE_PHASES if name in timing}
    parts["allocation"] = timing.get("allocation", 0.0) - sum(parts.values())
    parts["resume"] = timing.get("resume", 0.0)
    parts["first byte"] = timing.get("first_byte", 0.0) - parts["resume"] - timing.get("interpreter", 0.0)
    parts["interpreter"] = timing.get("interpreter", 0.0)
    parts["execution"] = timing.get("execution", 0.0)
    parts["other"] = total_ms - sum(max(0.0, ms) for ms in parts.values())
    return {name: round(ms, 3) for name, ms in parts.items() if ms > 0}


def timed_print(api, identifier):
    """From the POST to the result of print(1): (milliseconds, x-hearth-timing)."""
    began = time.monotonic()
    answer = api.print_one(identifier)
    return (time.monotonic() - began) * 1000, answer.timing()


def source_of(timing):
    """warm, restore or boot. A hearthd that has no templates does not say: it boots."""
    return timing.get("source", "boot")


# ---- programs --------------------------------------------------------------------------------------------------------

def authorization(settings):
    """For curl and wrk."""
    return "--header", f"Authorization: Bearer {settings['token']}"


def curl(*arguments):
    """Seconds that it took, and what it wrote; it streams both ways with little work of its own."""
    began = time.monotonic()
    output = subprocess.run(["curl", "--silent", "--show-error", "--fail", *arguments], check=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, text=True).stdout
    return time.monotonic() - began, output


def wait_for_port(port, process, timeout):
    """Until somebody listens there; OSError if the process ends before, or nobody does in time."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


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
