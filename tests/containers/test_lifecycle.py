"""How a session of a container lives, is seen, and ends."""

import json
import threading
import time

import pytest

from conftest import OPTIONS, RUNTIME


def until(what, within=60):
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_it_is_shown_listed_and_stopped_with_the_sentences_of_azure(echo_pool):
    session = echo_pool.session()
    session.get("x")
    shown = session.manage("POST", "getSession").json()
    assert shown["identifier"] == session.identifier
    listed = echo_pool.client.request("POST", ".management/listSessions", params={"skip": 0}).json()
    assert session.identifier in [one["identifier"] for one in listed["value"]]
    stopped = session.manage("POST", "stopSession")
    assert stopped.status_code == 200 and stopped.headers["Content-Type"].startswith("text/plain")
    assert stopped.text == f"Session {session.identifier} in session pool {echo_pool.name} stopped."
    again = session.manage("POST", "stopSession")
    assert again.status_code == 400 and again.text == "Failed to stop session, session not found."
    assert session.manage("POST", "getSession").status_code == 400


def test_the_other_paths_are_the_containers(echo):
    for path in ("executions", "files", "session", "mcp", "code/execute"):
        assert echo.get(path)["target"].startswith(f"/{path}?")


def test_a_request_needs_an_identifier(echo_pool):
    assert echo_pool.client.request("GET", "x", version=None).status_code == 400


def test_it_ends_with_its_cooldown(make_pool):
    pool = make_pool("echo", dynamicPoolConfiguration={"lifecycleConfiguration": {
        "lifecycleType": "Timed", "cooldownPeriodInSeconds": 2}})
    session = pool.session()
    stream = session.request("GET", "stream?count=40&ms=100", stream=True)
    lines = [line for line in stream.iter_lines()]
    assert len(lines) == 40 and session.show()  # 4 s, and it was in use
    until(lambda: session.show() is None)
    text, ended = session.logs()
    assert "cooldown" in ended["reason"]


def test_it_lives_until_its_container_ends(make_pool):
    pool = make_pool("echo", dynamicPoolConfiguration={"lifecycleConfiguration": {
        "lifecycleType": "OnContainerExit", "maxAlivePeriodInSeconds": 600}})
    session = pool.session()
    session.get("log?text=before+the+end")
    assert session.get("exit?status=7&ms=100")
    until(lambda: session.show() is None)
    text, ended = session.logs()
    assert "before the end" in text["stdout"]
    assert ended["exitCode"] == 7 and ended["signal"] == 0 and ended["ranInMicroseconds"] > 0
    again = session.get("random")  # the same identifier gets a fresh one
    assert again["counter"] == 1
    session.end()


def test_it_ends_with_the_longest_life_that_it_may_have(make_pool):
    pool = make_pool("echo", dynamicPoolConfiguration={"lifecycleConfiguration": {
        "lifecycleType": "OnContainerExit", "maxAlivePeriodInSeconds": 5}})
    session = pool.session()
    session.get("x")
    until(lambda: session.show() is None)
    assert "maxAlivePeriodInSeconds" in session.logs()[1]["reason"]


def test_its_end_begins_with_its_stop_signal(make_pool):
    pool = make_pool("busybox", container={"command": ["/bin/busybox", "sh", "-c"], "args": [
        "trap 'exit 0' TERM; while true; do /bin/busybox nc -l -p 7000 -e /bin/busybox cat; done & wait"]},
        template={"ingress": {"targetPort": 7000}})
    session = pool.session()
    assert session.request("GET", "x").status_code == 502  # it answers with what it was asked
    log = pool.service.log()
    began = time.monotonic()
    session.end()
    until(lambda: f"identifier={session.identifier} state=cooling->destroyed" in pool.service.log()[len(log):])
    assert time.monotonic() - began < 5  # not killed after its time


def test_its_log_is_followed_until_it_ends(echo):
    echo.get("log?text=first")
    lines, done = [], threading.Event()

    def follow():
        response = echo.manage("GET", "session/logs", params={"follow": "true"}, stream=True,
                               headers={"Accept": "application/x-ndjson"})
        for line in response.iter_lines():
            lines.append(json.loads(line))
        done.set()

    threading.Thread(target=follow, daemon=True).start()
    until(lambda: any("first" in line.get("text", "") for line in lines))
    echo.get("log?text=second+%C3%A4&to=stderr")
    until(lambda: any(line.get("stream") == "stderr" and "second ä" in line["text"] for line in lines))
    assert not done.is_set()
    echo.end()
    assert done.wait(60)
    assert "deleted" in lines[-1]["ended"]["reason"]
    plain = echo.manage("GET", "session/logs")
    assert plain.headers["Content-Type"].startswith("text/plain")
    assert "first\n" in plain.text and "second" in plain.text


def test_there_is_no_log_of_a_session_that_never_was(echo_pool):
    assert echo_pool.session("never-was").manage("GET", "session/logs").status_code == 404


def test_fork_suspend_and_resume(echo_pool):
    session = echo_pool.session()
    assert session.get("random")["counter"] == 1
    fork = echo_pool.session()
    response = session.manage("POST", "session/fork", params={"target": fork.identifier})
    assert response.status_code == 201, response.text
    assert fork.get("random")["counter"] == 2 and session.get("random")["counter"] == 2
    assert f"HEARTH_SESSION_IDENTIFIER={fork.identifier}" in fork.get("environment")["handedOver"]
    assert session.manage("POST", "session/suspend").status_code == 200
    assert session.show()["state"] == "suspended"
    assert session.get("random")["counter"] == 3
    session.get("log?text=still+heard")
    until(lambda: "still heard" in session.logs()[0]["stdout"])
    session.end(), fork.end()


def test_a_session_outlives_hearthd(echo_pool, service):
    session = echo_pool.session()
    assert session.get("random")["counter"] == 1
    service.kill()
    service.start(*OPTIONS)
    url = f"{service.url}/sessionPools/{echo_pool.name}"
    echo_pool.client.url, echo_pool.client.service_url = url, service.url
    assert session.get("random")["counter"] == 2
    session.get("log?text=heard+by+the+next")
    until(lambda: "heard by the next" in session.logs()[0]["stdout"])
    session.end()


def test_the_container_is_killed_in_mid_request(echo):
    response = echo.request("GET", "exit?status=9")
    assert response.status_code == 502, response.text
    until(lambda: echo.show() is None)
    assert echo.logs()[1]["exitCode"] == 9
    assert echo.get("random")["counter"] == 1


@pytest.mark.parametrize("victim", ["vmm", "agent"])
def test_what_serves_it_is_killed_in_mid_request(echo, echo_pool, service, victim):
    other = echo_pool.session()
    other.get("random")
    echo.get("random")
    vmm = service.host.shell(f"cat {RUNTIME}/{echo.show()['vmId']}/pid").strip()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(echo_pool.service.client(echo_pool.name).request(
        "GET", "slow?ms=60000", version=None, identifier=echo.identifier)))
    thread.start()
    time.sleep(1)
    if victim == "vmm":
        service.host.run("kill", "-9", vmm)
    else:
        assert "pages" in service.host.run("tests/e2e/kill_agent.py", vmm)
        assert echo.request("GET", "x").status_code == 502  # it ends as soon as it has something to do
    thread.join(50)
    assert answers and answers[0].status_code == 502, answers and answers[0].text
    assert other.get("random")["counter"] == 2
    assert echo.get("random")["counter"] == 1
    other.end()
