"""
Requests to the container of a session, through the real hearthd: lying_vmm.py passes its connections on to a server of
the test's own, which stands where the container would.
"""

import hashlib
import re
import threading
import time

import pytest
import requests

from proxied import COOLING_AT_ONCE, OK, POOL, headers_of, receive_until

GIB = 1 << 30


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


def test_names_that_servers_take_for_others(web):
    web.call(headers={"X_Forwarded_For": "192.0.2.9", "X_FORWARDED-PROTO": "https", "Content_Length": "9", "Transfer_Encoding": "chunked",
                      "X_One": "1", "X-Real-IP": "192.0.2.8", "Forwarded": "for=192.0.2.8"})
    names, values = headers_of(web.container.seen[0])
    assert not [name for name in names if "_" in name and name != "x_one"] and values["x_one"] == "1"
    assert values["x-real-ip"] == "192.0.2.8" and values["forwarded"] == "for=192.0.2.8", "the word of a proxy in front is kept"
    assert values["x-forwarded-for"] == "127.0.0.1" and values["x-forwarded-proto"] == "http"


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
    assert response.status_code == 400 and "identifier" in response.text and ".management" in response.text
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


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_length_of_what_has_not_changed_is_passed_on(web, method):
    web.container.answer(b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n")
    answers = web.raw(2 * web.head(method + " /{pool}/?identifier=a HTTP/1.1"))
    assert answers.count(b"HTTP/1.1 304 ") == answers.count(b"\r\n\r\n") == answers.count(b"Content-Length: 5\r\n") == 2, answers


@pytest.mark.parametrize("head", [b"Transfer-Encoding: chunked", b"Connection: close", b"Content-Length: 5"])
@pytest.mark.parametrize("status", [200, 304])
def test_what_answers_a_head_request_has_no_body(web, status, head):
    web.container.answer(b"HTTP/1.1 %d X\r\n%s\r\nETag: \"1\"\r\n\r\n" % (status, head))
    answer = web.raw(web.head("HEAD /{pool}/?identifier=a HTTP/1.1"))
    assert answer.startswith(b"HTTP/1.1 %d " % status) and b'ETag: "1"' in answer
    assert answer.find(b"\r\n\r\n") == len(answer) - 4, "what follows would begin the next answer"
    assert (b"Content-Length: 5" in answer) == (b"Length" in head)


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
    assert web.pool("PUT", json=COOLING_AT_ONCE).status_code == 200

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


def call_at_once(web, n):
    threads = [threading.Thread(target=web.call, kwargs={"path": "/together"}) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_as_many_are_kept_as_a_crowd_needs(web):
    """Else each request beyond those that were kept costs the server a new connection, and a thread."""
    all_there = threading.Barrier(48)

    def serve(connection):
        while True:
            line, _ = connection.read_head()
            if "/together" in line:
                all_there.wait(10)
            connection.send(OK)
    web.container.serve = serve
    assert web.call().status_code == 200, "so that nobody waits for the session to start"
    for _ in range(3):
        call_at_once(web, 48)
    assert web.container.n_connections == 48


def test_each_connection_is_kept_for_its_own_time(web):
    """A server with a thread for each connection would have none left for a new one, as long as others come and go."""
    all_there, ended = threading.Barrier(4), []

    def serve(connection):
        try:
            line, _ = connection.read_head()
            if "/together" in line:
                all_there.wait(10)
            while True:
                connection.send(OK)
                connection.read_head()
        except EOFError:
            ended.append(time.monotonic())
    web.container.serve = serve
    call_at_once(web, 4)
    began = time.monotonic()
    while time.monotonic() < began + 5:
        assert web.call().status_code == 200
        time.sleep(0.5)
    assert len(ended) == 3 and all(2.5 < at - began < 4.5 for at in ended), [at - began for at in ended]
    assert web.container.n_connections == 4, "the one that was used is kept"


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
