"""A Jupyter server, which is what JupyterLab and Notebook talk to, with kernels in microVMs by hearth-jupyter."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import uuid

import pytest
import requests
import websocket


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, environment, folder):
        self.token, port = secrets.token_hex(16), free_port()
        self.address = f"127.0.0.1:{port}"
        root = ("--allow-root",) if os.geteuid() == 0 else ()
        self.log = open(folder / "server.log", "w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *root, "--no-browser", "--ServerApp.ip=127.0.0.1",
             f"--ServerApp.port={port}", f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={folder}"],
            env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"token {self.token}"
        deadline = time.monotonic() + 60
        while not self.is_up():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def said(self):
        self.log.seek(0)
        return self.log.read()[-4000:]

    def is_up(self):
        try:
            return self.call("GET", "status").ok
        except requests.ConnectionError:
            return False

    def call(self, method, path, body=None):
        return self.http.request(method, f"http://{self.address}/api/{path}", json=body, timeout=300)

    def channels(self, kernel):
        return websocket.create_connection(f"ws://{self.address}/api/kernels/{kernel}/channels?token={self.token}", timeout=300)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture(scope="module")
def server(jupyter, tmp_path_factory):
    server = Server(jupyter, tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


def run(channels, code):
    """What the kernel says about a cell until it is idle again, by the messages' types."""
    request = uuid.uuid4().hex
    channels.send(json.dumps({
        "header": {"msg_id": request, "msg_type": "execute_request", "session": "test", "username": "", "version": "5.3"},
        "parent_header": {}, "metadata": {}, "channel": "shell",
        "content": {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}}))
    said = []
    while True:
        message = json.loads(channels.recv())
        if message["parent_header"].get("msg_id") != request:
            continue
        said.append((message["msg_type"], message["content"]))
        kinds = [kind for kind, content in said if kind != "status" or content["execution_state"] == "idle"]
        if "status" in kinds and "execute_reply" in kinds:
            return said


def text_of(said):
    return "".join(content["text"] for kind, content in said if kind == "stream")


def test_it_offers_the_kernels(server):
    specs = server.call("GET", "kernelspecs").json()["kernelspecs"]
    assert {"hearth-python", "hearth-node"} <= set(specs)


def test_a_notebook_of_the_browser_runs_in_a_session(server, client):
    before = {one["identifier"] for one in client.request("GET", "listSessions").json()["sessions"]}
    kernel = server.call("POST", "kernels", {"name": "hearth-python"}).json()["id"]
    channels = server.channels(kernel)
    assert text_of(run(channels, "import os\nx = 41\nprint(os.uname().nodename)")).startswith("hearth")
    said = run(channels, "x + 1")
    assert [content["data"]["text/plain"] for kind, content in said if kind == "execute_result"] == ["42"]
    channels.close()
    # As a page that is loaded again.
    channels = server.channels(kernel)
    assert text_of(run(channels, "print(x)")) == "41\n"
    after = {one["identifier"] for one in client.request("GET", "listSessions").json()["sessions"]}
    assert len(after - before) == 1
    channels.close()
    assert server.call("DELETE", f"kernels/{kernel}").status_code == 204
    left = {one["identifier"] for one in client.request("GET", "listSessions").json()["sessions"]}
    assert not left & (after - before)


def test_a_restart_forgets_what_was_there(server):
    kernel = server.call("POST", "kernels", {"name": "hearth-python"}).json()["id"]
    channels = server.channels(kernel)
    run(channels, "x = 1")
    assert server.call("POST", f"kernels/{kernel}/restart").status_code == 200
    said = run(channels, "x")
    assert [content["ename"] for kind, content in said if kind == "error"] == ["NameError"]
    channels.close()
    assert server.call("DELETE", f"kernels/{kernel}").status_code == 204
