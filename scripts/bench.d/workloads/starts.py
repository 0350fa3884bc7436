"""New sessions, by where their microVM comes from; and the same call in a session that is there."""

import time

from workloads import common
from workloads.pool import wait_for_stock


def series(settings, say, wanted):
    """New sessions, one after the other. Those that do not come from where they should are not counted."""
    api = common.client(settings)
    misses = 0
    for run in common.budget(settings):
        wait_for_stock(settings, api)
        while True:
            identifier = common.new_identifier()
            ms, timing = common.timed_print(api, identifier)
            api.end(identifier)
            time.sleep(settings["pause_s"])  # its microVM goes, and another may come
            if common.source_of(timing) == wanted:
                break
            misses += 1
            if misses > common.MISSES_MAX + run // 2:
                say(skipped=f"sessions start by '{common.source_of(timing)}' instead of '{wanted}'")
                return
        say(ms=round(ms, 3), phases=common.phases(timing, ms))
    if misses:
        say(note=f"{misses} more starts were not counted: they did not come from '{wanted}'")


def cold_start(settings, say):
    series(settings, say, "boot")


def warm_start(settings, say):
    series(settings, say, "warm")


def restore_start(settings, say):
    series(settings, say, "restore")


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
