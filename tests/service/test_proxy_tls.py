"""Upgraded connections whose clients speak TLS."""

import contextlib
import hashlib
import os
import select
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import ROOT
from played import wait_until
from proxied import COOLING_AT_ONCE, OK, headers_of

MIB = 1 << 20
PATIENCE_S = 30
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    made = subprocess.run([os.path.join(ROOT, "build", "hearth"), "cert", "init", "--directory", str(folder)],
                          capture_output=True, timeout=60)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def options(certs):
    return "--tls-certificate", f"{certs}/server.pem", "--tls-key", f"{certs}/server-key.pem"


@pytest.fixture
def authority(certs):
    return f"{certs}/ca.pem"


class Client:
    """One that never waits in a call of TLS, so that both ways go on at the same time, in one thread."""

    def __init__(self, web, version=ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=web.authority)
        context.minimum_version = context.maximum_version = version
        self.socket = web.connect()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.unsent, self.received, self.has_ended = b"", b"", False
        self.socket.setblocking(False)
        self.go_on_until(self.tls.do_handshake)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def upgrade(self, web):
        self.write(web.head("GET /{pool}/?identifier=a HTTP/1.1", "Connection: Upgrade", "Upgrade: raw"))
        self.read_until(lambda: b"\r\n\r\n" in self.received)
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return self

    def step(self, timeout):
        """Sends and receives what can be without waiting, or waits for one of both."""
        self.unsent += self.outgoing.read()
        readable, writable, _ = select.select([self.socket], [self.socket] if self.unsent else [], [], timeout)
        if writable:
            self.unsent = self.unsent[self.socket.send(self.unsent):]
        if readable:
            data = self.socket.recv(256 << 10)
            if data:
                self.incoming.write(data)
            else:
                self.incoming.write_eof()
        return readable or writable

    def go_on_until(self, call):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                assert self.step(max(0, deadline - time.monotonic())), "hearthd does not say a word"

    def write(self, data):
        assert self.tls.write(data) == len(data)

    def take(self):
        """What has come."""
        data = b""
        try:
            while part := self.tls.read(256 << 10):
                data += part
            self.has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # after end()
            self.has_ended = True
        return data

    def read_until(self, is_enough):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.received += self.take()
            if is_enough():
                return self.received
            assert not self.has_ended, self.received[:100]
            assert self.step(max(0, deadline - time.monotonic())), f"{len(self.received)} bytes came"

    def read(self, size):
        self.read_until(lambda: len(self.received) >= size)
        data, self.received = self.received[:size], self.received[size:]
        return data

    def read_to_the_end(self):
        self.read_until(lambda: self.has_ended)
        return self.received

    def end(self):
        """Says that nothing more comes, and goes on to read."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.unsent += self.outgoing.read()
        while self.unsent:
            self.step(PATIENCE_S)

    def exchange(self, size):
        """Sends random bytes while it receives as many. Returns the hashes of both, and the longest pause."""
        sent, got, n_sent, n_got, pause = hashlib.sha256(), hashlib.sha256(self.received), 0, len(self.received), 0
        while n_got < size or n_sent < size or self.unsent:
            if n_sent < size and not self.unsent:
                data = os.urandom(min(size - n_sent, 128 << 10))
                self.write(data)
                sent.update(data)
                n_sent += len(data)
            began = time.monotonic()
            assert self.step(PATIENCE_S), f"it stands still after {n_sent} bytes up and {n_got} down"
            pause = max(pause, time.monotonic() - began)
            data = self.take()
            assert not self.has_ended, f"it ends after {n_sent} bytes up and {n_got} down"
            got.update(data)
            n_got += len(data)
        return sent.hexdigest(), got.hexdigest(), pause


def switch(connection):
    head = connection.read_head()
    connection.send(SWITCHING)
    return head


def test_an_upgrade(web):
    heads = []

    def serve(connection):
        heads.append(connection.read_head())
        connection.send(SWITCHING + b"hi")
        while data := connection.receive():
            connection.send(data)
    web.container.serve = serve
    with Client(web).upgrade(web) as client:
        assert client.read(2) == b"hi"
        for size in 1, 1000, 10000, 100000:
            body = os.urandom(size)
            client.write(body)
            assert client.read(size) == body
    assert headers_of(heads[0])[1]["x-forwarded-proto"] == "https"
    web.container.answer(OK)
    assert web.call().status_code == 200


def test_what_a_client_says_of_itself_is_not_passed_on(web):
    response = web.call(headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example",
                                 "X-Forwarded-Port": "1", "X-Real-IP": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Mine": "1"})
    assert response.status_code == 200
    names, values = headers_of(web.container.seen[0])
    assert values["x-forwarded-for"] == "192.0.2.1, 127.0.0.1" and values["x-forwarded-proto"] == "https"
    assert values["x-forwarded-host"] == values["host"] == web.hearthd.url.removeprefix("https://") and values["x-mine"] == "1"
    assert not {"x-forwarded-port", "x-real-ip", "forwarded"} & set(names)


def test_nothing_is_left_of_those_that_ended(web):
    def serve(connection):
        switch(connection)
        connection.send(b"bye")
    web.container.serve = serve

    def n_sockets():
        folder = f"/proc/{web.hearthd.process.pid}/fd"
        n = 0
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):  # closed meanwhile
                n += os.readlink(f"{folder}/{name}").startswith("socket")
        return n

    def run(n):
        for _ in range(n):
            with Client(web).upgrade(web) as client:
                assert client.read_to_the_end() == b"bye"
    run(1)
    time.sleep(1)
    before = n_sockets()
    run(10)
    wait_until(lambda: n_sockets() <= before, f"there are more sockets than the {before} before", timeout=5)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_much_both_ways_at_once(web, version):
    size, sent, got = 20 * MIB, hashlib.sha256(), hashlib.sha256()
    done = threading.Event()

    def serve(connection):
        switch(connection)

        def send():
            for _ in range(size // 65536):
                data = os.urandom(65536)
                sent.update(data)
                connection.send(data)
        sender = threading.Thread(target=send)
        sender.start()
        n = 0
        while n < size:
            data = connection.left or connection.receive()
            assert data, f"the client's bytes end after {n}"
            connection.left = b""
            got.update(data)
            n += len(data)
        sender.join()
        done.set()
        assert connection.receive() == b""
    web.container.serve = serve
    with Client(web, version).upgrade(web) as client:
        began = time.monotonic()
        up, down, pause = client.exchange(size)
        assert done.wait(PATIENCE_S)
        print(f"{2 * size / MIB / (time.monotonic() - began):.0f} MiB/s, at most {pause:.2f} s between two pieces")
    assert (up, down) == (got.hexdigest(), sent.hexdigest())
    assert web.peak_kib() < 48 << 10


def test_what_comes_in_one_go_arrives_without_a_word_of_the_client(web):
    body = os.urandom(300000)

    def serve(connection):
        switch(connection)
        connection.send(body)
        assert connection.receive() == b""
    web.container.serve = serve
    with Client(web).upgrade(web) as client:
        assert client.read(len(body)) == body


def test_the_end_of_what_the_container_sends(web):
    got, ended = [], threading.Event()

    def serve(connection):
        switch(connection)
        connection.send(b"last words" * 10000)
        connection.socket.shutdown(socket.SHUT_WR)
        got.append(connection.read_until(b"more"))
        assert connection.receive() == b""
        ended.set()
    web.container.serve = serve
    with Client(web).upgrade(web) as client:
        assert client.read_to_the_end() == b"last words" * 10000
        client.write(b"and more")
        client.end()
        assert ended.wait(PATIENCE_S)
    assert got == [b"and more"]


def test_the_end_of_what_the_client_sends(web):
    def serve(connection):
        switch(connection)
        assert connection.read_until(b"end") == b"this is the end"
        assert connection.receive() == b""
        connection.send(b"understood" * 10000)
    web.container.serve = serve
    with Client(web).upgrade(web) as client:
        client.write(b"this is the end")
        client.end()
        assert client.read_to_the_end() == b"understood" * 10000


def test_a_client_that_goes(web):
    assert web.pool("PUT", json=COOLING_AT_ONCE).status_code == 200
    ended = threading.Event()

    def serve(connection):
        switch(connection)
        assert connection.read_until(b"here") == b"I was here"
        assert connection.receive() == b""
        ended.set()
    web.container.serve = serve
    with Client(web).upgrade(web) as client:
        client.write(b"I was here")
        client.step(PATIENCE_S)
    assert ended.wait(5), "its end was not passed on"
    web.wait_for_log("cooled|cooldown")


def test_a_client_that_does_not_read_is_not_read_from(web):
    sent, stop = [0], threading.Event()

    def serve(connection):
        switch(connection)
        while not stop.is_set():
            connection.send(b"x" * 65536)
            sent[0] += 65536
    web.container.serve = serve
    with Client(web).upgrade(web):
        time.sleep(2)
        first = sent[0]
        time.sleep(1)
        assert sent[0] == first < 64 * MIB
    stop.set()
    assert web.peak_kib() < 48 << 10


def test_many_at_a_time(web):
    def serve(connection):
        switch(connection)
        while data := connection.left or connection.receive():
            connection.left = b""
            connection.send(data)
    web.container.serve = serve
    clients = [Client(web).upgrade(web) for _ in range(40)]
    for n in range(5):
        for client in clients:
            client.write(bytes([n]) * 40000)
            client.step(0)
        for client in clients:
            assert client.read(40000) == bytes([n]) * 40000
    for client in clients:
        client.socket.close()


@pytest.mark.parametrize("end", ["stop", "session"])
def test_it_ends_with_its_session(web, end):
    def serve(connection):
        switch(connection)
        while connection.receive():
            pass
    web.container.serve = serve
    with Client(web).upgrade(web) as client:
        if end == "stop":
            assert web.hearthd.stop() == 0
        else:
            assert web.call("POST", "/.management/stopSession").status_code == 200
        assert client.read_to_the_end() == b""
