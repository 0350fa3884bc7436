"""The pool that the workloads measure, and its stock."""

import time

import rest
from workloads import common

STOCK_TIMEOUT_S = 120
TEMPLATE_TIMEOUT_S = 240


def put(api, name, ready, most, memory_mib):
    """Makes a pool or changes it. False if this hearthd has no pools."""
    answer = api.request("PUT", f"sessionPools/{name}", {"properties": {
        "containerType": "PythonLTS", "poolManagementType": "Dynamic",
        "dynamicPoolConfiguration": {"lifecycleConfiguration": {"lifecycleType": "Timed", "cooldownPeriodInSeconds": 3600}},
        "scaleConfiguration": {"maxConcurrentSessions": most, "readySessionInstances": ready},
    }})
    if answer.status in (404, 405):
        return False
    if answer.status not in (200, 201, 202):
        raise rest.RestError(f"making a pool: {answer.status} {answer.body[:300].decode(errors='replace')}")
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
    """Until the pool has as many ready microVMs as it should, and prepares no others."""
    if not settings.get("pool") or not settings.get("ready"):
        return True
    return wait_until(api, settings["pool"], lambda now: now.get("ready", 0) >= settings["ready"] and
                      not now.get("preparing"), STOCK_TIMEOUT_S)


def prepare(settings):
    """Gives the pool the stock that the workload wants, and waits for its template. Without pools, the default one is used."""
    api = common.client(settings)
    if not put(api, settings["pool"], settings["ready"], settings["most"], settings["memory_mib"]):
        settings.update(pool=None, ready=0)
        return
    wait_until(api, settings["pool"], lambda now: now.get("template") in (None, "ready", "failed"), TEMPLATE_TIMEOUT_S)
    wait_for_stock(settings, api)
    api.close()
