"""
Pools and the management of sessions, over HTTP and with the command `hearth`: created, used, changed, kept over a restart
of hearthd, deleted. The file has a service of its own in the place of the one that the others share.
"""

import json
import os
import subprocess
import time

import pytest

from service import ROOT, TOKEN_FILE, Service

HEARTH = os.path.join(ROOT, "build", "hearth")
DATABASE = "/tmp/hearth-e2e-pools.db"
OPTIONS = ("--database", DATABASE, "--min-cooldown-seconds", "1", "--session-memory-mib", "512", "--max-sessions", "3",
           "--ready-sessions", "0")
ARM = "subscriptions/s1/resourceGroups/g1/providers/Microsoft.App/sessionPools"


@pytest.fixture(scope="module")
def pools(host, service):
    """The service of this file."""
    service.stop()
    host.shell(f"rm -f {DATABASE}*")
    pools = Service(host)
    try:
        pools.start(*OPTIONS)
        yield pools
    finally:
        pools.stop()
        host.shell(f"rm -f {DATABASE}*")
        service.start()


@pytest.fixture
def client(pools):
    return pools.client()


@pytest.fixture
def hearth(pools):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HEARTH_") and "proxy" not in k.lower()}

    def run(*arguments):
        return subprocess.run([HEARTH, *arguments], text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                              env={**kept, "HEARTH_URL": pools.url, "HEARTH_TOKEN_FILE": TOKEN_FILE})
    return run


def pool_body(maximum=2, ready=0, cooldown=300, memory="0.5Gi", **properties):
    return {"location": "westus2", "tags": {"team": "a"}, "properties": {
        "containerType": "PythonLTS", "poolManagementType": "Dynamic",
        "scaleConfiguration": {"maxConcurrentSessions": maximum, "readySessionInstances": ready},
        "dynamicPoolConfiguration": {"lifecycleConfiguration": {"lifecycleType": "Timed",
                                                                "cooldownPeriodInSeconds": cooldown}},
        "resources": {"memory": memory}, **properties}}


@pytest.fixture
def pool(client):
    """Makes pools for one test."""
    names = []

    def make(name, **settings):
        names.append(name)
        response = client.request("PUT", f"sessionPools/{name}", json=pool_body(**settings))
        assert response.status_code == 201, response.text
        return response.json()

    yield make
    for name in names:
        client.request("DELETE", f"sessionPools/{name}")


def execute(client, pool, identifier, code):
    return client.post(f"sessionPools/{pool}/executions", {"code": code}, identifier=identifier)


def test_a_pool_is_created_shown_changed_and_deleted(client):
    created = client.request("PUT", f"{ARM}/pool-a", json=pool_body(), version="2025-07-01")
    assert created.status_code == 201, created.text
    resource = created.json()
    assert resource["id"] == f"/{ARM}/pool-a"
    assert (resource["name"], resource["location"], resource["tags"]) == ("pool-a", "westus2", {"team": "a"})
    properties = resource["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["scaleConfiguration"] == {"maxConcurrentSessions": 2, "readySessionInstances": 0}
    assert properties["resources"] == {"cpu": 1, "memory": "0.5Gi"}
    assert properties["poolManagementEndpoint"] == \
        f"{client.url}/subscriptions/s1/resourceGroups/g1/sessionPools/pool-a"

    assert client.request("PUT", f"{ARM}/pool-a", json=pool_body()).status_code == 200
    patch = {"properties": {"scaleConfiguration": {"maxConcurrentSessions": 3}}}
    patched = client.request("PATCH", "sessionPools/POOL-A", json=patch)
    assert patched.status_code == 200
    shown = client.request("GET", "sessionPools/pool-a").json()
    assert shown["properties"]["scaleConfiguration"]["maxConcurrentSessions"] == 3
    assert shown["properties"]["dynamicPoolConfiguration"]["lifecycleConfiguration"]["cooldownPeriodInSeconds"] == 300
    assert shown["tags"] == {"team": "a"}
    assert shown["id"] == "/sessionPools/pool-a"
    old = client.request("GET", f"{ARM}/pool-a", version="2024-02-02-preview").json()
    assert old["properties"]["dynamicPoolConfiguration"] == {"executionType": "Timed", "cooldownPeriodInSeconds": 300}

    for path in (ARM, "sessionPools", "subscriptions/s1/providers/Microsoft.App/sessionPools"):
        names = [p["name"] for p in client.request("GET", path).json()["value"]]
        assert sorted(names) == ["default", "pool-a"]
    assert client.request("DELETE", f"{ARM}/pool-a").status_code == 204
    assert client.request("DELETE", f"{ARM}/pool-a").status_code == 204
    assert client.request("GET", f"{ARM}/pool-a").status_code == 404


def test_what_cannot_be_is_refused_and_changes_nothing(client, pool):
    pool("pool-b")
    before = client.request("GET", "sessionPools/pool-b").json()
    for method in ("PUT", "PATCH"):
        for properties, part in (({"scaleConfiguration": {"maxConcurrentSessions": 1001}}, "maxConcurrentSessions"),
                                 ({"sessionNetworkConfiguration": {"egressPolicy": {"allow": ["10.0.0.1/8"]}}},
                                  "bits after its prefix"),
                                 ({"containerType": "GpuBase"}, "PythonLTS, NodeLTS, Shell")):
            response = client.request(method, "sessionPools/pool-b", json={"properties": properties})
            assert response.status_code == 400, (method, properties, response.text)
            assert part in response.json()["error"]["message"]
        response = client.request(method, "sessionPools/pool-b", json={"properties": {"templateName": "not-there"}})
        assert response.status_code == 404 and "not-there" in response.json()["error"]["message"]
    response = client.request("PATCH", "sessionPools/pool-b", json={"properties": {"containerType": "Shell"}})
    assert response.status_code == 409
    assert client.request("PUT", "sessionPools/a_b", json=pool_body()).status_code == 400
    assert client.request("PUT", "sessionPools/pool-b", data="{").status_code == 400
    assert client.request("PATCH", "sessionPools/not-there", json={}).status_code == 404
    assert client.request("DELETE", "sessionPools/default").status_code == 409
    assert client.request("POST", "sessionPools/pool-b", json={}).status_code == 405
    after = client.request("GET", "sessionPools/pool-b").json()
    assert {**after["properties"], "instances": 0} == {**before["properties"], "instances": 0}


def test_management_needs_the_token(client):
    client.http.headers["Authorization"] = "Bearer wrong"
    for method, path in (("GET", "sessionPools"), ("GET", ARM), ("PUT", "sessionPools/x1"), ("DELETE", f"{ARM}/x1"),
                         ("GET", "listSessions"), ("GET", "templates"), ("PUT", "templates/t1"),
                         ("POST", "session/fork"), ("POST", ".management/listSessions")):
        assert client.request(method, path, identifier="x").status_code == 401, path


def test_code_runs_in_the_pool_of_the_path(client, pool):
    endpoint = pool("pool-c")["properties"]["poolManagementEndpoint"]
    client.execute("same", "x = 'default'")
    response = client.http.post(f"{endpoint}/code/execute", params={"identifier": "same"}, timeout=300,
                                json={"properties": {"code": "'x' in globals()", "codeInputType": "inline",
                                                     "executionType": "synchronous"}})
    assert response.status_code == 200, response.text
    assert response.json()["properties"]["result"] is False
    listed = client.request("GET", "sessionPools/pool-c/listSessions").json()
    assert [s["identifier"] for s in listed["sessions"]] == ["same"]
    assert (listed["count"], listed["nextLink"]) == (1, None)
    session = listed["sessions"][0]
    assert (session["pool"], session["state"], session["executions"]) == ("pool-c", "idle", 1)
    assert session["expiresAt"] == session["expireAt"] > session["lastAccessedAt"] >= session["createdAt"]
    assert client.request("DELETE", "sessionPools/pool-c/session", identifier="same").status_code == 204
    assert client.execute("same", "x").result == "default"
    client.end("same")


def test_a_pool_that_is_not_there_is_not_found(client):
    for method, path in (("POST", "executions"), ("POST", "code/execute"), ("GET", "session"), ("DELETE", "session"),
                         ("GET", "listSessions"), ("POST", ".management/stopSession"), ("POST", "session/suspend")):
        response = client.request(method, f"sessionPools/not-there/{path}", identifier="a", json={"code": "1"})
        assert response.status_code == 404, path
        assert response.json()["error"]["code"] == "ResourceNotFound"


def test_the_maximum_is_the_pools_own(client, pool):
    pool("pool-d", maximum=1)
    assert execute(client, "pool-d", "one", "1").status_code == 200
    full = execute(client, "pool-d", "two", "2")
    assert full.status_code == 429 and int(full.headers["retry-after"]) >= 1
    assert client.execute("elsewhere", "3").result == 3
    patch = {"properties": {"scaleConfiguration": {"maxConcurrentSessions": 2}}}
    assert client.request("PATCH", "sessionPools/pool-d", json=patch).status_code == 200
    assert execute(client, "pool-d", "two", "2").status_code == 200
    client.end("elsewhere")


def test_an_idle_session_ends_after_the_pools_cooldown(client, pool, slowness):
    pool("pool-e", cooldown=2)
    assert execute(client, "pool-e", "brief", "1").status_code == 200
    assert client.request("GET", "sessionPools/pool-e/session", identifier="brief").status_code == 200
    deadline = time.monotonic() + 2 + 5 * slowness
    while client.request("GET", "sessionPools/pool-e/session", identifier="brief").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_deleting_a_pool_ends_its_sessions(pools, client, pool):
    pool("pool-f")
    assert execute(client, "pool-f", "gone", "1").status_code == 200
    vmms = pools.vmm_pids(pools.hearthd_pid())
    assert client.request("DELETE", "sessionPools/pool-f").status_code == 204
    assert execute(client, "pool-f", "gone", "1").status_code == 404
    assert vmms and pools.gone(vmms, within=30)


def test_the_older_management_calls_answer_as_recorded(client):
    client.execute("managed", "1")
    found = client.request("POST", ".management/getSession", identifier="managed", version="2024-02-02-preview")
    assert found.status_code == 200 and found.json()["identifier"] == "managed" and found.json()["etag"]
    listed = client.request("POST", ".management/listSessions", params={"skip": "0"}).json()
    assert "managed" in [s["identifier"] for s in listed["value"]] and listed["nextLink"] is None
    assert client.request("GET", ".management/listSessions", params={"skip": "5"}).json()["value"] == []
    unknown = client.request("POST", ".management/getSession", identifier="unknown")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "SessionWithIdentifierNotFound")
    stopped = client.request("POST", ".management/stopSession", identifier="managed")
    assert (stopped.status_code, stopped.text) == (200, "Session managed in session pool default stopped.")
    assert stopped.headers["content-type"].startswith("text/plain")
    assert client.request("GET", "session", identifier="managed").status_code == 404


def test_pools_survive_a_restart_of_hearthd(pools, client, pool):
    pool("pool-g", maximum=7, cooldown=90)
    pool("pool-h")
    patch = {"properties": {"scaleConfiguration": {"maxConcurrentSessions": 4}}}
    assert client.request("PATCH", "sessionPools/default", json=patch).status_code == 200
    assert client.request("DELETE", "sessionPools/pool-h").status_code == 204
    before = client.request("GET", "sessionPools/pool-g").json()
    assert pools.stop() is not None
    pools.start(*OPTIONS)
    client = pools.client()
    after = client.request("GET", "sessionPools/pool-g").json()
    for resource in (before, after):
        resource["properties"].pop("instances")
        resource["properties"].pop("poolManagementEndpoint")
    assert after == before
    assert client.request("GET", "sessionPools/pool-h").status_code == 404
    scale = client.request("GET", "sessionPools/default").json()["properties"]["scaleConfiguration"]
    assert scale["maxConcurrentSessions"] == 4
    assert execute(client, "pool-g", "again", "6 * 7").json()["result"]["executionResult"] == 42
    assert client.request("DELETE", "sessionPools/pool-g").status_code == 204


def test_a_damaged_database_is_told_and_left_alone(host, pools):
    """hearthd does not start over it, so that nobody's pools are lost in silence."""
    host.shell("printf 'no database at all, and longer than nothing' >/tmp/hearth-e2e-damaged.db")
    said = host.shell("build/hearthd --listen 127.0.0.1:0 --runtime-dir /tmp/hearth-e2e-damaged --token-file "
                      f"{TOKEN_FILE} --database /tmp/hearth-e2e-damaged.db 2>&1; echo status $?")
    kept = host.shell("cat /tmp/hearth-e2e-damaged.db; rm -rf /tmp/hearth-e2e-damaged*")
    assert "is damaged" in said and "status 1" in said, said
    assert kept == "no database at all, and longer than nothing"


# ---- the command -----------------------------------------------------------------------------------------------------

def test_the_command_manages_pools(hearth):
    created = hearth("sessionpool", "create", "-n", "cli-pool", "-g", "any", "--max-sessions", "2", "--ready-sessions", "0",
                     "--cooldown-period", "120", "--memory", "0.5Gi", "--container-type", "NodeLTS")
    assert created.returncode == 0, created.stderr
    assert json.loads(created.stdout)["properties"]["scaleConfiguration"]["maxConcurrentSessions"] == 2
    table = hearth("sessionpool", "list", "-o", "table").stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "TYPE", "MAX"]
    assert ["cli-pool", "NodeLTS", "2"] in [line.split()[:3] for line in table[1:]]
    updated = hearth("sessionpool", "update", "cli-pool", "--cooldown-period", "180")
    lifecycle = json.loads(updated.stdout)["properties"]["dynamicPoolConfiguration"]["lifecycleConfiguration"]
    assert lifecycle == {"lifecycleType": "Timed", "cooldownPeriodInSeconds": 180}
    ran = hearth("run", "--pool", "cli-pool", "-c", "typeof process")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "'object'\n", "")
    unsure = hearth("sessionpool", "delete", "cli-pool")
    assert unsure.returncode == 2 and "--yes" in unsure.stderr
    assert hearth("sessionpool", "delete", "cli-pool", "--yes").returncode == 0
    for command in (("sessionpool", "show", "cli-pool"), ("sessionpool", "delete", "cli-pool", "--yes"),
                    ("sessionpool", "update", "cli-pool", "--max-sessions", "3"),
                    ("run", "--pool", "cli-pool", "-c", "1"), ("session", "list", "--pool", "cli-pool")):
        result = hearth(*command)
        assert result.returncode == 4 and "no session pool 'cli-pool'" in result.stderr, (command, result)
    refused = hearth("sessionpool", "create", "cli-pool", "--egress-allow", "10.0.0.1/8")
    assert refused.returncode == 2 and "bits after its prefix" in refused.stderr
    assert hearth("sessionpool", "create", "cli-pool", "--max-sessions", "0").returncode == 2


def test_the_command_manages_sessions(hearth):
    assert hearth("run", "--session", "cli-one", "-c", "x = 41").returncode == 0
    listed = json.loads(hearth("session", "list").stdout)
    assert [s["identifier"] for s in listed] == ["cli-one"]
    shown = json.loads(hearth("session", "show", "cli-one").stdout)
    assert (shown["state"], shown["executions"]) == ("idle", 1)
    assert hearth("session", "stop", "-g", "any", "-n", "default", "--identifier", "cli-one").returncode == 0
    for command in ("show", "stop", "suspend", "resume"):
        result = hearth("session", command, "cli-one")
        assert result.returncode == 4 and "cli-one" in result.stderr, (command, result)
    assert hearth("session", "fork", "cli-one", "cli-two").returncode == 4
    assert hearth("template", "create", "from-nothing", "--from-session", "cli-one").returncode == 4


def test_the_command_forks_suspends_and_keeps_sessions(hearth):
    try:
        assert hearth("run", "--session", "root", "-c", "x = 41; open('/tmp/f', 'w').write('kept')").returncode == 0
        forked = hearth("session", "fork", "root", "branch")
        assert forked.returncode == 0, forked.stderr
        assert json.loads(forked.stdout)["identifier"] == "branch"
        assert hearth("session", "fork", "root", "branch").returncode == 2
        assert hearth("run", "--session", "branch", "-c", "x += 1").returncode == 0
        assert hearth("run", "--session", "root", "-c", "x").stdout == "41\n"
        assert hearth("run", "--session", "branch", "-c", "x, open('/tmp/f').read()").stdout == "(42, 'kept')\n"

        suspended = hearth("session", "suspend", "branch")
        assert suspended.returncode == 0, suspended.stderr
        assert json.loads(suspended.stdout)["state"] == "suspended"
        resumed = hearth("session", "resume", "branch")
        assert resumed.returncode == 0, resumed.stderr
        assert hearth("run", "--session", "branch", "-c", "x").stdout == "42\n"

        template = hearth("template", "create", "kept-root", "--from-session", "root")
        assert template.returncode == 0, template.stderr
        assert [t["name"] for t in json.loads(hearth("template", "list").stdout)] == ["kept-root"]
        pool = hearth("sessionpool", "create", "from-root", "--template", "kept-root", "--max-sessions", "1",
                      "--ready-sessions", "0", "--memory", "0.5Gi")
        assert pool.returncode == 0, pool.stderr
        in_use = hearth("template", "delete", "kept-root", "--yes")
        assert in_use.returncode == 2 and "from-root" in in_use.stderr
        assert hearth("run", "--pool", "from-root", "-c", "x").stdout == "41\n"
    finally:
        hearth("sessionpool", "delete", "from-root", "--yes")
        hearth("session", "stop", "root")
        hearth("session", "stop", "branch")
        deleted = hearth("template", "delete", "kept-root", "--yes")
    assert deleted.returncode == 0, deleted.stderr
    assert hearth("template", "delete", "kept-root", "--yes").returncode == 4
