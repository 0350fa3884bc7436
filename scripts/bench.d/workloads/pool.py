"""Pools: the stock and the template of the one that is measured, and making others."""

import time

import rest
from workloads import common

STOCK_TIMEOUT_S = 120
TEMPLATE_TIMEOUT_S = 180
DEFAULT = "default"  # the pool that hearthd's own settings describe


def put_properties(api, name, ready, most, **properties):
    """Makes a pool or changes it, with `properties` beside what all pools here have; the answer."""
    return api.request("PUT", f"sessionPools/{name}", {"properties": {
        "poolManagementType": "Dynamic",
        "dynamicPoolConfiguration": {"lifecycleConfiguration": {"lifecycleType": "Timed", "cooldownPeriodInSeconds": 3600}},
        "scaleConfiguration": {"maxConcurrentSessions": most, "readySessionInstances": ready}, **properties}})


def check_made(answer):
    if answer.status not in (200, 201, 202):
        raise rest.RestError(f"making a pool: {answer.status} {answer.body[:300].decode(errors='replace')}")


def resources(memory_mib):
    return {"cpu": 1, "memory": f"{memory_mib}Mi"}


def put(api, name, ready, most, memory_mib):
    """Makes a pool of Python or changes it. False if this hearthd has no pools."""
    answer = put_properties(api, name, ready, most, containerType="PythonLTS", resources=resources(memory_mib))
    if answer.status in (404, 405):
        return False
    check_made(answer)
    return True


def delete(api, name):
    api.request("DELETE", f"sessionPools/{name}")


def counts(api, name):
    """What /healthz says of a pool; {} if it does not."""
    pools = (api.request("GET", "healthz").json() or {}).get("pools", {})
    if isinstance(pools, list):
        pools = {pool.get("name"): pool for pool in pools}
    return pools.get(name) or {}


def wait_until(api, name, holds, timeout):
    """Until `holds` of the pool's counts; False if it does not come to that. At once if hearthd does not tell them."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        now = counts(api, name)
        if not now or holds(now):
            return True
        time.sleep(0.05)
    return False


def wait_for_stock(settings, api):
    """Until the default pool has as many ready microVMs as it should, and prepares no others."""
    return wait_until(api, DEFAULT, lambda now: now.get("ready", 0) >= settings["ready"] and not now.get("preparing"),
                      STOCK_TIMEOUT_S)


def wait_for_template(settings):
    """Until the default pool's template is there. Where none is wanted yet, a first session makes it wanted."""
    api = common.client(settings)
    if settings["boots"] or "template" not in counts(api, DEFAULT):
        return
    if counts(api, DEFAULT)["template"] == "absent":
        identifier = common.new_identifier()
        api.print_one(identifier)
        api.end(identifier)
    if not wait_until(api, DEFAULT, lambda now: now["template"] == "ready", TEMPLATE_TIMEOUT_S):
        raise rest.RestError(f"there is no template: {counts(api, DEFAULT).get('template')}")
    wait_for_stock(settings, api)
    api.close()
