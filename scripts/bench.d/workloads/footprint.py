"""The memory of ready and of used sessions, private and shared, from /proc/PID/smaps of their VMMs."""

import time

import measure
import memory
from workloads import common
from workloads.pool import wait_for_stock

SETTLE_S = 2


def accounts(pids, memory_mib):
    return [memory.of_process(pid, memory_mib) for pid in pids]


def middle(all_accounts, name):
    return round(measure.median([account[name] for account in all_accounts]))


def use_sessions(api, n):
    """Starts sessions and runs print(1) in each: their identifiers, and the identifiers of their VMs if hearthd tells."""
    sessions = {}
    for _ in range(n):
        identifier = common.new_identifier()
        _, timing = common.timed_print(api, identifier)
        info = api.request("GET", "session", identifier=identifier)
        vm_id = info.json().get("vmId") if info.status == 200 else None
        sessions[identifier] = (vm_id, common.source_of(timing))
    return sessions


def used_pids(sessions, before):
    """The processes behind sessions: by their VM's identifier or, of a hearthd that tells none, those that are new."""
    now = common.vmm_pids()
    named = [now[vm_id] for vm_id, _ in sessions.values() if vm_id in now]
    return named or [pid for vm_id, pid in now.items() if vm_id not in before]


def footprint(settings, say):
    """Idle clones are those of the stock. A process's private part of what clones share shrinks with their number, so
    there are several of each kind while they are measured, and the median is told."""
    api = common.client(settings)
    memory_mib = settings["memory_mib"]
    if not wait_for_stock(settings, api):
        say(note="the stock was not full when memory was measured")
    time.sleep(SETTLE_S)
    before = common.vmm_pids()
    if before:
        idle = accounts(before.values(), memory_mib)
        say(number="idle_clone_private_kib", value=middle(idle, "private_kib"))
        say(number="idle_clone_private_dirty_kib", value=middle(idle, "private_dirty_kib"))
        say(number="idle_clone_shared_kib", value=middle(idle, "shared_kib"))
        say(number="vmm_private_kib", value=middle(idle, "vmm_private_kib"))
        say(note=f"an idle clone is the median of {len(idle)} ready ones")
    else:
        say(note="no ready clone: this hearthd keeps no stock")
    growth(api, settings, say, before)


def growth(api, settings, say, before):
    """Adds used sessions one by one, and tells what they hold in all: memory by the number of sessions."""
    memory_mib = settings["memory_mib"]
    sessions, available = {}, memory.available_kib()
    for _ in range(settings["clones"]):
        sessions.update(use_sessions(api, 1))
        wait_for_stock(settings, api)
        time.sleep(SETTLE_S / 2)
        held = accounts(used_pids(sessions, before), memory_mib)
        say(point={"sessions": len(sessions), "private_kib": sum(account["private_kib"] for account in held),
                   "shared_kib": max(account["shared_kib"] for account in held),
                   "machine_kib": available - memory.available_kib()})
    used = accounts(used_pids(sessions, before), memory_mib)
    from_template = all(source != "boot" for _, source in sessions.values())
    kind = "used_clone" if from_template else "used_booted"
    for name in ("private_kib", "private_dirty_kib", "shared_kib"):
        say(number=f"{kind}_{name}", value=middle(used, name))
    if not from_template or not before:
        say(number="vmm_private_kib", value=middle(used, "vmm_private_kib"))
    say(number="hearthd_rss_kib", value=memory.status_kib(settings["hearthd_pid"], "VmRSS"))
    for identifier in sessions:
        api.end(identifier)
