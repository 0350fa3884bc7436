"""New sessions, by where their microVM comes from; and the same call in a session that is there."""

import time

from workloads import common
from workloads.pool import wait_for_stock


MISSES_MAX = 5


def series(settings, say, wanted, start):
    """New sessions, one after the other, by `start`: milliseconds, where it came from, and what else is said of it. Those
    that do not come from where they should are not counted."""
    misses = 0
    for run in common.budget(settings):
        while True:
            ms, source, more = start()
            time.sleep(settings["pause_s"])  # its microVM goes, and another may come
            if source == wanted:
                break
            misses += 1
            if misses > MISSES_MAX + run // 2:
                say(skipped=f"sessions start by '{source}' instead of '{wanted}'")
                return
        say(ms=round(ms, 3), **more)
    if misses:
        say(note=f"{misses} more starts were not counted: they did not come from '{wanted}'")


def of_code(settings, say, wanted):
    """Of the default pool, to the result of print(1)."""
    api = common.client(settings)

    def start():
        wait_for_stock(settings, api)
        identifier = common.new_identifier()
        ms, timing = common.timed_print(api, identifier)
        api.end(identifier)
        return ms, common.source_of(timing), {"phases": common.phases(timing, ms)}

    series(settings, say, wanted, start)


def cold_start(settings, say):
    of_code(settings, say, "boot")


def warm_start(settings, say):
    of_code(settings, say, "warm")


def restore_start(settings, say):
    of_code(settings, say, "restore")


def reused_execution(settings, say):
    api = common.client(settings)
    identifier = common.new_identifier()
    for _ in range(3):
        common.timed_print(api, identifier)
    for _ in common.budget(settings):
        time.sleep(settings["pause_s"])  # as before a new session: neither finds everything still warm from the last call
        ms, timing = common.timed_print(api, identifier)
        say(ms=round(ms, 3), phases=common.phases(timing, ms))
    api.end(identifier)
