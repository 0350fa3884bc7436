"""What a machine carries: many sessions alive at once, many ready clones, and thousands of sessions one after the other.

None of them is part of an ordinary run (scripts/bench --scale).
"""

import threading
import time

import measure
import memory
import rest
from workloads import common, pool

REPORT_S = 20
CLIENTS = 2


def swapped_kib():
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return fields["SwapTotal"] - fields["SwapFree"]


def oom_kills():
    with open("/proc/vmstat", encoding="ascii") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)


def hearthd(settings):
    pid = settings["hearthd_pid"]
    return {"rss_kib": memory.status_kib(pid, "VmRSS"), "descriptors": common.descriptors(pid)}


def sessions(settings, say):
    """`count` sessions, each of which has run code; then all are asked again, and must know what they were told."""
    api, count = common.client(settings), settings["count"]
    before, kills = memory.available_kib(), oom_kills()
    began = time.monotonic()
    identifiers = []
    for index in range(count):
        identifier = common.new_identifier()
        api.execute(identifier, f"number = {index}")
        identifiers.append(identifier)
        if (index + 1) % 20 == 0:
            say(point={"sessions": index + 1, "machine_kib": before - memory.available_kib(),
                       "seconds": round(time.monotonic() - began, 1)})
    answered, latencies = 0, []
    for index, identifier in enumerate(identifiers):
        asked = time.monotonic()
        answer = api.execute(identifier, "number")
        latencies.append((time.monotonic() - asked) * 1000)
        answered += answer.json()["result"]["executionResult"] == index
    say(result={"sessions": count, "answered": answered, "seconds": round(time.monotonic() - began, 1),
                "answer_ms": measure.summary(latencies), "machine_kib": before - memory.available_kib(),
                "swapped_kib": swapped_kib(), "oom_kills": oom_kills() - kills, "hearthd": hearthd(settings)})
    for identifier in identifiers:
        api.end(identifier)


def ready(settings, say):
    """A pool of `count` ready clones: the time until they are there, and the memory they hold."""
    api, name, count = common.client(settings), "bench", settings["count"]
    before, began, said = memory.available_kib(), time.monotonic(), 0.0
    if not pool.put(api, name, count, count, settings["memory_mib"]):
        say(skipped="this hearthd has no pools")
        return
    while (counts := pool.counts(api, name)).get("ready", 0) < count:
        elapsed = time.monotonic() - began
        if elapsed > settings["seconds"]:
            break
        if elapsed - said > REPORT_S:
            said = elapsed
            say(point={"ready": counts.get("ready", 0), "machine_kib": before - memory.available_kib(),
                       "seconds": round(elapsed, 1)})
        time.sleep(0.5)
    held = [memory.of_process(pid, settings["memory_mib"])["private_kib"] for pid in common.vmm_pids().values()]
    say(result={"wanted": count, "ready": counts.get("ready", 0), "seconds": round(time.monotonic() - began, 1),
                "machine_kib": before - memory.available_kib(), "private_kib": measure.summary(held) if held else {},
                "swapped_kib": swapped_kib(), "oom_kills": oom_kills(), "hearthd": hearthd(settings)})
    pool.delete(api, name)


class Churn:
    """Clients that start, use and end sessions until `count` are done."""

    def __init__(self, settings):
        self.settings, self.left = settings, settings["count"]
        self.done, self.lost = 0, []
        self.lock = threading.Lock()

    def take(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def work(self):
        api = common.client(self.settings)
        while self.take():
            identifier = common.new_identifier()
            try:
                api.print_one(identifier)
                api.end(identifier)
                with self.lock:
                    self.done += 1
            except (rest.RestError, OSError) as error:
                with self.lock:
                    self.lost.append(str(error)[:300])


def churn(settings, say):
    """`count` sessions started, used and ended; hearthd's memory and descriptors after a tenth of them and at the end."""
    warm_up = Churn({**settings, "count": max(1, settings["count"] // 10)})
    run_clients(warm_up, say)
    time.sleep(3)
    before = hearthd(settings)
    churn_run = Churn({**settings, "count": settings["count"] - settings["count"] // 10})
    began = time.monotonic()
    run_clients(churn_run, say)
    seconds = time.monotonic() - began
    time.sleep(3)
    lost = warm_up.lost + churn_run.lost
    say(result={"sessions": settings["count"], "lost": len(lost), "first_loss": lost[0] if lost else "",
                "sessions_per_second": measure.per_second(churn_run.done, seconds), "hearthd_before": before,
                "hearthd_after": hearthd(settings), "vmms_left": len(common.vmm_pids())})


def run_clients(churn_run, say):
    threads = [threading.Thread(target=churn_run.work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(REPORT_S)
        say(point={"sessions": churn_run.done, "lost": len(churn_run.lost)})
    for thread in threads:
        thread.join()
