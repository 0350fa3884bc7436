"""
Requests to the container of a session, through the real hearthd: lying_vmm.py passes its connections on to a server of
the test's own, which stands where the container would.
"""

import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests

from conftest import ROOT
from container import Container
from played import OPTIONS, Service, import_image

POOL = "subscriptions/s/resourceGroups/g/providers/Microsoft.App/sessionPools/web"
DEFINITION = {"location": "here", "properties": {
    "containerType": "CustomContainer", "environmentId": "e", "scaleConfiguration": {"maxConcurrentSessions": 9, "readySessionInstances": 0},
    "customContainerTemplate": {"containers": [{"image": "registry.example/web:1", "name": "web"}], "ingress": {"targetPort": 80}}}}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GIB = 1 << 30


class Web(Service):
    def __init__(self, hearthd, folder):
        super().__init__(hearthd, folder)
        self.container = Container(folder)
        self.container.answer(OK)
        response = self.pool("PUT", json=DEFINITION)
        assert response.status_code == 201, response.text

    def pool(self, method, path="", **options):
        return requests.request(method, f"{self.hearthd.url}/{POOL}{path}", params={"api-version": "2025-07-01"},
                                headers={"Authorization": f"Bearer {self.hearthd.token}"}, timeout=60, **options)

    def call(self, method="GET", path="/", identifier="a", **options):
        headers = {"Authorization": f"Bearer {self.hearthd.token}", **options.pop("headers", {})}
        separator = "&" if "?" in path else "?"
        return requests.request(method, f"{self.hearthd.url}/{POOL}{path}{separator}identifier={identifier}",
                                headers=headers, timeout=60, allow_redirects=False, **options)

    def connect(self):
        host, port = self.hearthd.url.removeprefix("http://").rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=60)

    def head(self, line="GET /{pool}/?identifier=a HTTP/1.1", *headers):
        lines = [line.format(pool=POOL), "Host: hearth.example", f"Authorization: Bearer {self.hearthd.token}", *headers]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def raw(self, request):
        """All that comes until hearthd closes, or says nothing for a second."""
        with self.connect() as connection:
            connection.sendall(request)
            connection.settimeout(1)
            answer = b""
            try:
                while data := connection.recv(65536):
                    answer += data
            except TimeoutError:
                pass
            return answer


@pytest.fixture
def options():
    return ()


@pytest.fixture
def web(start, tmp_path, options):
    import_image(tmp_path, "registry.example/web:1")
    web = Web(start(*OPTIONS, "--min-cooldown-seconds", "1", "--image-dir", tmp_path / "images", *options), tmp_path)
    yield web
    web.container.close()
    assert web.hearthd.stop() == 0
    assert not os.path.exists(web.hearthd.runtime) or os.listdir(web.hearthd.runtime) == []


def receive_until(connection, end):
    data = b""
    while end not in data:
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def headers_of(head):
    return [name.lower() for name, _ in head[1]], {name.lower(): value for name, value in head[1]}


# ---- what is passed on ----


def test_method_path_query_and_headers(web):
    web.container.answer(b"HTTP/1.1 299 Well\r\nX-One: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: X-Mine\r\nX-Mine: secret\r\n"
                         b"Keep-Alive: timeout=5\r\nContent-Length: 2\r\nContent-Type: text/odd\r\nX-Tab: a\tb\r\n\r\nok")
    response = web.call("PATCH", "/a%2Fb//c?q=%20+x&identifier=a", headers={
        "X-Two": "2", "Connection": "X-Hop, keep-alive, Host", "X-Hop": "1", "Keep-Alive": "9", "TE": "gzip",
        "Proxy-Authorization": "p", "x-ms-apikey": "k", "X-Forwarded-For": "192.0.2.1"})
    assert (response.status_code, response.content) == (299, b"ok")
    assert response.headers["X-One"] == "1" and response.headers["Content-Type"] == "text/odd" and response.headers["X-Tab"] == "a b"
    assert response.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert "X-Mine" not in response.headers and "Keep-Alive" not in response.headers
    line, _ = web.container.seen[0]
    names, values = headers_of(web.container.seen[0])
    assert line == "PATCH /a%2Fb//c?q=%20+x&identifier=a&identifier=a HTTP/1.1"
    assert len(names) == len(set(names)), names
    assert values["x-two"] == "2" and values["host"] == web.hearthd.url.removeprefix("http://")
    assert values["x-forwarded-for"] == "192.0.2.1, 127.0.0.1" and values["x-forwarded-proto"] == "http"
    assert values["x-forwarded-host"] == values["host"]
    assert not {"authorization", "x-hop", "keep-alive", "te", "proxy-authorization", "x-ms-apikey", "connection"} & set(names)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "HEAD"])
def test_any_method_and_every_path_but_the_management(web, method):
    for path in "/", "/executions", "/files/x", "/session", "/mcp", "/identifier/x/files", "/healthz":
        response = web.call(method, path)
        assert (response.status_code, response.content) == (200, b"" if method == "HEAD" else b"ok"), path
        assert response.headers["Content-Length"] == "2"
        assert web.container.seen[-1][0] == f"{method} {path}?identifier=a HTTP/1.1"
    n_seen = len(web.container.seen)
    response = web.call("POST", "/.management/getSession")
    assert response.json()["identifier"] == "a" and len(web.container.seen) == n_seen


def test_who_may_and_what_is_missing(web):
    assert requests.get(f"{web.hearthd.url}/{POOL}/x?identifier=a", timeout=30).status_code == 401
    response = web.pool("GET", "/x")
    assert response.status_code == 400 and "identifier" in response.text
    assert web.pool("GET").json()["properties"]["containerType"] == "CustomContainer"
    reader = web.hearthd.hearth("key", "create", "r", "--role", "reader", "--pools", "web", "-o", "json")
    assert reader.returncode == 0, reader.stderr
    token = re.search(r'"(hearth_[^"]+)"', reader.stdout) or re.search(r'"key": "([^"]+)"', reader.stdout)
    assert web.call(headers={"Authorization": f"Bearer {token.group(1)}"}).status_code == 403
    assert not web.container.seen


def test_each_session_is_one_machine(web):
    for identifier in "a", "b", "a":
        assert web.call(identifier=identifier).status_code == 200
    assert len(re.findall("source=boot", web.hearthd.log())) == 2


def test_bodies_without_length_up_to_the_close(web):
    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    web.container.serve = serve
    assert web.call().content == b"all of it"


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(web, status):
    web.container.answer(b"HTTP/1.1 %d X\r\nETag: \"1\"\r\n\r\n" % status)
    for _ in range(2):
        response = web.call()
        assert (response.status_code, response.content, response.headers["ETag"]) == (status, b"", '"1"')


def test_chunks_and_trailers_both_ways(web):
    got = []

    def serve(connection):
        got.append(connection.read_head())
        got.append(connection.read_chunks())
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n")
    web.container.serve = serve
    answer = web.raw(web.head("POST /{pool}/?identifier=a HTTP/1.1", "Transfer-Encoding: chunked", "Connection: close, TE", "TE: trailers") +
                     b"2\r\nhi\r\n1;x\r\n!\r\n0\r\nX-Check: 1\r\nHost: evil\r\nTransfer-Encoding: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Trailer: X-Sum" in head and b"Transfer-Encoding: chunked" in head and b"Content-Length" not in head
    assert body == b"3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n", answer
    assert got[1] == (b"hi!", b"X-Check: 1\r\n")
    assert headers_of(got[0])[1]["te"] == "trailers"


def test_expect_continue(web):
    def serve(connection):
        head = connection.read_head()
        assert "expect" not in headers_of(head)[0]
        assert connection.read(4) == b"body"
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK)
    web.container.serve = serve
    with web.connect() as connection:
        connection.sendall(web.head("POST /{pool}/?identifier=a HTTP/1.1", "Content-Length: 4", "Expect: 100-continue"))
        assert receive_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        assert receive_until(connection, b"\r\n\r\nok").startswith(b"HTTP/1.1 200 OK\r\n")


def test_http_10(web):
    answer = web.raw(f"GET /{POOL}/?identifier=a HTTP/1.0\r\nAuthorization: Bearer {web.hearthd.token}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.") and answer.endswith(b"\r\n\r\nok")
    assert headers_of(web.container.seen[0])[1]["host"] == "localhost"


def test_events_come_as_they_are_produced(web):
    go_on = threading.Event()

    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
        assert go_on.wait(20)
        connection.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
    web.container.serve = serve
    with web.call(stream=True) as response:
        events = response.iter_content(None)
        assert next(events) == b"data: 1\n\n"
        go_on.set()
        assert b"".join(events) == b"data: 2\n\n"


# ---- much, and for long ----


def test_a_gibibyte_each_way_in_flat_memory(web):
    block = bytes(range(256)) * 4096
    got = hashlib.sha256()

    def serve(connection):
        connection.read_head()
        size, first = GIB - len(connection.left), connection.left
        got.update(first)
        connection.left = b""
        while size:
            data = connection.socket.recv(1 << 20)
            got.update(data)
            size -= len(data)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
        for _ in range(GIB // len(block)):
            connection.send(block)
    web.container.serve = serve
    wanted = hashlib.sha256()

    def body():
        for _ in range(GIB // len(block)):
            wanted.update(block)
            yield block
    with web.call("PUT", data=SizedBody(body(), GIB), stream=True) as response:
        received = hashlib.sha256()
        for data in response.iter_content(1 << 20):
            received.update(data)
    assert got.hexdigest() == wanted.hexdigest() == received.hexdigest()
    print(f"hearthd took {web.peak_kib() >> 10} MiB at most")
    assert web.peak_kib() < 48 << 10


class SizedBody:
    """With a length, so that it is not sent in chunks."""

    def __init__(self, pieces, size):
        self.pieces, self.size = pieces, size

    def __len__(self):
        return self.size

    def __iter__(self):
        return self.pieces


def test_who_does_not_read_is_not_read_from(web):
    sent = [0]
    stop = threading.Event()

    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
        while not stop.is_set():
            connection.send(b"x" * 65536)
            sent[0] += 65536
    web.container.serve = serve
    with web.connect() as client:
        client.sendall(web.head())
        time.sleep(2)
        first = sent[0]
        time.sleep(1)
        assert sent[0] == first < 64 << 20
    stop.set()
    assert web.peak_kib() < 48 << 10

    def serve_deaf(connection):
        connection.read_head()
        stop.wait(20)
    stop.clear()
    web.container.serve = serve_deaf
    with web.connect() as client:
        client.sendall(web.head("POST /{pool}/?identifier=a HTTP/1.1", f"Content-Length: {GIB}"))
        client.settimeout(2)
        n_sent = 0
        with pytest.raises(TimeoutError):
            while n_sent < GIB:
                n_sent += client.send(b"x" * 65536)
        assert n_sent < 64 << 20
    stop.set()
    assert web.peak_kib() < 48 << 10


def test_a_session_in_use_does_not_cool_down(web):
    definition = {**DEFINITION, "properties": {**DEFINITION["properties"], "dynamicPoolConfiguration": {
        "lifecycleConfiguration": {"lifecycleType": "Timed", "cooldownPeriodInSeconds": 1}}}}
    assert web.pool("PUT", json=definition).status_code == 200

    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(3)
        connection.send(b"cd")
    web.container.serve = serve
    assert web.call().content == b"abcd"
    web.container.answer(OK)
    assert web.call().status_code == 200
    assert len(re.findall("source=boot", web.hearthd.log())) == 1, "it was a fresh one"
    time.sleep(2.5)
    assert web.call().status_code == 200
    assert len(re.findall("source=boot", web.hearthd.log())) == 2, "it did not cool down"


def test_connections_are_kept_and_a_stale_one_costs_nothing(web):
    for _ in range(5):
        assert web.call().status_code == 200
    assert web.container.n_connections == 1
    assert web.call("POST", data="x").status_code == 200, "what cannot be sent again has a connection of its own"
    assert web.container.n_connections == 2

    def serve_once(connection):
        connection.read_head()
        connection.send(OK)
    web.container.serve = serve_once
    for _ in range(20):
        assert web.call(identifier="b").status_code == 200

    def serve_and_reset(connection):
        connection.read_head()
        connection.send(OK)
        connection.read_head()  # and then no word
    web.container.serve = serve_and_reset
    for _ in range(6):
        assert web.call(identifier="c").status_code == 200


def test_a_word_unasked_is_no_answer_to_the_next_request(web):
    def serve(connection):
        connection.read_head()
        connection.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        time.sleep(1)
    web.container.serve = serve
    for _ in range(3):
        assert web.call().content == b"ok"

    def serve_late(connection):
        connection.read_head()
        connection.send(OK)
        time.sleep(0.2)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        time.sleep(1)
    web.container.serve = serve_late
    for _ in range(3):
        assert web.call().content == b"ok"
        time.sleep(0.4)


def test_many_at_a_time(web):
    web.container.serve = lambda connection: (connection.read_head(), connection.send(OK))
    assert web.call().status_code == 200  # while a session starts, max-queued may wait
    begun = threading.Semaphore(0)
    go_on = threading.Event()

    def serve(connection):
        connection.read_head()
        begun.release()
        assert go_on.wait(30)
        connection.send(OK)
    web.container.serve = serve
    clients = [web.connect() for _ in range(60)]
    for client in clients:
        client.sendall(web.head())
    for _ in clients:
        assert begun.acquire(timeout=20)
    go_on.set()
    for client in clients:
        assert receive_until(client, b"\r\n\r\nok")
        client.close()


# ---- other protocols ----


def upgrade(web, *headers, offer="websocket"):
    client = web.connect()
    client.sendall(web.head("GET /{pool}/ws?identifier=a HTTP/1.1", f"Upgrade: {offer}", "Connection: keep-alive, Upgrade",
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *headers) + b"early")
    return client


def test_an_upgrade(web):
    heads = []

    def serve(connection):
        heads.append(connection.read_head())
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi")
        while data := connection.left or connection.receive():
            connection.left = b""
            connection.send(data[::-1])
        connection.send(b"bye")
    web.container.serve = serve
    with upgrade(web) as client:
        answer = receive_until(client, b"ylrae")
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert b"Upgrade: WebSocket" in head and rest == b"\x81\x02hiylrae"
        client.sendall(b"abc")
        assert client.recv(100) == b"cba"
        client.shutdown(socket.SHUT_WR)  # half of it stays open
        assert receive_until(client, b"bye") == b"bye" and client.recv(10) == b""
    _, values = headers_of(heads[0])
    assert values["upgrade"] == "websocket" and values["connection"] == "Upgrade" and values["sec-websocket-version"] == "13"
    web.container.answer(OK)
    assert web.call().status_code == 200


def test_an_upgraded_connection_is_pushed_back_too(web):
    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n")
        size = 0
        while size < 64 << 20:
            size += len(connection.left or connection.receive())
            connection.left = b""
        for _ in range(1024):
            connection.send(b"y" * 65536)
    web.container.serve = serve
    with upgrade(web, offer="raw, other") as client:
        receive_until(client, b"\r\n\r\n")
        for _ in range(1024):
            client.sendall(b"x" * 65536)
        time.sleep(1)
        n = 0
        while data := client.recv(1 << 20):
            n += len(data)
        assert n == 64 << 20
    assert web.peak_kib() < 48 << 10


def test_an_upgrade_that_is_refused_or_not_asked_for(web):
    with upgrade(web) as client:
        assert receive_until(client, b"ok").startswith(b"HTTP/1.1 200 OK")


def test_a_protocol_that_nobody_asked_for(web):
    web.container.answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\n\r\n")
    assert web.call().status_code == 502
    with upgrade(web) as client:
        assert receive_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 502 ")


def test_an_upgrade_over_tls(start, tmp_path):
    made = subprocess.run([os.path.join(ROOT, "build", "hearth"), "cert", "init", "--directory", str(tmp_path / "certs")],
                          capture_output=True, timeout=60)
    assert made.returncode == 0, made.stderr
    import_image(tmp_path, "registry.example/web:1")
    hearthd = start(*OPTIONS, "--image-dir", tmp_path / "images", "--tls-certificate", f"{tmp_path}/certs/server.pem",
                    "--tls-key", f"{tmp_path}/certs/server-key.pem")
    container = Container(tmp_path)
    context = ssl.create_default_context(cafile=str(next((tmp_path / "certs").glob("*ca*.pem"))))
    host, port = hearthd.url.removeprefix("https://").rsplit(":", 1)
    heads = []

    def serve(connection):
        heads.append(connection.read_head())
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\nhi")
        while data := connection.receive():
            connection.send(data)
    container.serve = serve
    authorization = f"Authorization: Bearer {hearthd.token}\r\n"
    with context.wrap_socket(socket.create_connection((host, int(port)), timeout=20), server_hostname="localhost") as client:
        client.sendall(f"PUT /{POOL} HTTP/1.1\r\nHost: h\r\n{authorization}Content-Length: {len(json.dumps(DEFINITION))}\r\n\r\n"
                       f"{json.dumps(DEFINITION)}".encode())
        assert receive_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 201 ")
    with context.wrap_socket(socket.create_connection((host, int(port)), timeout=20), server_hostname="localhost") as client:
        client.sendall(f"GET /{POOL}/?identifier=a HTTP/1.1\r\nHost: h\r\n{authorization}Connection: Upgrade\r\nUpgrade: raw\r\n\r\n".encode())
        assert receive_until(client, b"\r\n\r\nhi").startswith(b"HTTP/1.1 101 ")
        for size in 1, 1000, 10000:
            body = os.urandom(size)
            client.sendall(body)
            got = b""
            while len(got) < size:
                data = client.recv(65536)
                assert data
                got += data
            assert got == body
    assert headers_of(heads[0])[1]["x-forwarded-proto"] == "https"
    container.close()
    assert hearthd.stop() == 0


@pytest.mark.parametrize("end", ["stop", "session"])
def test_an_upgraded_connection_ends_with_its_session(web, end):
    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        while connection.receive():
            pass
    web.container.serve = serve
    with upgrade(web) as client:
        receive_until(client, b"\r\n\r\n")
        if end == "stop":
            assert web.hearthd.stop() == 0
        else:
            assert web.call("POST", "/.management/stopSession").status_code == 200
        assert client.recv(10) == b""


# ---- what goes wrong ----


def error_code(response):
    return response.json()["error"]["code"]


def test_nothing_listens(web):
    web.container.vanish()
    response = web.call()
    assert (response.status_code, error_code(response)) == (502, "ContainerNotListening")
    web.container.listen()
    assert web.call().status_code == 200


@pytest.mark.parametrize("options", [("--proxy-answer-timeout-seconds", "1")])
def test_no_answer_in_time(web):
    web.container.serve = lambda connection: (connection.read_head(), time.sleep(5))
    began = time.monotonic()
    response = web.call()
    assert (response.status_code, error_code(response)) == (504, "ContainerTimedOut")
    assert 0.9 < time.monotonic() - began < 4

    def serve_slowly(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(3)
        connection.send(b"cd")
    web.container.serve = serve_slowly
    assert web.call().content == b"abcd", "an answer that has begun may take long"


@pytest.mark.parametrize("options", [("--proxy-start-timeout-seconds", "1", "--boot-timeout-seconds", "30")])
def test_a_session_that_does_not_start(web):
    web.begin_as("no_word")
    response = web.call(identifier="slow")
    assert (response.status_code, error_code(response)) == (503, "SessionNotReady")
    assert int(response.headers["Retry-After"]) > 0


def test_a_container_that_closes(web):
    web.container.serve = lambda connection: connection.read_head()
    response = web.call()
    assert (response.status_code, error_code(response)) == (502, "ContainerAnswerInvalid")

    def serve_half(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    web.container.serve = serve_half
    with web.connect() as client:
        client.sendall(web.head())
        assert receive_until(client, b"abc").endswith(b"\r\n\r\nabc")
        assert client.recv(10) == b"", "it was not cut off"

    def serve_chunk(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    web.container.serve = serve_chunk
    assert not web.raw(web.head()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", b"ok\r\n", b"\xff" * 100 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"], ids=lambda answer: f"{len(answer)}-{answer[:8].hex()}")
def test_answers_that_are_none(web, answer):
    web.container.answer(answer)
    response = web.call()
    assert (response.status_code, error_code(response)) == (502, "ContainerAnswerInvalid")
    assert "Set-Cookie" not in response.headers and "X" not in response.headers


def test_large_headers_both_ways(web):
    large = "y" * 30000
    web.container.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + large.encode() + b"\r\n\r\nok")
    response = web.call(headers={"X-Large": large})
    assert response.status_code == 200 and response.headers["X"] == large
    assert headers_of(web.container.seen[0])[1]["x-large"] == large


def test_a_client_that_goes_ends_the_request(web):
    gone = threading.Event()

    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        if connection.receive() == b"":
            gone.set()
    web.container.serve = serve
    client = web.connect()
    client.sendall(web.head())
    receive_until(client, b"x\r\n")
    client.close()
    assert gone.wait(10)


def test_a_session_that_ends_meanwhile(web):
    begun = threading.Event()

    def serve(connection):
        connection.read_head()
        begun.set()
        connection.receive()
    web.container.serve = serve
    answers = []
    thread = threading.Thread(target=lambda: answers.append(web.call()))
    thread.start()
    assert begun.wait(10)
    assert web.call("POST", "/.management/stopSession").status_code == 200
    thread.join(20)
    assert (answers[0].status_code, error_code(answers[0])) == (502, "SessionEnded")


def test_an_answer_before_the_request_is_over(web):
    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 413 Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
        time.sleep(0.5)
    web.container.serve = serve
    answer = web.raw(web.head("POST /{pool}/?identifier=a HTTP/1.1", f"Content-Length: {8 << 20}") + b"x" * (8 << 20))
    assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"\r\n\r\nmuch")


def test_an_echo_of_what_still_comes(web):
    def serve(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
        for _ in range(20):
            connection.send(connection.read(10000))
    web.container.serve = serve
    body = os.urandom(200000)
    assert web.call("POST", data=body).content == body


# ---- requests that could be understood in two ways ----


SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("headers, body", [
    (["Content-Length: 5", "Content-Length: 6"], "hello!"),
    (["Content-Length: 5", "Content-Length: 5"], "hello"),
    (["Content-Length: 5, 5"], "hello"),
    (["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n" + SMUGGLED),
    (["Transfer-Encoding: chunked", "Content-Length: 5"], "0\r\n\r\n" + SMUGGLED),
    (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], "0\r\n\r\n" + SMUGGLED),
    (["Transfer-Encoding: chunked, identity"], "0\r\n\r\n" + SMUGGLED),
    (["Transfer-Encoding: xchunked"], "0\r\n\r\n" + SMUGGLED),
    (["Transfer-Encoding : chunked"], "0\r\n\r\n" + SMUGGLED),
    (["Content-Length : 5"], "hello"),
    (["Content-Length: +5"], "hello"),
    (["Content-Length: 0x5"], "hello"),
    (["Content-Length: -1"], "hello"),
    (["Content-Length: 99999999999999999999999"], "hello"),
    (["X-A: b\rX-B: c"], ""),
    (["X-A: b\x01c"], ""),
    (["X A: b"], ""),
    (["Host: other"], ""),
    (["Upgrade: a", "Upgrade: b", "Connection: Upgrade"], ""),
    (["X-Large: " + "y" * 70000], ""),
])
def test_an_ambiguous_request_is_refused(web, headers, body):
    answer = web.raw(web.head("POST /{pool}/?identifier=a HTTP/1.1", *headers) + body.encode())
    print(answer[:300])
    assert answer == b"" or re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer
    assert b"HTTP/1.1 200" not in answer, "what was behind it was answered"
    assert not web.container.seen


@pytest.mark.parametrize("headers, seen", [
    (["X-A: b\r\n c"], "x-ac"),      # obsolete folding: the library takes it for more of the name
    (["X-A: b\nX-B: c"], "x-b"),     # a line that ends with a bare LF
])
def test_what_the_library_lets_pass_is_written_anew(web, headers, seen):
    answer = web.raw(web.head("GET /{pool}/?identifier=a HTTP/1.1", *headers))
    if not web.container.seen:
        assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer
        return
    names, _ = headers_of(web.container.seen[0])
    assert seen in names and "transfer-encoding" not in names
    assert len(web.container.seen) == 1 and answer.startswith(b"HTTP/1.1 200 OK")


def test_a_folded_line_is_understood_in_one_way(web):
    def serve(connection):
        head = connection.read_head()
        names, values = headers_of(head)
        length = int(values.get("content-length", 0))
        web.container.seen.append((head[0], length, connection.read(length)))
        connection.send(OK)
    web.container.serve = serve
    web.raw(web.head("POST /{pool}/?identifier=a HTTP/1.1", "Content-Lengt:  5\r\n h", "Connection: close") + b"hello")
    assert [taken[1:] for taken in web.container.seen] in ([], [(0, b"")], [(5, b"hello")])


def test_a_target_with_what_has_no_place_in_it(web):
    for target, wanted in (("/a b", "/a%20b"), ("/\xe9", "/%E9"), ("/a\tb", "/a%09b")):
        answer = web.raw(web.head("GET /{pool}" + target + "?identifier=a HTTP/1.1"))
        if answer.startswith(b"HTTP/1.1 200"):
            assert web.container.seen[-1][0] == f"GET {wanted}?identifier=a HTTP/1.1"
        else:
            assert answer == b"" or re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer
    answer = web.raw(web.head("GET http://other.example/{pool}/x?identifier=a#f HTTP/1.1"))
    assert answer.startswith(b"HTTP/1.1 200 OK") and web.container.seen[-1][0] == "GET /x?identifier=a HTTP/1.1"


def test_requests_in_one_go_are_two(web):
    answer = web.raw(web.head("POST /{pool}/1?identifier=a HTTP/1.1", "Content-Length: 0") +
                     web.head("GET /{pool}/2?identifier=a HTTP/1.1", "Connection: close"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert [line for line, _ in web.container.seen] == ["POST /1?identifier=a HTTP/1.1", "GET /2?identifier=a HTTP/1.1"]


def test_an_http_10_request_with_chunks(web):
    answer = web.raw(web.head("POST /{pool}/?identifier=a HTTP/1.0", "Transfer-Encoding: chunked") + b"0\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] 400 ", answer) and not web.container.seen
