"""Pools with a stock of ready microVMs, and what their sessions can do: fork, suspend, be a template."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service import RUNTIME, SESSION_MEMORY_MIB


def unique(name):
    return f"{name}-{secrets.token_hex(4)}"


@pytest.fixture
def make_pool(service):
    """Makes pools for one test; gives a client of the pool."""
    clients = []

    def make(ready=0, maximum=4, cooldown=300, lifecycle=None, template=""):
        client = service.client(unique("warm"))
        clients.append(client)
        body = {"properties": {
            "containerType": "PythonLTS", "poolManagementType": "Dynamic", "templateName": template,
            "scaleConfiguration": {"maxConcurrentSessions": maximum, "readySessionInstances": ready},
            "dynamicPoolConfiguration": {"lifecycleConfiguration": lifecycle or {
                "lifecycleType": "Timed", "cooldownPeriodInSeconds": cooldown}},
            "resources": {"memory": f"{SESSION_MEMORY_MIB / 1024}Gi"}}}
        response = client.request("PUT", "", json=body)
        assert response.status_code == 201, response.text
        return client

    yield make
    for client in clients:
        client.request("DELETE", "")


@pytest.fixture(scope="module")
def template(service):
    """Waits until the built-in template is made, which the first tests of a run would else meet halfway."""
    client = service.client()
    client.wait_until_ready(1)
    return client.health()["template"]


# ---- the stock -------------------------------------------------------------------------------------------------------

def test_a_new_session_comes_from_the_stock(template, make_pool):
    client = make_pool(ready=2)
    client.wait_until_ready(2)
    first = client.execute("one", "print(1)")
    assert first.ok and first.stdout == "1\n"
    assert first.source == "warm"
    assert first.response.headers["x-ms-new-allocation"] == "true"
    assert list(first.timing) == ["source", "allocation", "resume", "first_byte", "interpreter", "execution", "total"]
    again = client.execute("one", "print(1)")
    assert again.source == "reused"
    assert again.response.headers["x-ms-new-allocation"] == "false"
    assert client.session("one")["source"] == "warm"


def test_the_stock_refills_itself(template, make_pool):
    client = make_pool(ready=2)
    for name in ("one", "two"):
        client.wait_until_ready(2)
        assert client.execute(name, "1").source == "warm"
    client.wait_until_ready(2)
    health = client.health()
    assert (health["allocated"], health["template"]) == (2, "ready")


def test_the_stock_leaves_room_for_the_maximum(template, make_pool):
    client = make_pool(ready=2, maximum=2)
    client.wait_until_ready(2)
    assert client.execute("one", "1").source == "warm"
    assert client.execute("two", "2").source == "warm"
    time.sleep(2)
    assert client.health()["ready"] == client.health()["preparing"] == 0
    assert client.post("executions", {"code": "3"}, identifier="three").status_code == 429
    client.end("one")
    client.wait_until_ready(1)
    assert client.execute("three", "3").source == "warm"


def test_an_empty_stock_restores_on_demand(template, make_pool):
    client = make_pool(ready=0)
    answer = client.execute("one", "6 * 7")
    assert (answer.result, answer.source) == (42, "restore")
    assert list(answer.timing) == ["source", "allocation", "vmm", "agent", "adopt", "first_byte", "interpreter",
                                   "execution", "total"]


def test_a_session_that_rests_takes_no_memory(template, make_pool, service):
    """Node's memory reducer would run eight seconds after the last activity, and make 3,000 pages its own."""
    client = make_pool()
    assert client.execute("resting", "1 + 1").result == 2
    [pid] = service.session_vmm_pids(client, "resting")
    faults = lambda: int(service.host.run("cat", f"/proc/{pid}/stat").rpartition(")")[2].split()[7])  # noqa: E731
    time.sleep(1)
    before = faults()
    time.sleep(12)
    assert faults() - before < 300


def test_many_at_once_are_served(template, make_pool):
    client = make_pool(ready=2, maximum=6)
    client.wait_until_ready(2)
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda i: client.execute(f"s{i}", f"{i} + 1"), range(6)))
    assert [a.result for a in answers] == [1, 2, 3, 4, 5, 6]
    assert {a.source for a in answers} <= {"warm", "restore"}


def test_a_ready_microvm_that_dies_is_replaced(template, service):
    client = service.client()
    client.wait_until_ready(2)
    ready = f"cd {RUNTIME}; for d in [0-9a-f]*; do [ -e $d/session ] || cat $d/pid; done"
    victim = int(service.host.shell(ready).split()[0])
    service.host.run("kill", "-9", str(victim))
    assert service.gone([victim], within=20)
    time.sleep(0.5)
    client.wait_until_ready(2)
    assert victim not in map(int, service.host.shell(ready).split())


def test_clones_differ(template, make_pool):
    client = make_pool(ready=2)
    client.wait_until_ready(2)
    code = """
        import os, random, socket, uuid
        ' '.join([os.urandom(8).hex(), str(random.random()), uuid.uuid4().hex, socket.gethostname(),
                  open('/proc/sys/kernel/random/boot_id').read().strip()])
        """
    one, two = (client.execute(name, code).result.split() for name in ("one", "two"))
    assert len(one) == len(two) == 5
    assert not set(one) & set(two)


# ---- the end of a session --------------------------------------------------------------------------------------------

def test_an_idle_session_ends_after_the_cooldown(template, make_pool, slowness):
    client = make_pool(cooldown=3)
    client.execute("one", "x = 1")
    began = time.monotonic()
    while client.session("one"):
        assert time.monotonic() - began < 3 + slowness
        time.sleep(0.1)
    assert time.monotonic() - began > 2
    assert "NameError" in client.execute("one", "x").stderr


def test_each_execution_begins_the_cooldown_anew(template, make_pool):
    client = make_pool(cooldown=4)
    client.execute("one", "x = 1")
    for _ in range(4):
        time.sleep(2)
        assert client.execute("one", "x").result == 1


def test_a_life_is_limited(template, make_pool, slowness):
    client = make_pool(lifecycle={"lifecycleType": "MaxLifetime", "maxAlivePeriodInSeconds": 8})
    began = time.monotonic()
    answer = client.execute("one", "import time\ntime.sleep(100)")
    assert time.monotonic() - began < 8 + slowness
    assert not answer.ok
    assert "end of its life" in answer.stderr
    assert client.session("one") is None


# ---- fork, suspend, templates ----------------------------------------------------------------------------------------

STATE = """
    import os, random, socket
    x = 41
    big = bytes(range(256)) * 4096
    os.makedirs('/mnt/data', exist_ok=True)
    with open('/mnt/data/file', 'w') as f: f.write('kept')
    def f(): return x, len(big), open('/mnt/data/file').read()
    """


def test_a_fork_is_a_copy_that_goes_its_own_way(template, make_pool):
    client = make_pool()
    client.execute("root", STATE)
    info = client.order("fork", "root", target="branch")
    assert (info["identifier"], info["source"]) == ("branch", "fork")
    first = client.execute("branch", "f()")
    assert (first.result, first.source) == ("(41, 1048576, 'kept')", "fork")
    client.execute("branch", "x = 'branch'")
    client.execute("root", "x = 'root'")
    assert client.execute("branch", "x").result == "branch"
    assert client.execute("root", "x").result == "root"
    draw = "str(random.random()) + ' ' + os.urandom(8).hex() + ' ' + socket.gethostname()"
    one, two = (client.execute(name, draw).result.split() for name in ("root", "branch"))
    assert not set(one) & set(two)


def test_a_fork_of_a_fork_of_a_fork(template, make_pool):
    client = make_pool()
    client.execute("s0", "path = ['s0']")
    for i in range(3):
        client.order("fork", f"s{i}", target=f"s{i + 1}")
        client.execute(f"s{i + 1}", f"path.append('s{i + 1}')")
        client.end(f"s{i}")
    assert client.execute("s3", "path").result == "['s0', 's1', 's2', 's3']"


def test_a_fork_waits_for_the_execution_that_runs(template, make_pool):
    client = make_pool()
    client.execute("root", "import time\nx = 1")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(client.execute, "root", "time.sleep(3)\nx = 2")
        time.sleep(1)
        client.order("fork", "root", target="branch")
        assert running.result().ok
    assert client.execute("branch", "x").result == 2


def test_what_cannot_be_forked_is_told(template, make_pool):
    client = make_pool(maximum=2)
    client.execute("one", "1")
    client.execute("two", "2")

    def fork(identifier, target):
        return client.post("session/fork", {}, identifier=identifier, params={"target": target}).status_code

    assert fork("none", "three") == 404
    assert fork("one", "two") == 409
    assert fork("one", "three") == 429


def test_a_suspended_session_comes_back_with_its_state(template, make_pool, service):
    client = make_pool(maximum=1)
    client.execute("one", STATE)
    pid = service.session_vmm_pids(client, "one")
    guid = client.session("one")["etag"]
    info = client.order("suspend", "one")
    assert (info["state"], info["vmId"]) == ("suspended", "")
    assert service.gone(pid, within=20)
    # It holds no place.
    client.execute("other", "1")
    assert client.post("executions", {"code": "1"}, identifier="one").status_code == 429
    client.end("other")
    back = client.execute("one", "f()")
    assert (back.result, back.source) == ("(41, 1048576, 'kept')", "resume")
    assert back.response.headers["x-ms-session-guid"] == guid
    assert client.execute("one", "x + 1").source == "reused"


def test_a_resumed_session_is_the_same_machine_at_the_right_time(template, make_pool, host):
    client = make_pool()

    def time_there():
        """That of the machine with hearthd. A lab's own may be seconds off."""
        return float(host.run("date", "+%s.%N"))
    code = """
        import socket, time
        [socket.gethostname(), open('/proc/sys/kernel/random/boot_id').read().strip(), time.time()]
        """
    name, boot, _ = eval(client.execute("one", code).result)
    client.order("suspend", "one")
    time.sleep(3)
    assert client.order("resume", "one")["state"] == "idle"
    asked = time_there()
    name_now, boot_now, clock = eval(client.execute("one", code).result)
    assert boot_now == boot
    assert asked - 0.5 < clock < time_there() + 0.5
    assert name_now.startswith("hearth-") and name.startswith("hearth-")


def test_suspend_again_and_again(template, make_pool):
    client = make_pool()
    client.execute("one", "n = 0")
    for i in range(3):
        client.order("suspend", "one")
        assert client.execute("one", "n += 1\nn").result == i + 1


def test_a_chain_that_is_too_long_is_told(template, make_pool):
    client = make_pool()
    client.execute("one", "n = 0")
    for _ in range(10):
        response = client.post("session/suspend", {}, identifier="one")
        if response.status_code != 200:
            break
        client.execute("one", "n += 1")
    assert response.status_code == 409, response.text
    assert "chain of 8 snapshots" in response.json()["error"]["message"]
    assert client.execute("one", "n").result == 7


def test_a_session_can_be_a_template(template, make_pool):
    client = make_pool()
    name = unique("mine")
    client.execute("root", STATE)
    made = client.request("PUT", f"templates/{name}", json={"fromSession": "root"})
    assert made.status_code == 201, made.text
    try:
        assert client.execute("root", "f()").result == "(41, 1048576, 'kept')"
        copies = make_pool(ready=1, template=name)
        copies.wait_until_ready(1)
        for identifier, source in (("one", "warm"), ("two", None)):
            answer = copies.execute(identifier, "x += 1; f()")
            assert answer.result == "(42, 1048576, 'kept')"
            assert source in (None, answer.source)
        assert client.execute("root", "x").result == 41
        assert client.request("PUT", f"templates/{name}", json={"fromSession": "root"}).status_code == 409
        copies.request("DELETE", "")
    finally:
        assert client.request("DELETE", f"templates/{name}").status_code in (200, 204)


# ---- nothing stays ---------------------------------------------------------------------------------------------------

def test_nothing_of_a_session_stays(template, make_pool, service):
    client = make_pool()
    client.execute("root", STATE)
    client.order("fork", "root", target="branch")
    client.order("suspend", "root")
    client.execute("root", "x")
    ids = [client.session(name)["vmId"] for name in ("root", "branch")]
    pids = service.session_vmm_pids(client, "root", "branch")
    assert client.end("root").status_code == client.end("branch").status_code == 204
    assert service.gone(pids, within=20)
    deadline = time.monotonic() + 20
    while service.host.shell(f"cd {RUNTIME}; ls -d {' '.join(ids)} 2>/dev/null; true").split():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert snapshots_of_sessions(service) == []


def snapshots_of_sessions(service):
    """Folders of snapshots that belong to sessions of this service."""
    command = service.host.run("pgrep", "-af", "-x", f"[^ ]*hearthd .*{RUNTIME}.*")
    folder = command.split("--template-dir ")[1].split()[0] if "--template-dir" in command else "build/templates"
    return service.host.shell(f"ls {folder}/instance-*; true").split()
