"""Sessions that end, are wanted, or are taken over, at an awkward moment: hearthd goes on, and nothing that was promised is lost."""

import json
import os
import signal
import socket
import sqlite3
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests

from played import NEW, OPTIONS, Service, wait_until

MCP_SESSION = "11111111-1111-1111-1111-111111111111"
POOL = "sessionPools/spare"


def in_background(function, *arguments, **options):
    """Whose answer does not matter."""
    def run():
        try:
            function(*arguments, **options)
        except requests.RequestException:
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def mcp(service, method, **options):
    return requests.request(method, f"{service.hearthd.url}/mcp", timeout=20, headers={
        "Authorization": f"Bearer {service.hearthd.token}", "Mcp-Session-Id": MCP_SESSION, "Accept": "application/json"}, **options)


def call(number, code):
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "run_python", "arguments": {"code": code}}}


def health(service):
    return service.request("GET", "healthz").json()


def wait_for_health(service, is_well, what):
    wait_until(lambda: is_well(health(service)), what)


def send_request(service, line, body=b"", **headers):
    """Returns its connection, for the rest of it or for an answer."""
    where = urlsplit(service.hearthd.url)
    connection = socket.create_connection((where.hostname, where.port), timeout=20)
    lines = [f"{line} HTTP/1.1", "Host: hearth.example", f"Authorization: Bearer {service.hearthd.token}",
             *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return connection


def n_microvms(service):
    return len(set(os.listdir(service.hearthd.runtime)) - {"lock"})


# ---- an end that sets off another ----


@pytest.fixture
def batch(start, tmp_path, monkeypatch):
    """An execution goes on whose end has another one cancelled, which waits in the same session."""
    monkeypatch.setenv("MALLOC_PERTURB_", "165")
    service = Service(start(*OPTIONS), tmp_path)
    in_background(mcp, service, "POST", json=[call(1, "silence_after_the_start"), {
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}])
    wait_for_health(service, lambda now: now["sessions"]["busy"] == 1, "nothing runs")
    in_background(mcp, service, "POST", json=call(2, "honest"))
    wait_for_health(service, lambda now: now["executionsQueued"] == 1, "nothing waits")
    return service


def test_a_cancellation_as_a_session_is_deleted(batch):
    assert mcp(batch, "DELETE").status_code == 204
    assert batch.execute("another", "honest").status == "Succeeded"
    batch.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_cancellation_as_hearthd_ends(batch, start, tmp_path, number):
    batch.hearthd.process.send_signal(number)
    assert batch.hearthd.process.wait(20) == 0
    Service(start(*OPTIONS, "--runtime-dir", batch.hearthd.runtime), tmp_path).end()  # with what was left to it


def test_an_upload_whose_pool_is_deleted(start, tmp_path, monkeypatch):
    monkeypatch.setenv("MALLOC_PERTURB_", "165")
    service = Service(start(*OPTIONS), tmp_path)
    assert service.request("PUT", POOL, json={"properties": {"maxConcurrentSessions": 2}}).status_code == 201
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="honest"\r\n\r\nabc\r\n--b--\r\n'
    with send_request(service, f"POST /{POOL}/files?api-version={NEW}&identifier=a", Content_Length=len(body),
                      Content_Type="multipart/form-data; boundary=b", Expect="100-continue") as connection:
        assert b"100 Continue" in connection.recv(4096)
        assert service.request("DELETE", POOL).status_code == 204
        connection.sendall(body)
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 404 ") and b"The session pool was deleted." in answer
    service.end()


# ---- idle and suspended ----


def test_a_cooldown_that_was_counted_while_hearthd_stood_still(start, tmp_path):
    """With suspend-after-seconds 0 nothing is suspended by itself. A locked database holds hearthd up for a second."""
    service = Service(start(*OPTIONS, "--min-cooldown-seconds", "1", "--cooldown-seconds", "3"), tmp_path)
    assert service.execute("a", "honest").status == "Succeeded"
    database = sqlite3.connect(os.path.join(service.hearthd.folder, "hearth.db"), isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    assert service.request("PATCH", "sessionPools/default", json={"properties": {"maxConcurrentSessions": 9}}).status_code == 503
    database.execute("ROLLBACK")
    database.close()
    wait_until(lambda: service.request("GET", "session", "a").status_code == 404, "it does not end")
    assert "suspended" not in service.hearthd.log()
    service.end()


def test_a_session_that_is_wanted_as_it_is_suspended_and_has_no_room(start, tmp_path):
    service = Service(start(*OPTIONS, "--boot-timeout-seconds", "30"), tmp_path)
    for identifier in "abc":
        assert service.execute(identifier, "honest").status == "Succeeded"
    pid = service.stop_vmm("a")
    in_background(service.request, "POST", "session/suspend", "a")
    wait_until(lambda: service.request("GET", "session", "a").json()["state"] == "saving", "it is not saved")
    told = []
    waits = in_background(lambda: told.append(service.order("a", "honest")))
    wait_for_health(service, lambda now: now["executionsQueued"] == 1, "nothing waits")
    assert service.request("PATCH", "sessionPools/default", json={
        "properties": {"scaleConfiguration": {"maxConcurrentSessions": 2}}}).status_code == 200
    os.kill(pid, signal.SIGCONT)
    waits.join(20)
    assert told[0].status_code == 500 and "the maximum active sessions count is '2'" in told[0].text
    assert service.request("GET", "session", "a").json()["state"] == "suspended"
    assert service.request("DELETE", "session", "b").status_code in (200, 204)
    assert service.execute("a", "honest").status == "Succeeded", "it goes on"
    service.end()


def test_orders_whose_clients_have_gone(start, tmp_path):
    """They wait for an execution that goes on: no more of them than may wait."""
    service = Service(start(*OPTIONS, "--max-queued", "3"), tmp_path)
    in_background(service.order, "a", "silence_after_the_start", 30)
    wait_for_health(service, lambda now: now["sessions"]["busy"] == 1, "nothing runs")
    for _ in range(3):
        send_request(service, f"POST /session/suspend?api-version={NEW}&identifier=a", Content_Length=0).close()
    time.sleep(0.5)
    refused = service.request("POST", "session/suspend", "a")
    assert refused.status_code == 429 and refused.json()["error"]["code"] == "SessionQueueFull", refused.text
    assert service.hearthd.stop() == 0


def test_a_template_whose_agent_does_not_answer(start, tmp_path):
    """In the clone in which hearthd looks what it touches: that ends, and the template can be used."""
    service = Service(start(*OPTIONS, "--boot-timeout-seconds", "1"), tmp_path)
    assert service.execute("a", "honest").status == "Succeeded"
    (tmp_path / "recorder").write_text("silence")
    assert service.request("PUT", "templates/mine", json={"fromSession": "a"}).status_code == 201
    assert n_microvms(service) == 2
    service.wait_for_log("template=mine has no working set, first executions are slower: its agent does not answer", 20)
    wait_until(lambda: n_microvms(service) == 1, "its microVM stays")
    service.end()


# ---- an earlier hearthd's ----


def kill(service):
    service.hearthd.process.kill()
    service.hearthd.process.wait()


def test_a_session_whose_life_was_over_before_the_start(start, tmp_path):
    options = *OPTIONS, "--lifecycle", "MaxLifetime", "--max-alive-seconds", "2", "--orphan-timeout-seconds", "10", "--runtime-dir", tmp_path / "run"
    service = Service(start(*options), tmp_path)
    service.hearthd.runtime = tmp_path / "run"
    assert service.execute("a", "honest").status == "Succeeded"
    pid = service.vmm_pid("a")
    kill(service)
    os.kill(pid, signal.SIGKILL)
    time.sleep(2.1)
    again = Service(start(*options), tmp_path)
    assert again.execute("a", "honest").status == "Succeeded"
    again.end()


def test_a_template_of_the_same_name_is_not_the_same(start, tmp_path):
    """A session's memory is a difference over the one that was there: over another it would be lost."""
    options = *OPTIONS, "--orphan-timeout-seconds", "10", "--runtime-dir", tmp_path / "run"
    service = Service(start(*options), tmp_path)
    assert service.execute("a", "honest").status == "Succeeded"
    assert service.request("PUT", "templates/mine", json={"fromSession": "a"}).status_code == 201
    assert service.request("PUT", POOL, json={"properties": {"maxConcurrentSessions": 5, "templateName": "mine"}}).status_code == 201
    for identifier in "bc":
        assert service.request("POST", f"{POOL}/executions", identifier, json={"code": "honest"}).status_code == 200
    kill(service)
    service = Service(start(*options), tmp_path)
    saved = service.request("POST", f"{POOL}/session/suspend", "b")
    assert saved.status_code == 200, saved.text
    assert service.request("PATCH", POOL, json={"properties": {"templateName": ""}}).status_code == 200
    assert service.request("DELETE", "templates/mine").status_code == 204
    assert service.request("PUT", "templates/mine", json={"fromSession": "a"}).status_code == 201
    kill(service)
    again = Service(start(*options), tmp_path)
    refused = again.request("POST", f"{POOL}/session/suspend", "c")
    assert refused.status_code >= 400, refused.text
    assert again.request("POST", f"{POOL}/executions", "c", json={"code": "honest"}).status_code == 200, "it goes on"
    again.end()


def test_a_pool_that_cannot_run_for_a_while(start, tmp_path):
    """What it has saved waits for it."""
    identities = tmp_path / "identities"
    identities.write_text(json.dumps({"one": {"token": "t"}}))
    identities.chmod(0o600)
    options = *OPTIONS, "--orphan-timeout-seconds", "10", "--runtime-dir", tmp_path / "run"
    service = Service(start(*options, "--identity-file", identities), tmp_path)
    assert service.request("PUT", POOL, json={"properties": {
        "maxConcurrentSessions": 5, "managedIdentitySettings": [{"identity": "one", "lifecycle": "Main"}]}}).status_code == 201
    for identifier in "ab":
        assert service.request("POST", f"{POOL}/executions", identifier, json={"code": "honest"}).status_code == 200
    assert service.request("POST", f"{POOL}/session/suspend", "a").status_code == 200
    service.hearthd.process.send_signal(signal.SIGUSR2)
    assert service.hearthd.process.wait(10) == 0
    without = Service(start(*options), tmp_path)
    assert "pool=spare cannot run" in without.hearthd.log() and "left 1 sessions in pools that cannot run" in without.hearthd.log()
    without.hearthd.process.send_signal(signal.SIGUSR2)
    assert without.hearthd.process.wait(10) == 0
    again = Service(start(*options, "--identity-file", identities), tmp_path)
    assert again.request("GET", f"{POOL}/session", "a").json()["state"] == "suspended"
    assert again.request("POST", f"{POOL}/executions", "b", json={"code": "honest"}).status_code == 200
    assert "source=boot" not in again.hearthd.log(), "it goes on in its own microVM"
    again.end()
