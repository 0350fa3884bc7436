"""Copies of a live session, and a suspended session that comes back."""

import time

import rest
from workloads import common

MARK = "mark = 41"


def order(api, name, **query):
    """POST session/<name>; None if this hearthd has no such route."""
    answer = api.request("POST", f"session/{name}", **query)
    if answer.status in (404, 405) and b"NoSessionFound" not in answer.body:
        return None
    if answer.status not in (200, 201):
        raise rest.RestError(f"{name}: {answer.status} {answer.body[:300].decode(errors='replace')}")
    return answer


def check_mark(api, identifier):
    body = api.execute(identifier, "mark + 1").json()
    if body["result"]["executionResult"] != 42:
        raise rest.RestError(f"the session lost its variables: {str(body)[:300]}")


def fork(settings, say):
    """From the order to the result of print(1) in the copy."""
    api = common.client(settings)
    parent = common.new_identifier()
    api.execute(parent, MARK)
    try:
        for run in common.budget(settings):
            child = common.new_identifier()
            began = time.monotonic()
            if order(api, "fork", identifier=parent, target=child) is None:
                say(skipped="this hearthd cannot fork sessions")
                return
            copied = time.monotonic()
            api.print_one(child)
            ended = time.monotonic()
            if run == 0:
                check_mark(api, child)
            api.end(child)
            time.sleep(settings["pause_s"])
            say(ms=round((ended - began) * 1000, 3), phases={"copy": round((copied - began) * 1000, 3),
                                                           "first result": round((ended - copied) * 1000, 3)})
    finally:
        api.end(parent)


def resume(settings, say):
    """From the POST in a suspended session to its result. Suspending is told beside it."""
    api = common.client(settings)
    identifier = common.new_identifier()
    api.execute(identifier, MARK)
    suspensions = []
    try:
        for run in common.budget(settings):
            began = time.monotonic()
            if order(api, "suspend", identifier=identifier) is None:
                say(skipped="this hearthd cannot suspend sessions")
                return
            suspensions.append((time.monotonic() - began) * 1000)
            time.sleep(settings["pause_s"])
            ms, timing = common.timed_print(api, identifier)
            if run == 0:
                check_mark(api, identifier)
            say(ms=round(ms, 3), phases=common.phases(timing, ms))
            if (run + 1) % 4 == 0:  # before its memory is a chain of too many snapshots
                api.end(identifier)
                identifier = common.new_identifier()
                api.execute(identifier, MARK)
    finally:
        api.end(identifier)
    say(series="suspend_ms", values=[round(ms, 3) for ms in suspensions])
