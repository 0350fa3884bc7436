"""
The service's own life: full, stopped, killed, started again; and the demo.

These tests start and stop services of their own in the place of the one that the other files share, so this file runs
last.
"""

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from service import ROOT, RUNTIME, Service, free_port

SMALL = ("--session-memory-mib", "512", "--max-sessions", "2")


@pytest.fixture(scope="module")
def place(host, service):
    """The host without the shared service."""
    service.stop()
    yield host
    service.start()


@pytest.fixture
def small(place):
    """A service with room for two sessions."""
    service = Service(place)
    service.start(*SMALL)
    yield service
    service.stop()


def nothing_is_left(host):
    """No process and no runtime file. A machine of its own may run other services, but not in that folder."""
    assert host.shell(f"ls -A {RUNTIME} 2>/dev/null; true").split() == []
    if host.is_lab:
        assert host.run("pgrep", "-x", "hearthd|hearth-vmm").split() == []
        assert host.shell("ls -A /run/hearth 2>/dev/null; true").split() == []
    return True


def test_a_full_service_says_so(small):
    client = small.client()
    client.execute("one", "1")
    client.execute("two", "2")
    response = client.post("executions", {"code": "3"}, identifier="three")
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    body = response.json()
    assert body["code"] == body["error"]["code"] == "SessionsCountExceedsLimit"
    assert body["message"] == body["error"]["message"]
    assert client.execute("one", "1 + 1").result == 2
    hearth = os.path.join(ROOT, "build", "hearth")
    result = subprocess.run([hearth, "run", "-c", "1", "--url", small.url, "--token", small.token],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert result.returncode == 3
    assert "in use" in result.stderr
    assert client.end("two").status_code == 204
    assert client.execute("three", "3").result == 3


def test_sigterm_ends_everything(small):
    client = small.client()
    client.execute("one", "1")
    pid = small.hearthd_pid()
    vmms = small.vmm_pids(pid)
    assert set(small.session_vmm_pids(client, "one")) <= set(vmms)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(client.post, "executions", {"code": "import time; time.sleep(100)"}, identifier="one")
        time.sleep(2)
        began = time.monotonic()
        small.stop()
        assert time.monotonic() - began < 30
        try:
            response = running.result(timeout=30)
            assert response.status_code in (200, 503)
        except OSError:
            pass
    assert small.gone([pid, *vmms], within=5)
    assert nothing_is_left(small.host)


def test_sessions_go_on_after_kill_minus_9(place):
    """20 executions run when hearthd is killed; they are cut off, and no session is lost."""
    service = Service(place)
    options = ("--session-memory-mib", "512", "--max-sessions", "24", "--ready-sessions", "2")
    service.start(*options)
    try:
        client = service.client()
        client.wait_until_ready(2)
        names = [f"s{i}" for i in range(22)]
        for i, name in enumerate(names):
            assert client.execute(name, f"import time\nx = {i}").ok
        pids = service.session_vmm_pids(client, *names)
        guids = {name: client.session(name)["etag"] for name in names}
        clients = [service.client().connect() for _ in range(20)]
        with ThreadPoolExecutor(20) as pool:
            running = [pool.submit(own.post, "executions", {"code": "x += 100\ntime.sleep(300)"}, identifier=name)
                       for own, name in zip(clients, names)]
            deadline = time.monotonic() + 60
            while client.health()["busy"] < 20:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            time.sleep(1)
            service.kill()
            assert sum(future.exception(timeout=60) is not None for future in running) == 20
        assert service.alive(pids) == pids
        service.start(*options)
        client = service.client()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda name: client.execute(name, "x"), names))
        # One that was cut off before its code began has not changed anything.
        assert all(a.result in (i, i + 100) for i, a in enumerate(answers[:20])), answers
        assert [a.result for a in answers[20:]] == [20, 21]
        assert {name: client.session(name)["etag"] for name in names} == guids
        client.wait_until_ready(2)
    finally:
        service.stop()
    assert service.gone(pids, within=20)
    assert nothing_is_left(place)


def test_sessions_go_on_after_an_upgrade(place):
    """SIGUSR2 ends hearthd and nothing else; suspended sessions are kept as well."""
    service = Service(place)
    options = ("--session-memory-mib", "512", "--max-sessions", "4", "--ready-sessions", "1",
               "--cooldown-seconds", "40")
    service.start(*options)
    try:
        client = service.client()
        client.execute("runs", "x = 1")
        client.execute("sleeps", "x = 2")
        client.order("suspend", "sleeps")
        pid = service.hearthd_pid()
        vmm = service.session_vmm_pids(client, "runs")
        service.host.run("kill", "-USR2", str(pid))
        assert service.gone([pid], within=20)
        assert service.alive(vmm) == vmm
        service.stop()
        service.start(*options)
        client = service.client()
        assert client.session("sleeps")["state"] == "suspended"
        assert client.execute("runs", "x").result == 1
        assert client.execute("sleeps", "x").result == 2
        # The cooldown goes on where it was.
        client.end("sleeps")
        time.sleep(25)
        service.kill()
        service.start(*options)
        assert service.gone(vmm, within=35)
    finally:
        service.stop()
    assert nothing_is_left(place)


def test_microvms_that_nobody_takes_over_end_by_themselves(place):
    service = Service(place)
    options = (*SMALL, "--orphan-timeout-seconds", "3")
    service.start(*options)
    try:
        client = service.client()
        client.execute("one", "x = 1")
        vmms = service.session_vmm_pids(client, "one")
        service.kill()
        assert service.gone(vmms, within=30), "a VM outlived its hearthd"
        service.start(*options)
        assert "NameError" in service.client().execute("one", "x").stderr
    finally:
        service.stop()
    assert nothing_is_left(place)


def test_a_damaged_template_is_made_anew(place):
    folder = "/tmp/hearth-e2e-templates"
    options = (*SMALL, "--ready-sessions", "1", "--template-dir", folder)
    service = Service(place)
    try:
        service.start(*options)
        service.client().wait_until_ready(1)
        service.stop()
        before = place.shell(f"cd {folder}/[0-9a-f]*/ && cat inputs && stat -c %i state && printf damage | "
                             "dd of=state bs=1 seek=1000 conv=notrunc 2>/dev/null")
        service.start(*options)
        client = service.client()
        client.wait_until_ready(1)
        assert client.execute("one", "6 * 7").result == 42
        after = place.shell(f"cd {folder}/[0-9a-f]*/ && cat inputs && stat -c %i state")
        assert before.splitlines()[:-1] == after.splitlines()[:-1]
        assert before != after
    finally:
        service.stop()
        place.shell(f"rm -rf {folder}")
    assert nothing_is_left(place)


def test_a_vmm_that_is_killed_costs_its_session_only(small):
    client = small.client()
    client.execute("victim", "x = 1")
    victim = small.session_vmm_pids(client, "victim")
    client.execute("other", "y = 2")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(client.post, "executions", {"code": "import time; time.sleep(100)"}, identifier="victim")
        time.sleep(2)
        small.host.run("kill", "-9", *map(str, victim))
        response = running.result(timeout=60)
    assert response.status_code in (200, 500, 502, 503)
    assert response.status_code != 200 or response.json()["status"] == "Failed"
    assert client.execute("other", "y").result == 2
    assert "NameError" in client.execute("victim", "x").stderr


def test_a_vmm_that_stands_still_for_a_while_goes_on(small):
    client = small.client()
    client.execute("other", "y = 2")
    vmm = small.session_vmm_pids(client, "other")
    small.host.run("kill", "-STOP", *map(str, vmm))
    time.sleep(1)
    small.host.run("kill", "-CONT", *map(str, vmm))
    assert client.execute("other", "y").result == 2


def test_a_taken_port_is_told_at_once(small):
    port = urlsplit(small.url).port
    environment = {**small.host.environment, "HEARTH_PORT": str(port)}
    result = subprocess.run(["scripts/serve"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=30)
    assert result.returncode != 0
    assert "taken" in result.stderr or "serves at" in result.stderr


def test_idle_sessions_end_by_themselves(place):
    service = Service(place)
    service.start("--session-memory-mib", "512", "--max-sessions", "2", "--cooldown-seconds", "5")
    try:
        client = service.client()
        client.execute("idle", "x = 1")
        vmms = service.session_vmm_pids(client, "idle")
        assert service.gone(vmms, within=40)
        assert "NameError" in client.execute("idle", "x").stderr
    finally:
        service.stop()


def test_serve_shows_the_demo_and_leaves_nothing(place):
    """What `make demo` runs once everything is built."""
    port = {} if place.is_lab else {"HEARTH_PORT": str(free_port())}
    result = subprocess.run(["scripts/serve", "--once"], cwd=ROOT, env={**place.environment, **port},
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "All of it worked." in result.stdout
    assert nothing_is_left(place)


def test_the_demo_says_when_it_fails(place):
    environment = {**place.environment, "HEARTH_URL": f"http://127.0.0.1:{free_port()}"}
    result = subprocess.run(["scripts/demo"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 1
    assert "FAILED" in result.stdout
