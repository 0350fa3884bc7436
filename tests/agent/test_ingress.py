"""Ingress: connections of the host into the container, and the probes that say when it may have them."""

import contextlib
import errno
import hashlib
import os
import resource
import socket
import threading
import time

import pytest

from container import (ATTACH, ENDED, ENDING, HOLD, HTTP, LIVENESS, READINESS, READY, RUN, STARTING, STARTUP, STATE, TCP,
                       UNREADY, probe)


class Server:
    """What listens on the container's port. The network is the guest's own: here, the test's."""

    def __init__(self, serve, backlog=512, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        self.accepted = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.one, args=(peer,), daemon=True).start()

    def one(self, peer):
        with peer, contextlib.suppress(OSError):
            self.serve(peer)

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def echo(peer):
    while part := peer.recv(65536):
        peer.sendall(part)


@pytest.fixture
def agent(start_container_agent):
    return start_container_agent()


@pytest.fixture
def serve():
    servers = []

    def start(function, **options):
        servers.append(Server(function, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def receive_all(connection):
    data = bytearray()
    while part := connection.recv(1 << 16):
        data += part
    return bytes(data)


def connect(agent):
    connection = agent.ingress()
    assert connection.recv(1) == b"\0"
    return connection


def start(agent, server, **options):
    watch = agent.start(["sleep", "1000"], port=server.port, **options)
    watch.until(READY)
    return watch


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# ---- bytes ---------------------------------------------------------------------------------------------------------

def test_bytes_go_both_ways(agent, serve):
    start(agent, serve(echo))
    with connect(agent) as connection:
        for size in (1, 100, 70000):
            data = os.urandom(size)
            connection.sendall(data)
            heard = b""
            while len(heard) < size:
                heard += connection.recv(size)
            assert heard == data
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_server_in_the_container(agent):
    port = free_port()
    watch = agent.start(["busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", "/etc"], port=port)
    watch.until(READY)
    with connect(agent) as connection:
        connection.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
        answer = receive_all(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"app:x:1000:1001:An app:/home/app:/bin/sh\n")
    watch.stop()
    watch.exit()
    with agent.ingress() as connection:
        assert connection.recv(2) == bytes([errno.EHOSTDOWN])


def test_the_host_ends_first(agent, serve):
    """All that the server says after it has heard the end still comes."""
    def count(peer):
        total = len(receive_all(peer))
        for _ in range(3):
            time.sleep(0.1)
            peer.sendall(b"%d\n" % total)

    start(agent, serve(count))
    with connect(agent) as connection:
        connection.sendall(b"x" * 300000)
        connection.shutdown(socket.SHUT_WR)
        assert receive_all(connection) == b"300000\n" * 3


def test_the_server_ends_first(agent, serve):
    """All that the host says after it has heard the end still comes."""
    heard, done = [], threading.Event()

    def turn(peer):
        peer.sendall(b"bye")
        peer.shutdown(socket.SHUT_WR)
        heard.append(receive_all(peer))
        done.set()

    start(agent, serve(turn))
    with connect(agent) as connection:
        assert receive_all(connection) == b"bye"
        for _ in range(3):
            time.sleep(0.1)
            connection.sendall(b"y" * 200000)
    assert done.wait(20) and heard == [b"y" * 600000]


def test_a_host_that_goes_away_ends_the_servers_connection(agent, serve):
    ended = threading.Event()

    def wait(peer):
        receive_all(peer)
        ended.set()

    start(agent, serve(wait))
    connect(agent).close()
    assert ended.wait(10)


def test_a_host_that_goes_away_after_its_end_ends_a_stream(agent, serve):
    """As a client does that has sent its request, hears events for a while and leaves."""
    ended = threading.Event()

    def stream(peer):
        receive_all(peer)
        try:
            peer.sendall(b"event\n")
            peer.settimeout(20)
            while peer.recv(1) or True:
                peer.sendall(b"event\n")
                time.sleep(0.05)
        except OSError:
            ended.set()

    start(agent, serve(stream))
    with connect(agent) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(6) == b"event\n"
    assert ended.wait(20)


def test_an_early_answer_comes_although_the_server_reads_no_further(agent, serve):
    def refuse(peer):
        peer.recv(1000)
        peer.sendall(b"413 " + b"z" * 200000)
        # Closing with unread bytes is a reset.
        time.sleep(0.3)

    start(agent, serve(refuse))
    with connect(agent) as connection:
        def send():
            with contextlib.suppress(OSError):
                connection.sendall(b"x" * (64 << 20))

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        data = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(1 << 16):
                data += part
        assert bytes(data) == b"413 " + b"z" * 200000
        sender.join(20)
        assert not sender.is_alive()


def test_100_mib_each_way_with_flat_memory(agent, serve):
    size = 100 << 20
    piece = os.urandom(1 << 20)
    start(agent, serve(echo))
    with connect(agent) as connection:
        before, most = agent.resident_bytes(), 0

        def send():
            for _ in range(size // len(piece)):
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=send, daemon=True).start()
        digest, total = hashlib.sha256(), 0
        while part := connection.recv(1 << 20):
            digest.update(part)
            if total % (1 << 23) < len(part):
                most = max(most, agent.resident_bytes())
            total += len(part)
    expected = hashlib.sha256()
    for _ in range(size // len(piece)):
        expected.update(piece)
    assert total == size and digest.digest() == expected.digest()
    assert most - before < 1 << 20


def test_back_pressure(agent, serve):
    """A host that does not read holds the server back, and only that one."""
    sent = []

    def flood(peer):
        if peer.recv(1) == b"f":
            while True:
                peer.sendall(b"x" * 65536)
                sent.append(65536)
        else:
            peer.sendall(b"quick")

    start(agent, serve(flood))
    with connect(agent) as slow:
        slow.sendall(b"f")
        before = -1
        while sum(sent) != before:
            before = sum(sent)
            time.sleep(0.5)
        assert before < 16 << 20
        with connect(agent) as quick:
            quick.sendall(b"q")
            assert receive_all(quick) == b"quick"
        heard = 0
        while heard < before + (1 << 20):
            heard += len(slow.recv(1 << 20))
    assert agent.resident_bytes() < 8 << 20


# ---- connections ---------------------------------------------------------------------------------------------------

def test_300_connections(agent, serve):
    """256 at once work; further ones are told, and have a place as soon as one ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    start(agent, serve(echo))
    before = agent.resident_bytes()
    connections, refused = [], 0
    try:
        for _ in range(300):
            connection = agent.ingress()
            connections.append(connection)
            first = connection.recv(1)
            if first != b"\0":
                assert first == bytes([errno.EAGAIN]) and connection.recv(1) == b""
                refused += 1
        assert refused == 44
        for i, connection in enumerate(connections[:256]):
            connection.sendall(b"%d" % i)
        for i, connection in enumerate(connections[:256]):
            assert connection.recv(100) == b"%d" % i
        assert agent.resident_bytes() - before < 1 << 20
        connections.pop().close()
        connections.pop(0).close()
        deadline = time.monotonic() + 10
        while True:
            with agent.ingress() as connection:
                if connection.recv(1) == b"\0":
                    connection.sendall(b"again")
                    assert connection.recv(100) == b"again"
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nobody_listens(agent):
    watch = agent.start(["sleep", "1000"], port=free_port())
    watch.until(STARTING)
    with agent.ingress() as connection:
        with contextlib.suppress(BrokenPipeError):  # it may have closed already
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.recv(2) == bytes([errno.ECONNREFUSED])


def test_nobody_accepts(agent):
    """A backlog that is full answers nothing: the agent gives up after ten seconds."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        watch = agent.start(["sleep", "1000"], port=port)
        watch.until(STARTING)
        filling = []
        for _ in range(4):
            filling.append(socket.socket())
            filling[-1].setblocking(False)
            filling[-1].connect_ex(("127.0.0.1", port))
        began = time.monotonic()
        with agent.ingress() as connection:
            assert connection.recv(1) == bytes([errno.ETIMEDOUT])
        assert 8 < time.monotonic() - began < 20
        for connection in filling:
            connection.close()


def test_a_held_container_has_no_ingress(agent, serve):
    server = serve(echo)
    watch = agent.start(["sleep", "1000"], port=server.port, flags=HOLD)
    with agent.ingress() as connection:
        assert connection.recv(1) == bytes([errno.EHOSTDOWN])
    while watch.order(RUN)[0] != STATE:
        time.sleep(0.05)
    with connect(agent) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"


def test_connections_outlive_the_stop_signal(agent, serve):
    """A server may end what it has begun while the grace lasts."""
    server = serve(echo)
    watch = agent.start(["sh", "-c", "trap 'sleep 1; exit 0' TERM; echo up; while :; do sleep 0.05; done"], port=server.port)
    watch.output(b"up")
    watch.until(READY)
    with connect(agent) as connection:
        watch.stop(10000)
        connection.sendall(b"still")
        assert connection.recv(100) == b"still"
        assert watch.exit().status == 0


# ---- probes --------------------------------------------------------------------------------------------------------

class Web:
    """An HTTP server whose answers the test decides."""

    def __init__(self, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
        self.answer = answer
        self.requests = []

    def __call__(self, peer):
        data = b""
        while b"\r\n\r\n" not in data and (part := peer.recv(4096)):
            data += part
        if data:
            self.requests.append((time.monotonic(), data))
            if self.answer is None:
                time.sleep(30)
            else:
                peer.sendall(self.answer)


def status(number):
    return b"HTTP/1.1 %d X\r\nContent-Length: 3\r\n\r\nabc" % number


def states(watch, seconds):
    """The states that come within this time."""
    watch.connection.socket.settimeout(seconds)
    before = len(watch.heard.states)
    with contextlib.suppress(TimeoutError):
        while True:
            watch.take()
    watch.connection.socket.settimeout(60)
    return [state for state, _ in watch.heard.states[before:]]


def test_ready_is_who_listens(agent):
    port = free_port()
    watch = agent.start(["sleep", "1000"], port=port)
    assert states(watch, 0.5) == [STARTING]
    with socket.create_server(("127.0.0.1", port)):
        began = time.monotonic()
        watch.until(READY)
        assert time.monotonic() - began < 1


def test_no_port_no_wait(agent):
    watch = agent.start(["sleep", "1000"])
    watch.until(READY)


def test_http_startup(agent, serve):
    web = Web(status(503))
    server = serve(web)
    watch = agent.start(["sleep", "1000"], port=server.port,
                        probes=[probe(STARTUP, HTTP, server.port, "/up?x=1", ["X-Who: probe", "Accept-Language: en"], failures=1000)])
    assert states(watch, 0.4) == [STARTING]
    web.answer = status(204)
    watch.until(READY)
    request = web.requests[0][1]
    assert request.startswith(b"GET /up?x=1 HTTP/1.1\r\n") and b"\r\nX-Who: probe\r\n" in request
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in request and b"\r\nConnection: close\r\n" in request
    count = len(web.requests)
    assert states(watch, 0.4) == [] and len(web.requests) == count  # it has done its work


@pytest.mark.parametrize("answer, words", [
    (status(500), "was answered with status 500"),
    (status(199), "was answered with status 199"),
    (status(400), "was answered with status 400"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "was not answered in HTTP/1"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "was not answered in HTTP/1"),
    (b"HTTP/2.0 200 OK\r\n\r\n", "was not answered in HTTP/1"),
    (b"", "the connection was closed"),
    (None, "was not answered within 200 ms"),
])
def test_startup_that_fails_ends_the_container(agent, serve, answer, words):
    web = Web(answer)
    server = serve(web)
    watch = agent.start(["sleep", "1000"], port=server.port,
                        probes=[probe(STARTUP, HTTP, server.port, "/up", timeout=200, failures=2)])
    heard = watch.exit()
    assert [state for state, _ in heard.states][-3:] == [STARTING, ENDING, ENDED]
    assert f"the startup probe (GET /up on port {server.port}) {words}" in heard.states[-2][1].replace(
        "was not answered: the", "the"), heard
    assert heard.sentence.startswith("the startup probe") and heard.sentence.endswith("; the entrypoint was killed by signal 15 (SIGTERM)")
    assert len(web.requests) == 2


@pytest.mark.parametrize("answer", [status(200), status(302), status(399), b"HTTP/1.0 200\r\n\r\n"])
def test_what_is_success(agent, serve, answer):
    server = serve(Web(answer))
    watch = agent.start(["sleep", "1000"], port=server.port,
                        probes=[probe(STARTUP, HTTP, server.port, failures=1)])
    watch.until(READY)


def test_tcp_startup(agent):
    port = free_port()
    watch = agent.start(["sleep", "1000"], probes=[probe(STARTUP, TCP, port, period=100, failures=3)])
    heard = watch.exit()
    assert f"the startup probe (TCP on port {port}) found nobody: Connection refused" in heard.sentence


@pytest.mark.parametrize("kind", [STARTUP, READINESS])
def test_a_long_period_does_not_delay_a_start(agent, serve, kind):
    web, port = Web(status(503)), free_port()
    watch = agent.start(["sleep", "1000"], probes=[probe(kind, HTTP, port, period=2000)])
    assert states(watch, 0.5) == [STARTING]
    serve(web, port=port)
    deadline = time.monotonic() + 1
    while not web.requests:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # It has been met: from now on it is asked once a period.
    web.answer = status(200)
    assert states(watch, 1) == []
    watch.until(READY)
    assert len(web.requests) == 2 and 1.5 < web.requests[1][0] - web.requests[0][0] < 3


def test_who_is_not_there_is_missed_once_a_period(agent):
    port = free_port()
    began = time.monotonic()
    watch = agent.start(["sleep", "1000"], probes=[probe(STARTUP, HTTP, port, period=400, failures=3)])
    heard = watch.exit()
    assert 0.75 < time.monotonic() - began < 4
    assert "found nobody: Connection refused" in heard.sentence


def test_a_failure_below_the_threshold_is_none(agent, serve):
    """Two failures, a success, two failures, … with a threshold of three."""
    web = Web()
    server = serve(lambda peer: (setattr(web, "answer", status(200 if len(web.requests) % 3 == 2 else 500)), web(peer)))
    watch = agent.start(["sleep", "1000"], probes=[probe(LIVENESS, HTTP, server.port, period=30)])
    assert states(watch, 1) == [STARTING, READY]
    assert len(web.requests) > 9
    server.serve = lambda peer: (setattr(web, "answer", status(500)), web(peer))
    heard = watch.exit()
    assert heard.sentence.startswith("the liveness probe") and ENDING in [state for state, _ in heard.states]


def test_liveness_waits_for_startup(agent, serve):
    startup, liveness = Web(status(500)), Web(status(500))
    first, second = serve(startup), serve(liveness)
    watch = agent.start(["sleep", "1000"], probes=[probe(STARTUP, HTTP, first.port, failures=1000),
                                                   probe(LIVENESS, HTTP, second.port, failures=2)])
    assert states(watch, 0.5) == [STARTING]
    assert liveness.requests == []
    startup.answer = status(200)
    heard = watch.exit()
    assert [state for state, _ in heard.states][-4:] == [STARTING, READY, ENDING, ENDED]
    assert len(liveness.requests) == 2


def test_readiness_comes_and_goes(agent, serve):
    web = Web(status(503))
    server = serve(web)
    watch = agent.start(["sleep", "1000"], port=server.port,
                        probes=[probe(READINESS, HTTP, server.port, "/ready", successes=3, failures=2)])
    assert states(watch, 0.4) == [STARTING]
    count = len(web.requests)
    web.answer = status(200)
    watch.until(READY)
    assert 3 <= len(web.requests) - count <= 4
    count = len(web.requests)
    web.answer = status(503)
    sentence = watch.until(UNREADY)
    assert sentence == f"the readiness probe (GET /ready on port {server.port}) was answered with status 503"
    assert 2 <= len(web.requests) - count <= 3
    # The container goes on, and whoever asks now is told why.
    assert agent.watch().order(ATTACH) == (STATE, UNREADY, sentence)
    with connect(agent):
        pass
    web.answer = status(200)
    watch.until(READY)
    assert states(watch, 0.3) == []


def test_times(agent, serve):
    web = Web()
    server = serve(web)
    began = time.monotonic()
    watch = agent.start(["sleep", "1000"], port=server.port,
                        probes=[probe(READINESS, HTTP, server.port, delay=500, period=200)])
    watch.until(READY)
    assert states(watch, 1) == []
    times = [when - began for when, _ in web.requests]
    assert 0.5 <= times[0] < 1.5
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert len(gaps) >= 3 and min(gaps) > 0.1 and sum(gaps) / len(gaps) < 0.4


def test_probes_end_with_the_container(agent, serve):
    web = Web()
    server = serve(web)
    watch = agent.start(["sleep", "1000"], probes=[probe(READINESS, HTTP, server.port), probe(LIVENESS, TCP, server.port)])
    watch.until(READY)
    watch.stop()
    watch.exit()
    time.sleep(0.2)
    accepted = server.accepted
    time.sleep(0.5)
    assert server.accepted == accepted


def test_an_endless_answer_does_not_stop_the_probe(agent, serve):
    web = Web(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1 << 20))
    server = serve(web)
    watch = agent.start(["sleep", "1000"], probes=[probe(READINESS, HTTP, server.port)])
    watch.until(READY)
    states(watch, 0.5)
    assert len(web.requests) >= 3


def test_a_server_is_not_cut_off_in_its_answer(agent, serve):
    """The probe reads what follows the status, although it does not need it."""
    problems = []

    def slow(peer):
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        try:
            for _ in range(3):
                time.sleep(0.05)
                peer.sendall(b"ab")
            problems.append(None)
        except OSError as error:
            problems.append(error)

    server = serve(slow)
    watch = agent.start(["sleep", "1000"], probes=[probe(STARTUP, HTTP, server.port)])
    watch.until(READY)
    time.sleep(0.5)
    assert problems == [None]
