"""
What hearthd needs is taken away: its database, its descriptors, its disk. Whoever asks is told so in time, sessions go on,
and all is well again when it is back. In hearth-vmm's place is lying_vmm.py, which here only tells the truth.
"""

import http.client
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from urllib.parse import urlsplit

import pytest

from played import GRACE_S, OPTIONS, Service, wait_until

POOL = "sessionPools/spare"
DEFINITION = {"properties": {"maxConcurrentSessions": 2}}


@pytest.fixture
def service(start, tmp_path):
    service = Service(start(*OPTIONS), tmp_path)
    assert service.execute("other", "honest").stdout == "honest\n"
    service.other = service.vm("other")
    yield service
    assert_goes_on(service)
    service.end()


def assert_goes_on(service):
    assert service.execute("other", "honest").stdout == "honest\n"
    assert service.vm("other") == service.other, "the other session did not go on"


def timed(call, *arguments, **options):
    began = time.monotonic()
    result = call(*arguments, **options)
    took = time.monotonic() - began
    print(f"told after {took:.2f} s")
    return result, took


def test_a_locked_database(service):
    """What must be kept is refused within seconds; executions need no database."""
    database = sqlite3.connect(os.path.join(service.hearthd.folder, "hearth.db"), isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    response, took = timed(service.request, "PUT", POOL, json=DEFINITION)
    assert response.status_code == 503 and "StorageBusy" in response.text and took < 5, response.text
    assert response.headers["retry-after"] == "1"
    made, took = timed(service.hearthd.hearth, "key", "create", "ci")
    assert made.returncode != 0 and "database" in made.stderr and took < 5, made
    assert_goes_on(service)
    assert service.execute("new", "honest").status == "Succeeded"
    database.execute("ROLLBACK")
    database.close()
    assert service.request("PUT", POOL, json=DEFINITION).status_code in (200, 201)
    assert service.hearthd.hearth("key", "create", "ci").returncode == 0


def damage(path, chance):
    with open(path, "r+b") as file:
        for offset in range(0, os.path.getsize(path), 4096):
            file.seek(offset + chance.randrange(100))
            file.write(chance.randbytes(2000))


def test_a_database_that_is_damaged_under_a_running_hearthd(start, tmp_path):
    """Its pages are in memory, so that it goes on; the next start says it, and where that has all pools all is well."""
    service = Service(start(*OPTIONS), tmp_path)
    assert service.execute("other", "honest").status == "Succeeded"
    service.other = service.vm("other")
    assert service.request("PUT", POOL, json=DEFINITION).status_code == 201
    for suffix in "", "-wal":
        path = os.path.join(service.hearthd.folder, "hearth.db" + suffix)
        if os.path.exists(path):
            damage(path, random.Random(1))
    promised = ["spare"]
    for n in range(5):
        response, took = timed(service.request, "PUT", f"sessionPools/pool{n}", json=DEFINITION)
        assert took < 5 and response.status_code in (201, 500), response.text
        promised += [f"pool{n}"] if response.status_code == 201 else []
    assert_goes_on(service)
    assert service.execute("new", "honest").status == "Succeeded"
    assert service.hearthd.stop() == 0
    after = start(*OPTIONS)
    if after.url is None:
        assert after.stop() == 1 and "is damaged" in after.log()
        print("the next start refused it")
    else:
        pools = [pool["name"] for pool in Service(after, tmp_path).request("GET", "sessionPools").json()["value"]]
        assert set(promised) <= set(pools)


@pytest.mark.parametrize("how", ["random bytes", "half of it"])
def test_a_damaged_database_is_refused_at_the_start(start, tmp_path, how):
    hearthd = start(*OPTIONS)
    assert Service(hearthd, tmp_path).request("PUT", POOL, json=DEFINITION).status_code == 201
    assert hearthd.stop() == 0
    path = os.path.join(hearthd.folder, "hearth.db")
    kept = tmp_path / "kept"
    shutil.copy(path, kept)
    if how == "half of it":
        os.truncate(path, os.path.getsize(path) // 2)
    else:
        damage(path, random.Random(2))
    refused = start(*OPTIONS)
    assert refused.url is None and refused.stop() == 1
    assert "is damaged" in refused.log() and "put back a copy, or move it away" in refused.log()
    shutil.copy(kept, path)
    assert Service(start(*OPTIONS), tmp_path).request("GET", POOL).status_code == 200


def test_a_microvm_that_stands_still_before_its_code_begins(start, tmp_path):
    """Its interpreter was warm before, so that the execution's own time counts, not that of a start."""
    service = Service(start(*OPTIONS, "--boot-timeout-seconds", "60"), tmp_path)
    assert service.execute("still", "honest").status == "Succeeded"
    service.stop_vmm("still")
    answer = service.execute("still", "honest", timeout=1)
    assert answer.status == "Failed" and "the session's interpreter did not start in time" in answer.stderr
    assert 1 + GRACE_S - 0.2 < answer.took < 1 + GRACE_S + 5, answer.took
    assert service.execute("still", "honest").status == "Succeeded", "it gets a fresh microVM"


def test_a_control_group_that_is_in_use_for_a_moment_longer(start, tmp_path):
    """The kernel may still be taking apart what it killed; here a process that stays behind is in its place."""
    jailed = [*OPTIONS]
    at = jailed.index("--unsafe-no-jail")
    service = Service(start(*jailed[:at], *jailed[at + 2:]), tmp_path)
    if service.hearthd.url is None:
        pytest.skip(f"microVMs cannot be given control groups here: {service.hearthd.log()}")
    assert service.execute("other", "honest").status == "Succeeded"
    pid = service.vmm_pid("other")
    with open(f"/proc/{pid}/cmdline") as file:
        words = file.read().split("\0")
    entrances = [words[n + 1] for n, word in enumerate(words) if word == "--jail-cgroup"]
    assert entrances
    groups = [os.path.dirname(entrance) for entrance in entrances]
    stays = subprocess.Popen(["sleep", "60"])
    try:
        for entrance in entrances:
            with open(entrance, "w") as file:
                file.write(str(stays.pid))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: service.vm("other") is None, "its session goes on")
        time.sleep(0.3)
        assert all(os.path.exists(group) for group in groups)
    finally:
        stays.kill()
        stays.wait()
    wait_until(lambda: not any(os.path.exists(group) for group in groups), f"{groups} stay")
    assert service.hearthd.stop() == 0


def set_descriptors(pid, n):
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (n, hard))


def test_out_of_descriptors(service):
    """Those who have a connection and a session go on; who wants a new session is told; later all is well."""
    address = urlsplit(service.hearthd.url).netloc
    pid = service.hearthd.process.pid
    was = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    connections = [http.client.HTTPConnection(address, timeout=20) for _ in range(3)]
    headers = {"Authorization": f"Bearer {service.hearthd.token}", "Content-Type": "application/json"}
    body = '{"codeInputType": "Inline", "executionType": "Synchronous", "code": "honest"}'

    def ask(connection, identifier):
        connection.request("POST", f"/executions?api-version=2025-02-02-preview&identifier={identifier}", body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()

    for connection in connections:
        assert ask(connection, "other")[0] == 200
    used = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd")) + 1
    set_descriptors(pid, used)
    waiting = http.client.HTTPConnection(address, timeout=30)
    waiting.connect()
    for round_ in range(3):
        (status, text), took = timed(ask, connections[0], f"new{round_}")
        assert status in (500, 503) and "SessionAllocationFailed" in text and took < 5, (status, text)
        assert ask(connections[1], "other")[0] == 200
    with open(f"/proc/{pid}/stat") as file:
        before = sum(int(word) for word in file.read().split()[13:15])
    time.sleep(2)
    with open(f"/proc/{pid}/stat") as file:
        spent = sum(int(word) for word in file.read().split()[13:15]) - before
    assert spent < 100, f"{spent} of 200 hundredths of a second were spent on waiting for descriptors"
    set_descriptors(pid, was)
    connections.pop().close()  # libmicrohttpd tries to accept again when a connection ends
    assert ask(waiting, "other")[0] == 200, "who waited to be accepted is served"
    assert ask(connections[0], "new")[0] == 200
    assert service.hearthd.log().count("\n") < 200
    for connection in *connections, waiting:
        connection.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "hearth-test", folder], capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk(start, tmp_path, small_disk):
    """Of the database and of the runtime files: new pools and sessions are refused, sessions go on."""
    service = Service(start(*OPTIONS, "--runtime-dir", small_disk / "run", "--database", small_disk / "hearth.db"), tmp_path)
    assert service.execute("other", "honest").status == "Succeeded"
    service.other = service.vm("other")
    with open(small_disk / "ballast", "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    for n in range(3):
        response, took = timed(service.request, "PUT", f"sessionPools/pool{n}", json=DEFINITION)
        assert response.status_code in (507,) and "disk with the service's database is full" in response.text and took < 5, response.text
        response, took = timed(service.order, f"new{n}", "honest")
        print(response.status_code, response.text[:300])
        assert took < 10, took
        assert response.status_code == 200, response.text
        assert_goes_on(service)
    os.remove(small_disk / "ballast")
    assert service.request("PUT", POOL, json=DEFINITION).status_code in (200, 201)
    assert service.execute("new", "honest").status == "Succeeded"
    assert_goes_on(service)
    assert service.hearthd.stop() == 0
    assert not (small_disk / "run").exists() or os.listdir(small_disk / "run") == []
