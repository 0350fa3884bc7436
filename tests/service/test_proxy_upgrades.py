"""Connections that switch to a protocol of their own."""

import socket
import time

import pytest

from proxied import OK, headers_of, receive_until


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
