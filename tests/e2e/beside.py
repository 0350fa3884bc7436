"""
What a test does beside hearthd, and often: signals to its processes, and counts of what microVMs have there. One process for
all of it, since to start one takes long in the lab, where it would take the time that the microVMs need.

On its own (`python3 beside.py`) it takes a line of JSON for each call, [name, argument...], and answers with one.
"""

import glob
import json
import os
import subprocess
import sys
import threading
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class Beside:
    def __init__(self, host):
        command = ("/usr/bin/python3", "-BIu", os.path.realpath(__file__))
        if host.is_lab:
            command = ("scripts/lab", "--", *command)
        self.lock = threading.Lock()
        self.process = subprocess.Popen(command, cwd=ROOT, env=host.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, *words):
        with self.lock:
            self.process.stdin.write(json.dumps(words) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        assert line, "the process beside hearthd is gone"
        return json.loads(line)

    def kill(self, pid, signal):
        """True if there was such a process."""
        return self.call("kill", pid, int(signal))

    def vmm_pid(self, runtime, vm_id):
        return int(self.call("read", f"{runtime}/{vm_id}/pid"))

    def passt_pid(self, vm_id):
        """That of the microVM's network, or None."""
        return self.call("passt_pid", vm_id)

    def count(self, runtime):
        """How many of each kind the microVMs of that runtime folder have, by the kind's name; None where there are no such."""
        return self.call("count", runtime)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


# The processes of a session's network: a session that has one has ended when they are counted.
NETWORK = ("hearth-netd", "passt")  # and what these run


# ---- there -----------------------------------------------------------------------------------------------------------

def kill(pid, signal):
    try:
        os.kill(pid, signal)
    except ProcessLookupError:
        return False
    return True


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # it has ended


def is_vmm_of(pid, runtime):
    words = read(f"/proc/{pid}/cmdline").split("\0")
    return os.path.basename(words[0]) == "hearth-vmm" and any(word.startswith(runtime + "/") for word in words)


def parent(pid):
    words = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(words[1]) if words else 0


def passt_pid(vm_id):
    """Its hearth-netd has started it, through one process more where the jail needs that."""
    for pid in os.listdir("/proc"):
        if not (pid.isdigit() and read(f"/proc/{pid}/comm").startswith("passt")):
            continue
        above = parent(pid), parent(parent(pid))
        if any(vm_id in read(f"/proc/{netd}/cmdline").split("\0") for netd in above):
            return int(pid)
    return None


def hierarchies(runtime, known={}):
    """The cgroups in which its hearthd has one for each microVM. To find them takes long: they are kept while they are there."""
    paths = known.setdefault(runtime, [])
    if not paths or not all(os.path.isdir(path) for path in paths):
        wanted = f"hearth-vms-{zlib.crc32(runtime.encode()):08x}"
        paths[:] = [os.path.join(parent, wanted) for parent, names, _ in os.walk("/sys/fs/cgroup") if wanted in names]
    return paths


def count(runtime):
    return {
        "processes": sum(is_vmm_of(pid, runtime) for pid in os.listdir("/proc") if pid.isdigit()),
        "folders": len(glob.glob(f"{runtime}/*/")),
        "cgroups": max((len(glob.glob(f"{path}/*/")) for path in hierarchies(runtime)), default=None),
        "mounts": read("/proc/mounts").count("hearth-vmm"),
        "networks": sum(read(f"/proc/{pid}/comm").startswith(NETWORK) for pid in os.listdir("/proc") if pid.isdigit()),
    }


def main():
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps({"kill": kill, "read": read, "passt_pid": passt_pid, "count": count}[name](*arguments)), flush=True)


if __name__ == "__main__":
    main()
