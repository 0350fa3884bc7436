"""Tokens that code in a guest may ask the host for (AGENT_OFFER_TOKENS): variables, and a way for bytes to the host."""

import contextlib
import os
import socket
import threading

import pytest

from agent import NODE, OFFER_TOKENS, PYTHON

SECRET = b"0aB" + b"x" * 61
ENVIRONMENT = {
    PYTHON: "import os\n[os.environ.get('IDENTITY_ENDPOINT'), os.environ.get('IDENTITY_HEADER')]",
    NODE: "JSON.stringify([process.env.IDENTITY_ENDPOINT ?? null, process.env.IDENTITY_HEADER ?? null])",
}
CHILD = {
    PYTHON: "import subprocess\nsubprocess.check_output('echo $IDENTITY_HEADER', shell=True).decode().strip()",
    NODE: "require('child_process').execSync('echo $IDENTITY_HEADER').toString().trim()",
}
ASK = """
import os, urllib.request
request = urllib.request.Request(os.environ['IDENTITY_ENDPOINT'] + '?resource=r',
                                 headers={'X-IDENTITY-HEADER': os.environ['IDENTITY_HEADER']})
urllib.request.urlopen(request).read().decode()
"""


class Host(threading.Thread):
    """The host's end: answers each connection with what it heard."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.heard = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                data = b""
                while b"\r\n\r\n" not in data and (part := peer.recv(4096)):
                    data += part
                self.heard.append(data)
                body = b"t" * 100_000
                with contextlib.suppress(OSError):
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def host(agent):
    host = Host(agent.token_path)
    yield host
    host.stop()


@pytest.mark.parametrize("language", [PYTHON, NODE])
def test_nothing_is_offered_by_itself(run, language):
    assert "None, None" in run(ENVIRONMENT[language], language).text or "null,null" in run(
        ENVIRONMENT[language], language).text


@pytest.mark.parametrize("language", [PYTHON, NODE])
def test_code_and_its_children_find_the_variables(connection, run, language):
    connection.send_frame(OFFER_TOKENS, 0, SECRET)
    found = run(ENVIRONMENT[language], language).text
    assert "http://127.0.0.1:" in found and "/msi/token" in found and SECRET.decode() in found
    assert SECRET.decode() in run(CHILD[language], language).text
    connection.adopt()
    assert SECRET.decode() not in run(ENVIRONMENT[language], language).text


def test_an_interpreter_that_is_started_anew_finds_them_too(connection, run):
    connection.send_frame(OFFER_TOKENS, 0, SECRET)
    run("import os\nos._exit(1)")
    assert SECRET.decode() in run(ENVIRONMENT[PYTHON]).text


def test_what_code_asks_reaches_the_host_and_the_answer_the_code(connection, run, host):
    connection.send_frame(OFFER_TOKENS, 0, SECRET)
    assert len(run(f"answer = None\n{ASK}").text) > 100_000
    assert host.heard[-1].startswith(b"GET /msi/token?resource=r HTTP/1.1\r\n")
    assert SECRET in host.heard[-1]


def test_a_host_that_does_not_listen_is_a_closed_connection(connection, run):
    connection.send_frame(OFFER_TOKENS, 0, SECRET)
    assert "Error" in run(ASK).stderr.decode()
    assert run("1 + 1").text == "2"


def test_idle_connections_do_no_harm(connection, run, host):
    connection.send_frame(OFFER_TOKENS, 0, SECRET)
    outcome = run("""
import os, socket, urllib.parse
address = urllib.parse.urlsplit(os.environ['IDENTITY_ENDPOINT'])
idle = [socket.create_connection((address.hostname, address.port)) for _ in range(12)]
""")
    assert outcome.stderr == b""
    assert run("for one in idle: one.close()\n5").text == "5"


def test_nobody_listens_once_the_offer_has_ended(connection, run):
    connection.send_frame(OFFER_TOKENS, 0, SECRET)
    run("import os\nendpoint = os.environ['IDENTITY_ENDPOINT']")
    connection.adopt()
    assert "refused" in run("import urllib.request\nurllib.request.urlopen(endpoint)").stderr.decode()


@pytest.mark.parametrize("body", [b"", SECRET[:-1], SECRET + b"x", SECRET[:-1] + b"\0", SECRET[:-1] + b"\n", b"=" * 64])
def test_a_secret_that_is_none_ends_the_connection(agent, run, body):
    other = agent.connect()
    other.send_frame(OFFER_TOKENS, 0, body)
    assert other.socket.recv(1) == b""
    other.close()
    assert run("1").text == "1"
