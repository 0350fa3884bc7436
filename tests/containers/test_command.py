"""`hearth` about sessions of containers that run."""

import json
import os
import secrets
import signal
import subprocess

import pytest

from conftest import ROOT, Container

HEARTH = os.path.join(ROOT, "build", "hearth")


class Command:
    def __init__(self, service):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
        self.environment = {**clean, "HEARTH_URL": service.url, "HEARTH_TOKEN": service.token}

    def start(self, *words):
        return subprocess.Popen([HEARTH, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=self.environment,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def run(self, *words):
        with self.start(*words) as process:
            stdout, stderr = process.communicate(timeout=300)
        return process.returncode, stdout, stderr

    def json(self, *words):
        status, stdout, stderr = self.run(*words, "-o", "json")
        assert status == 0, stderr
        return json.loads(stdout) if stdout else None


@pytest.fixture(scope="module")
def hearth(service):
    return Command(service)


@pytest.fixture(scope="module")
def pool(hearth, service, image):
    """Made by the command, as a user would make it."""
    name = f"command-{secrets.token_hex(4)}"
    hearth.json("sessionpool", "create", name, "--image", image("echo"), "--memory", "0.5Gi", "--max-sessions", "4",
                "--ready-sessions", "0", "--env-vars", "GREETING=hello", "KEY=secretref:key", "--secrets", "key=hidden",
                "--target-port", "8080")
    client = service.client(name)
    client.name = name
    yield client
    hearth.run("sessionpool", "delete", name, "--yes")


def test_a_session_is_listed_copied_and_stopped(hearth, pool):
    session = Container(pool)
    session.get("x")
    assert session.identifier in [one["identifier"] for one in hearth.json("session", "list", "--pool", pool.name)]
    assert hearth.json("session", "show", session.identifier, "--pool", pool.name)["identifier"] == session.identifier
    copy = Container(pool)
    hearth.json("session", "fork", session.identifier, copy.identifier, "--pool", pool.name)
    copy.get("x")
    hearth.json("session", "suspend", copy.identifier, "--pool", pool.name)
    hearth.json("session", "resume", copy.identifier, "--pool", pool.name)
    for identifier in session.identifier, copy.identifier:
        assert hearth.run("session", "stop", identifier, "--pool", pool.name)[0] == 0
        assert hearth.run("session", "show", identifier, "--pool", pool.name)[0] == 4


def test_logs_are_followed_to_the_end(hearth, pool):
    session = Container(pool)
    session.get("log?text=first")
    with hearth.start("session", "logs", session.identifier, "--pool", pool.name, "--follow") as follower:
        while "first" not in follower.stdout.readline():
            pass
        session.get("log?text=second")
        while "second" not in follower.stdout.readline():
            pass
        session.get("exit?status=7&ms=100")
        _, stderr = follower.communicate(timeout=60)
    assert follower.returncode == 0 and "exit code 7" in stderr
    status, stdout, stderr = hearth.run("session", "logs", session.identifier, "--pool", pool.name)
    assert status == 0 and "first" in stdout and "second" in stdout and "exit code 7" in stderr
    assert hearth.run("session", "logs", "nobody", "--pool", pool.name)[0] == 4


def test_an_interrupted_follower_harms_nothing(hearth, pool):
    session = Container(pool)
    session.get("log?text=here")
    with hearth.start("session", "logs", session.identifier, "--pool", pool.name, "-f") as follower:
        while "here" not in follower.stdout.readline():
            pass
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=30) == 0
    session.get("x")
    session.end()
