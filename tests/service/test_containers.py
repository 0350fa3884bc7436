"""
Sessions of containers, as far as no guest need run: lying_vmm.py plays the agent, and what it tells of the container.
"""

import contextlib
import json
import re
import threading
import time

import pytest
import requests

from played import OPTIONS, hearth_image, import_image, wait_until
from proxied import IMAGE, ServiceOfContainers

SECRET = "do-not-tell-anybody-4711"


class Web(ServiceOfContainers):
    """A pool of containers, and one of its sessions at a time."""

    def pool(self, method, name="web", image=IMAGE, **settings):
        container = {"image": image, "name": "web", "env": [{"name": "KEY", "secretRef": "key"}]}
        body = {"location": "here", "properties": {
            "containerType": "CustomContainer", "environmentId": "e",
            "scaleConfiguration": {"maxConcurrentSessions": 9, "readySessionInstances": 0},
            "secrets": [{"name": "key", "value": SECRET}],
            "customContainerTemplate": {"containers": [container], "ingress": {"targetPort": 80}}, **settings}}
        return requests.request(method, f"{self.hearthd.url}/sessionPools/{name}", timeout=60, json=body if method == "PUT" else None,
                                headers={"Authorization": f"Bearer {self.hearthd.token}"})

    def call(self, path="", identifier="a", method="GET", pool="web", **options):
        headers = {"Authorization": f"Bearer {self.hearthd.token}", **options.pop("headers", {})}
        separator = "&" if "?" in path else "?"
        return requests.request(method, f"{self.hearthd.url}/sessionPools/{pool}/{path}{separator}identifier={identifier}",
                                headers=headers, timeout=60, **options)

    def logs(self, identifier="a", **options):
        response = self.call(".management/session/logs", identifier, headers={"Accept": "application/x-ndjson"}, **options)
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.text.splitlines()]

    def start_as(self, how):
        (self.folder / "container").write_text(how)

    def say(self, *lines):
        with open(self.folder / "words", "a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def wait_for_text(self, text, identifier="a"):
        wait_until(lambda: text in self.call(".management/session/logs", identifier).text, f"{text!r} is not in its log")


def stream(name, data):
    return f"{name} {data.hex()}"


def text_of(lines, name="stdout"):
    return "".join(line["text"] for line in lines if line.get("stream") == name)


@pytest.fixture
def options():
    return "--boot-always", "true"


@pytest.fixture
def web(start, tmp_path, options):
    import_image(tmp_path, IMAGE)
    at = OPTIONS.index("--boot-always")
    hearthd = start(*OPTIONS[:at], *OPTIONS[at + 2:], "--min-cooldown-seconds", "1", "--log-level", "debug", "--image-dir", str(tmp_path / "images"), *options)
    web = Web(hearthd, tmp_path)
    response = web.pool("PUT")
    assert response.status_code == 201, response.text
    assert SECRET not in response.text
    yield web
    web.end()
    assert SECRET not in web.hearthd.log()


# ---- how one starts ----


def test_one_is_told_whose_it_is(web):
    assert web.call("x").text == "ok"
    told = dict(line.split("=", 1) for line in (web.folder / "environment").read_bytes().decode().rstrip("\0").split("\0"))
    assert told.keys() == {"HEARTH_SESSION_IDENTIFIER", "HEARTH_SESSION_ID", "HEARTH_SESSION_POOL"}
    assert (told["HEARTH_SESSION_IDENTIFIER"], told["HEARTH_SESSION_POOL"]) == ("a", "web")
    assert web.call(".management/session").json()["identifier"] == "a"


@pytest.mark.parametrize("how, sentence", [
    ("exits", "it exited with status 3"),
    ("exits", "it wrote last: \"the last"),
    ("never_ready", "it was not ready within 3 s (boot-timeout-seconds); it wrote last: \"still waiting"),
    ("refuses", "there is no \ufffd such layer"),
    ("sends_nonsense", "the agent broke the protocol"),
    ("answers_for_others", "the agent broke the protocol"),
    ("vanishes", "the agent closed the connection")])
def test_one_that_does_not_start(web, how, sentence):
    web.start_as(how)
    response = web.call("x")
    assert response.status_code in (500, 502, 503), response.text
    assert sentence in response.json()["error"]["message"], response.text
    assert SECRET not in response.text and "\x1b" not in response.text
    # The next one does.
    web.start_as("honest")
    assert web.call("x").text == "ok"


def test_the_log_of_one_that_did_not_start_is_kept(web):
    web.start_as("exits")
    assert web.call("x").status_code >= 500
    *said, last = web.logs()
    assert text_of(said) == "x" * 2000 + "\nthe last \x1b[31mwords\n"
    assert (last["ended"]["exitCode"], last["ended"]["signal"], last["ended"]["ranInMicroseconds"]) == (3, 0, 1000)
    assert "it exited with status 3" in last["ended"]["reason"]


@pytest.mark.parametrize("how", ["floods", "floods_states"])
def test_a_flood_harms_nobody(web, how):
    web.start_as(how)
    assert web.call("x", "flood").text == "ok"
    before = web.processor_s()
    for _ in range(20):
        began = time.monotonic()
        assert web.call("x", "flood").text == "ok"
        assert time.monotonic() - began < 2
        time.sleep(0.05)
    used = web.processor_s() - before
    print(f"{how}: {used:.2f} s of CPU")
    assert used < 2
    assert len(web.call(".management/session/logs", "flood").content) <= 64 << 10
    assert web.peak_kib() < 64 << 10
    assert web.call(".management/session", "flood", "DELETE").status_code in (200, 204)


# ---- how one ends ----


def test_one_is_asked_to_end(web):
    web.call("x")
    assert web.call(".management/session", method="DELETE").status_code in (200, 204)
    wait_until((web.folder / "stopped").exists, "it was not asked", timeout=5)
    web.wait_for_log("state=cooling->destroyed", timeout=3)


def test_one_that_does_not_end_is_ended(web):
    web.start_as("deaf")
    web.call("x")
    web.call(".management/session", method="DELETE")
    # Meanwhile there may be another one of that name.
    assert web.call("x").text == "ok"
    web.wait_for_log("state=cooling->destroyed", timeout=12)


def test_one_that_exits_ends_its_session(web):
    web.call("x")
    web.say(stream("stderr", b"bye\n"), "exit 7 0")
    web.wait_for_log("state=cooling->destroyed")
    *said, last = web.logs()
    assert text_of(said, "stderr") == "bye\n"
    assert last["ended"] == {"reason": "its container has ended: as the test wanted", "exitCode": 7, "signal": 0, "ranInMicroseconds": 1000}
    assert web.call(".management/session").status_code == 404


@pytest.mark.parametrize("how", ["honest", "never_ready", "deaf", "floods"])
def test_hearthd_stops_in_any_phase(web, how):
    web.start_as(how)
    threads = [threading.Thread(target=quietly, args=(web, name)) for name in "abc"]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    web.call(".management/session", "a", "DELETE")
    began = time.monotonic()
    assert web.hearthd.stop() == 0
    assert time.monotonic() - began < 12
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("how", ["honest", "never_ready", "deaf", "floods"])
@pytest.mark.parametrize("options", [("--boot-always", "true"), ()], ids=["boot", "template"])
def test_a_pool_goes_in_any_phase(web, how):
    web.start_as(how)
    for wait_s in 0, 0.2, 0.6:
        thread = threading.Thread(target=quietly, args=(web, "a"))
        thread.start()
        time.sleep(wait_s)
        assert web.pool("DELETE").status_code in (200, 202, 204)
        thread.join()
        assert web.call(".management/session/logs").status_code == 404
        assert web.pool("PUT").status_code in (200, 201)


def quietly(web, name):
    with contextlib.suppress(requests.ConnectionError):
        web.call("x", name)


# ---- logs ----


def test_logs_as_text_and_as_objects(web):
    web.call("x")
    web.say(stream("stdout", b"one\n"), stream("stderr", "z\u00fcr\u00fcck\n".encode()), stream("stdout", b"\xff\0\x1b two\n"), "dropped 12",
            stream("stdout", b"end\n"))
    web.wait_for_text("end\n")
    response = web.call(".management/session/logs")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content == "one\nz\u00fcr\u00fcck\n".encode() + b"\xff\0\x1b two\nend\n"
    lines = web.logs()
    assert text_of(lines) == "one\n\ufffd\0\x1b two\nend\n" and text_of(lines, "stderr") == "z\u00fcr\u00fcck\n"
    assert {"droppedBytes": 12} in lines and not any("ended" in line for line in lines)


def test_a_character_that_is_cut(web):
    web.call("x")
    euro = "\u20ac".encode()
    web.say(stream("stdout", b"a" + euro[:1]), stream("stderr", b"b" + euro[:2]), stream("stdout", euro[1:]), stream("stderr", euro[2:]),
            stream("stdout", b"c" + euro[:2]))
    web.wait_for_text("c")
    assert text_of(web.logs()) == "a\u20acc\ufffd" and text_of(web.logs(), "stderr") == "b\u20ac"


def test_one_follows(web):
    web.call("x")
    web.say(stream("stdout", b"before\n"))
    response = web.call(".management/session/logs?follow=true", headers={"Accept": "application/x-ndjson"}, stream=True)
    lines = response.iter_lines()
    assert json.loads(next(lines)) == {"stream": "stdout", "text": "before\n"}
    # More than is kept, and none of it is missed by who follows.
    total = 0
    for i in range(20):
        web.say(stream("stdout", bytes([97 + i]) * 10000))
        while total < 10000 * (i + 1):
            line = json.loads(next(lines))
            assert "droppedBytes" not in line
            total += len(line["text"])
    assert sum(line.get("droppedBytes", 0) for line in web.logs()) > 100000
    web.say("exit 0 9")
    last = json.loads(next(lines))
    assert last["ended"]["signal"] == 9
    assert next(lines, None) is None


def test_a_follower_that_goes(web):
    web.call("x")
    for _ in range(5):
        response = web.call(".management/session/logs?follow=true", stream=True)
        assert response.status_code == 200
        response.close()
    web.say(stream("stdout", b"x" * 1000))
    web.wait_for_text("x")
    assert web.call("x").text == "ok"


def test_hearthd_stops_with_a_follower_that_does_not_read(web):
    web.start_as("floods")
    web.call("x")
    response = web.call(".management/session/logs?follow=true", stream=True)
    time.sleep(1)
    assert web.hearthd.stop() == 0
    response.close()


def test_sessions_that_there_are_not(web):
    response = web.call(".management/session/logs", "nobody")
    assert response.status_code == 404 and "'nobody'" in response.json()["error"]["message"]
    assert web.call("executions", "py", "POST", pool="default", json={}).status_code != 200
    assert web.call(".management/session/logs", "py", pool="default").status_code == 404


def test_what_has_gone_is_kept_apart(web):
    for name in "ab":
        web.call("x", name)
    web.say(stream("stdout", b"mine\n"))
    for name in "ab":
        web.wait_for_text("mine", name)
        assert web.call(".management/session", name, "DELETE").status_code in (200, 204)
    for name in "ab":
        lines = web.logs(name)
        assert text_of(lines) == "mine\n"
        assert lines[-1]["ended"] == {"reason": "the session was deleted"}
    # The one that has its name now has its own.
    (web.folder / "words").unlink()
    web.call("x", "a")
    assert web.logs("a") == []


# ---- images and templates ----


def test_an_image_that_there_is_not(web):
    response = web.pool("PUT", "other", "registry.example/none:2")
    assert response.status_code == 404, response.text
    assert "There is no image 'registry.example/none:2': import it with `hearth image import" in response.json()["error"]["message"]
    assert web.pool("GET", "other").status_code == 404


def test_an_image_that_is_removed(web):
    hearth_image(web.folder, "rm", IMAGE)
    hearth_image(web.folder, "prune")
    assert web.call("x").text == "ok"  # a pool that is there keeps what it runs
    response = web.pool("PUT")
    assert response.status_code == 404 and "import it" in response.json()["error"]["message"]
    assert web.call("x", "b").text == "ok"


@pytest.mark.parametrize("options", [()])
@pytest.mark.parametrize("how, sentence", [
    ("exits", "its container ended before it was ready: it exited with status 3; it wrote last: \"the last"),
    ("refuses", "its container could not be started: there is no"),
    ("never_ready", r"its container was not ready within 3 s \(boot-timeout-seconds\); it wrote last: \"still waiting")])
def test_a_template_that_fails_is_tried_again(web, how, sentence):
    web.start_as(how)
    web.call("x")
    web.wait_for_log(rf"state=failed retry_s=5: {sentence}")
    web.start_as("honest")
    assert web.call("x").text == "ok"
    assert len(re.findall("state=building", web.hearthd.log())) == 1
    if how == "exits":
        time.sleep(5)
        assert web.call("x", "b").text == "ok"
        assert len(re.findall("state=building", web.hearthd.log())) == 2
    assert not re.search("\x1b", web.hearthd.log())
