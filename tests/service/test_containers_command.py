"""What `hearth` has for pools of containers, against hearthd with an image that was imported; no container starts."""

import contextlib
import json
import os
import signal
import subprocess
import threading

import pytest

from archives import file, layer
from conftest import ROOT, environment_for
from container import Container
from played import import_image

HEARTH = os.path.join(ROOT, "build", "hearth")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for tag in "app:1", "app:2":
        import_image(folder, tag, [layer(file("app", tag.encode()))])
    return str(folder / "images")


@pytest.fixture
def hearthd(start, images):
    return start("--image-dir", images)


def order(hearthd, *arguments):
    result = hearthd.hearth("sessionpool", *arguments, "-o", "json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["properties"]


def refused(hearthd, *arguments):
    result = hearthd.hearth("sessionpool", *arguments)
    assert result.returncode == 2, (result.stdout, result.stderr)
    return result.stderr


CREATE = ("create", "Web", "--image", "app:1", "--target-port", "8080", "--ready-sessions", "0")


# ---- pools ------------------------------------------------------------------------------------------------------------

def test_create_makes_a_pool_of_containers(hearthd):
    pool = order(hearthd, *CREATE, "--environment", "e", "--cpu", "0.5", "--memory", "0.5Gi", "--env-vars", "MODE=fast",
                 "KEY=secretref:key", "--secrets", "key=hidden", "--command", "/app", "sub", "--args=-v", "a b",
                 "--startup-probe", "http:8080/health", "--max-alive-period", "600")
    assert pool["containerType"] == "CustomContainer" and pool["secrets"] == [{"name": "key"}]
    assert pool["customContainerTemplate"] == {
        "containers": [{
            "image": "app:1", "name": "web", "command": ["/app", "sub"], "args": ["-v", "a b"],
            "env": [{"name": "MODE", "value": "fast"}, {"name": "KEY", "secretRef": "key"}],
            "probes": [{"type": "Startup", "httpGet": {"path": "/health", "port": 8080}}],
            "resources": {"cpu": 0.5, "memory": "0.5Gi"}}],
        "ingress": {"targetPort": 8080}}
    lifecycle = pool["dynamicPoolConfiguration"]["lifecycleConfiguration"]
    assert lifecycle["maxAlivePeriodInSeconds"] == 600 and lifecycle["lifecycleType"] in ("OnContainerExit", "MaxLifetime")
    assert "\tapp:1\n" in hearthd.hearth("sessionpool", "list", "-o", "tsv").stdout


def test_an_update_of_the_image_keeps_the_rest(hearthd):
    before = order(hearthd, *CREATE, "--cpu", "0.5", "--env-vars", "KEY=secretref:key", "--secrets", "key=hidden", "other=x",
                   "--liveness-probe", "tcp:8080")
    after = order(hearthd, "update", "Web", "--image", "app:2")
    before["customContainerTemplate"]["containers"][0]["image"] = "app:2"
    assert after == before
    after = order(hearthd, "update", "Web", "--memory", "2Gi", "--env-vars", "", "--secrets", "other", "--target-port", "81",
                  "--liveness-probe", "")
    container = after["customContainerTemplate"]["containers"][0]
    assert container["image"] == "app:2" and container["resources"] == {"cpu": 0.5, "memory": "2Gi"} == after["resources"]
    assert not container.get("env") and not container.get("probes") and after["secrets"] == [{"name": "other"}]
    assert after["customContainerTemplate"]["ingress"] == {"targetPort": 81}


def test_snapshot_is_kept(hearthd):
    pool = order(hearthd, *CREATE, "--snapshot", "BeforeEntrypoint")
    assert pool["customContainerTemplate"]["snapshot"] == "BeforeEntrypoint"
    assert order(hearthd, "update", "Web", "--snapshot", "Running")["customContainerTemplate"]["snapshot"] == "Running"


def test_what_cannot_be_had_is_said(hearthd):
    assert "hearth image import" in refused(hearthd, *CREATE, "--registry-server", "r")
    assert "--startup-probe" in refused(hearthd, *CREATE, "--probe-yaml", "probes.yaml")
    assert "--mi-user-assigned" in refused(hearthd, *CREATE, "--mi-system-assigned")
    assert "keeps its type" in refused(hearthd, "update", "Web", "--container-type", "Shell")
    assert "--image is missing" in refused(hearthd, "create", "web", "--container-type", "CustomContainer")
    assert "PythonLTS" in refused(hearthd, *CREATE, "--container-type", "PythonLTS")
    unknown = hearthd.hearth("sessionpool", "create", "web", "--image", "app:3", "--target-port", "80")
    assert unknown.returncode == 4 and "app:3" in unknown.stderr
    assert "runs no container" in refused(hearthd, "update", "default", "--image", "app:1")
    assert hearthd.hearth("sessionpool", "update", "nowhere", "--image", "app:1").returncode == 4


# ---- sessions ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("pool", ["default", "Web"])
def test_session_commands_are_hearths_own_in_every_pool(hearthd, pool):
    order(hearthd, *CREATE)
    listed = hearthd.hearth("session", "list", "--pool", pool, "-o", "json")
    assert listed.returncode == 0 and json.loads(listed.stdout) == [], listed.stderr
    for words in ["show", "a"], ["stop", "a"], ["fork", "a", "b"], ["suspend", "a"], ["resume", "a"], ["logs", "a"]:
        result = hearthd.hearth("session", *words, "--name", pool, "--session-pool-location", "here")
        assert result.returncode == 4 and "'a'" in result.stderr, (words, result.stderr)


# ---- what a service that is played refuses ----------------------------------------------------------------------------

@pytest.mark.parametrize("status, code, expected", [
    (429, "TooManyRequests", "takes no more now: try again in 7 s. As it is."),
    (429, "SessionsCountExceedsLimit", "are in use: try again in 7 s"),
    (502, "ContainerNotListening", "failed (502): As it is. Its log says more"),
])
def test_a_refusal_is_told_as_what_it_is(tmp_path, status, code, expected):
    body = json.dumps({"error": {"code": code, "message": "As it is."}}).encode()
    with contextlib.closing(Container(tmp_path)) as service:
        service.answer(b"HTTP/1.1 %d X\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        result = subprocess.run([HEARTH, "session", "show", "a"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=60, env=environment_for(service.url, "t"))
    assert result.returncode == 3 and expected in result.stderr, result.stderr


# ---- logs, of a service that is played --------------------------------------------------------------------------------

LINES = (b'{"droppedBytes":70000}\n', b'{"stream":"stdout","text":"one\\n\\u00e9"}\n', b'{"stream":"stderr","text":"two\\u0000"}\n')
ENDED = b'{"ended":{"reason":"its container has ended: \\u001bit exited","exitCode":3,"signal":0,"ranInMicroseconds":1500000}}\n'


class Logs(Container):
    """Answers with what is put into `pieces`, each at once, and closes after it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.pieces, self.is_open, self.begun = [], False, threading.Event()
        self.serve = self.stream

    def stream(self, connection):
        self.seen.append(connection.read_head())
        connection.send(self.head)
        for piece in self.pieces:
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.begun.set()
        if not self.is_open:
            connection.send(b"0\r\n\r\n")
        connection.receive()

    def command(self, *words):
        return subprocess.Popen([HEARTH, "session", "logs", "my session", "--pool", "web", *words], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=environment_for(self.url, "t"),
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def read(self, *words):
        with self.command(*words) as process:
            stdout, stderr = process.communicate(timeout=30)
        return process.returncode, stdout, stderr.decode()


@pytest.fixture
def logs(tmp_path):
    logs = Logs(tmp_path)
    yield logs
    logs.close()


def test_each_stream_comes_out_on_its_own(logs):
    logs.pieces = [*LINES, ENDED]
    status, stdout, stderr = logs.read()
    assert status == 0 and stdout == "one\né".encode()
    assert stderr == ("hearth: 70000 bytes of output before this are no longer there\ntwo\0"
                      "hearth: the session has ended: its container has ended:  it exited (exit code 3 after 1.5 s)\n")
    line, headers = logs.seen[0]
    assert line.startswith("GET /sessionPools/web/.management/session/logs?identifier=my%20session&api-version=")
    assert ("Accept", "application/x-ndjson") in headers and ("Authorization", "Bearer t") in headers


def test_lines_may_come_in_any_pieces(logs):
    whole = b"".join((*LINES, ENDED))
    logs.pieces = [whole[i:i + 1] for i in range(len(whole))]
    assert logs.read()[:2] == (0, "one\né".encode())


def test_following_ends_with_the_session_or_with_ctrl_c(logs):
    logs.pieces = [LINES[1], ENDED]
    status, _, stderr = logs.read("--follow")
    assert status == 0 and "has ended" in stderr and "&follow=true&" in logs.seen[0][0]
    logs.pieces, logs.is_open = [LINES[1]], True
    logs.begun.clear()
    with logs.command("-f") as process:
        assert process.stdout.read(5) == "one\né".encode()[:5]
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0 and stderr == b""
    with logs.command() as process:
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_what_is_no_log_is_said(logs):
    logs.pieces = [b"no JSON\n"]
    status, _, stderr = logs.read()
    assert status == 3 and "is it hearthd?" in stderr
    logs.pieces = [b"x" * (1 << 20) + b"x"]
    status, _, stderr = logs.read()
    assert status == 3 and "1024 KiB" in stderr
    logs.head = (b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    logs.pieces = [b'{"error":{"code":"NoSessionFoundError","message":"There is none."}}']
    status, stdout, stderr = logs.read("-f")
    assert (status, stdout, stderr) == (4, b"", "hearth: There is none.\n")


def test_a_reader_that_has_enough_ends_it(logs):
    logs.pieces, logs.is_open = [b'{"stream":"stdout","text":"%s"}\n' % (b"x" * 60000)] * 40, True
    with logs.command("-f") as process:
        assert process.stdout.read(10) == b"x" * 10
        process.stdout.close()
        assert process.wait(timeout=30) == 141
        assert process.stderr.read() == b""
