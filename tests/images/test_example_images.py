"""The images of our own that other tests start in microVMs: how they are made, and what their servers say on this machine."""

import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tarfile
import threading
import time

import pytest

from conftest import ROOT

PYTHON_SERVER = os.path.join(ROOT, "examples", "containers", "service", "server.py")


@pytest.fixture(scope="module")
def archive():
    made = subprocess.run(["scripts/example-images", "echo"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return made.stdout.strip()


@pytest.fixture(scope="module")
def echo_program(archive, tmp_path_factory):
    with tarfile.open(archive) as saved:
        name, = json.load(saved.extractfile("manifest.json"))[0]["Layers"]
        with tarfile.open(fileobj=saved.extractfile(name)) as layer:
            program = tmp_path_factory.mktemp("echo") / "echo"
            program.write_bytes(layer.extractfile("echo").read())
    program.chmod(0o755)
    return [str(program)]


class Server:
    def __init__(self, command):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        env={"PORT": str(self.port), "COLOUR": "blue"})
        self.line = self.process.stdout.readline()

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(self, method, path, body=None, **options):
        connection = self.connection()
        connection.request(method, path, body, **options)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response, data

    def json(self, *request, **options):
        return json.loads(self.request(*request, **options)[1])

    def raw(self, data):
        """What comes back when nothing more is said."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").read()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            rest = self.process.communicate(timeout=30)[0]
        finally:
            self.process.kill()
        return self.process.returncode, rest


@pytest.fixture(scope="module")
def echo(echo_program):
    server = Server(echo_program)
    assert server.line == f"echo: listening on port {server.port}\n"
    yield server
    status, rest = server.end()
    assert (status, rest[-19:]) == (0, "echo: asked to end\n")


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return f"{value:016x}"


def test_the_image_says_how_it_is_run(store, archive):
    image = store.image(archive)
    assert image["name"] == "example/echo:latest"
    assert image["config"]["entrypoint"] == ["/echo"] and image["config"]["user"] == "1000:1000"
    assert image["config"]["workingDirectory"] == "/data" and image["config"]["exposedPorts"] == ["8080/tcp"]


def test_an_image_is_made_once(archive):
    target = os.path.realpath(archive)
    before = os.stat(target).st_mtime_ns
    subprocess.run(["scripts/example-images", "echo"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    assert os.path.realpath(archive) == target and os.stat(target).st_mtime_ns == before


def test_echo_tells_the_request(echo):
    body = os.urandom(100000)
    answer = echo.json("PUT", "/a%20b?c=\"d\"", body, headers={"X-One": "grün".encode()})
    assert (answer["method"], answer["target"], answer["version"]) == ("PUT", "/a%20b?c=\"d\"", "HTTP/1.1")
    assert answer["body"] == {"size": len(body), "fnv1a": fnv1a(body)}
    assert ["X-One", "grÃ¼n"] in answer["headers"] and answer["request"] == 1


def test_echo_tells_requests_of_one_connection_apart(echo):
    said = echo.raw(b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-After: all\r\n\r\nGET /3 HTTP/1.0\r\nno colon\r\n\r\nGET /4 HTTP/1.1\r\n\r\n")
    answers = [json.loads(line) for line in said.split(b"\n") if line.startswith(b"{")]
    assert [(answer["target"], answer["request"]) for answer in answers] == [("/1", 1), ("/2", 2), ("/3", 3)]
    assert answers[1]["body"] == {"size": 5, "fnv1a": fnv1a(b"abcde")} and answers[1]["trailers"] == [["X-After", "all"]]
    assert answers[2]["headers"] == [["no colon"]]


def test_echo_sends_bodies_of_all_kinds(echo):
    response, data = echo.request("GET", "/bytes?size=200000")
    assert response.headers["Content-Length"] == "200000" and data == bytes(i % 251 for i in range(200000))
    assert echo.request("GET", "/stream?count=3&ms=1")[1] == b"event 0\nevent 1\nevent 2\n"
    response, data = echo.request("GET", "/events?count=2&ms=1")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert data == b"id: 0\ndata: event 0\n\nid: 1\ndata: event 1\n\n"
    assert echo.raw(b"GET /trailers HTTP/1.1\r\n\r\n").endswith(b"\r\n0\r\nX-Echo-Trailer: after the body\r\n\r\n")
    assert echo.request("HEAD", "/bytes?size=9")[0].headers["Content-Length"] == "9"
    assert echo.request("GET", "/status?code=404")[0].status == 404
    assert echo.raw(b"GET /status?code=204 HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


def test_echo_fails_as_told(echo):
    assert echo.raw(b"GET /close HTTP/1.1\r\n\r\n") == b""
    head, _, body = echo.raw(b"GET /cut?size=70000 HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert b"Content-Length: 70001" in head and len(body) == 70000
    early = echo.raw(b"POST /early HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + bytes(1000000))
    assert early.startswith(b"HTTP/1.1 200") and b'"size": 0' in early


def test_echo_shows_its_state(echo):
    first, second = echo.json("GET", "/random"), echo.json("GET", "/random")
    assert first["random"] != second["random"] and first["atStart"] == second["atStart"]
    assert second["counter"] == first["counter"] + 1
    environment = echo.json("GET", "/environment")
    assert "COLOUR=blue" in environment["variables"] and environment["handedOver"] is None
    echo.json("GET", "/log?text=gr%c3%bcn+1")
    assert echo.process.stdout.readline() == "grün 1\n"


def test_echo_exits_with_a_status(echo_program):
    for query in "status=7", "status=8&ms=1":
        server = Server(echo_program)
        answer = server.raw(f"GET /exit?{query} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200") == ("ms" in query)
        assert server.process.wait(30) == int(re.search(r"\d", query)[0])


def test_echo_outlives_clients_that_go_away(echo):
    for _ in range(50):
        connection = socket.create_connection(("127.0.0.1", echo.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"GET /bytes?size=9000000 HTTP/1.1\r\n\r\n")
        connection.recv(100)
        connection.close()  # a reset
    for garbage in b"", b"\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", b"\0" * 200000:
        assert echo.raw(garbage) == b""
    assert echo.json("GET", "/")["method"] == "GET"


def test_echo_speaks_websocket(echo):
    with socket.create_connection(("127.0.0.1", echo.port), 30) as connection:
        stream = connection.makefile("rb")
        # The example of RFC 6455, section 1.3.
        connection.sendall(b"GET /websocket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        head = [stream.readline() for _ in range(5)]
        assert head[0].startswith(b"HTTP/1.1 101 ") and head[3] == b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

        def send(first, data):
            mask = os.urandom(4)
            length = bytes([128 | len(data)]) if len(data) < 126 else struct.pack(">BH", 254, len(data)) \
                if len(data) < 65536 else struct.pack(">BQ", 255, len(data))
            connection.sendall(bytes([first]) + length + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(data)))

        def receive():
            first, length = stream.read(2)
            if length >= 126:
                length, = struct.unpack(*(">H", stream.read(2)) if length == 126 else (">Q", stream.read(8)))
            return first, stream.read(length)

        for first, data in ((0x81, b"one"), (0x82, bytes(126)), (0x02, os.urandom(65535)), (0x80, os.urandom(300000))):
            sender = threading.Thread(target=send, args=(first, data))
            sender.start()
            assert receive() == (first, data)
            sender.join()
        send(0x89, b"ping")
        assert receive() == (0x8a, b"ping")
        send(0x88, b"\x03\xe8")
        assert receive() == (0x88, b"\x03\xe8") and stream.read() == b""


def test_the_service_keeps_variables_and_stays_healthy():
    server = Server(["/usr/bin/python3", PYTHON_SERVER])

    def run(code):
        return server.json("POST", "/run", json.dumps({"code": code}))

    assert run("x = 6 * 7\nprint('hi')\nx") == {"output": "hi\n", "result": "42", "error": None, "run": 1}
    assert run("x += 1; x")["result"] == "43"
    assert run("1/0")["error"].endswith("ZeroDivisionError: division by zero\n")
    slow = server.connection()
    slow.request("POST", "/run", json.dumps({"code": "import time; time.sleep(20)"}))
    while server.json("GET", "/")["runs"] < 4:
        time.sleep(0.01)
    assert server.json("GET", "/health") == {"ok": True}
    assert server.request("POST", "/run", "{}")[0].status == 400 and server.request("GET", "/run")[0].status == 405
    assert server.end() == (0, "service: asked to end\n")
