"""What a restore costs in calls, exits and page faults, which don't depend on the machine's speed, with hearth-vmm alone.

Clones of hearthd's own template are counted from their process's start to the first byte that the agent sends, and timed on
to the result of print(1). tests/e2e/microvm.py plays hearthd's part.
"""

import os
import sys
import time

import measure
from workloads import common

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
COUNTS = {"ioctls": "restore_ioctls", "exits": "restore_kvm_exits", "faults": "restore_page_faults"}


def load_driver():
    """Only this workload needs it."""
    sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
    os.chdir(ROOT)
    import microvm
    return microvm


def has_network(template):
    """Then it wants a socket to a hearth-netd, too."""
    with open(os.path.join(template, "inputs"), encoding="utf-8") as file:
        return "network=1" in file.read().split()


def find_template(folder):
    """The flags that restore hearthd's newest template: its own, not one of a user or of a session, without a network, and
    one whose working set is recorded, if there is one (a hearthd that ends while it records leaves the template without)."""
    found = [entry.path for entry in os.scandir(folder)
             if entry.is_dir() and "-" not in entry.name and os.path.exists(os.path.join(entry.path, "state"))
             and not has_network(entry.path)]
    if not found:
        raise RuntimeError(f"there is no template in {folder}")
    newest = max(found, key=lambda path: (os.path.exists(os.path.join(path, "working-set")), os.path.getmtime(path)))
    working_set = os.path.join(newest, "working-set")
    return (os.path.join(newest, "state"), os.path.join(newest, "memory"),
            ("--working-set", working_set) if os.path.exists(working_set) else ())


def clone(driver, template):
    """One clone from nothing to print(1): (phases in ms, counts until the agent's first byte)."""
    state, memory_file, flags = template
    times = [time.monotonic()]
    with driver.Vm.restore(state, memory_file, resume=False, flags=flags) as vm:
        vm.query()  # it answers when it is restored
        times.append(time.monotonic())
        vm.do(driver.RESUME)
        guest = vm.guest()
        guest.adopt()
        times.append(time.monotonic())
        vm.do(driver.PAUSE)  # so that what is counted does not grow while it is asked for
        counts = vm.query()
        vm.do(driver.RESUME)
        times_of_run = [time.monotonic()]
        if guest.run("print(1)").stdout != b"1\n":
            raise RuntimeError("print(1) printed something else")
        times_of_run.append(time.monotonic())
        guest.close()
    phases = {"process and restore": times[1] - times[0], "resume to first byte": times[2] - times[1],
              "first result": times_of_run[1] - times_of_run[0]}
    return {name: round(seconds * 1000, 3) for name, seconds in phases.items()}, counts


def restore_counts(settings, say):
    driver = load_driver()
    series = {name: [] for name in COUNTS}
    template = find_template(settings["template_dir"])
    clone(driver, template)  # the first one reads the files
    for _ in common.budget(settings):
        phases, counts = clone(driver, template)
        for name, values in series.items():
            values.append(int(counts[name]))
        say(ms=round(sum(phases.values()), 3), phases=phases)
    for name, figure in COUNTS.items():
        say(number=figure, value=round(measure.median(series[name])))
