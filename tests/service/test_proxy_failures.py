"""What clients hear when a session's container does not answer as it should, or one of them goes."""

import os
import threading
import time

import pytest

from proxied import error_code, headers_of, receive_until


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


@pytest.mark.parametrize("options", [("--proxy-answer-timeout-seconds", "1")])
@pytest.mark.parametrize("method, options_of_call", [("GET", {}), ("POST", {"data": b"x" * (1 << 20)})])
def test_a_guest_that_does_not_say_whether_there_is_a_container(web, method, options_of_call):
    web.container.be_silent()
    response = web.call(method, **options_of_call)
    assert (response.status_code, error_code(response)) == (504, "ContainerTimedOut")
    web.container.listen()
    assert web.call().status_code == 200


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


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\n\r\n"], ids=lambda answer: answer[9:12].decode())
def test_a_client_that_vanishes_is_missed_at_last(web, answer):
    """Where nothing is sent to it, nobody would see that it is gone: the session would be in use for ever."""
    web.container.serve = lambda connection: (connection.read_head(), connection.send(answer), connection.receive())
    with web.connect() as client:
        client.sendall(web.head("GET /{pool}/?identifier=a HTTP/1.1", "Upgrade: raw", "Connection: Upgrade"))
        receive_until(client, b"\r\n\r\n")
        time.sleep(0.2)
        ours, theirs = (f"{address[1]:04X}" for address in (client.getsockname(), client.getpeername()))
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table]
        timers = [row[5][:2] for row in rows[1:] if row[1].endswith(f":{theirs}") and row[2].endswith(f":{ours}")]
        assert timers == ["02"], "the kernel does not ask whether it is there"


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
