"""Clients that take their time, so that nobody else has any."""

import socket
import time
from urllib.parse import urlsplit

CONNECTIONS = 8


def test_a_body_that_nobody_wants_has_an_end(start):
    """Who has no token holds no connection for longer than the headers may take, whatever follows them."""
    where = urlsplit(start("--idle-timeout-seconds", "2", "--max-connections", str(CONNECTIONS)).url)
    held = [socket.create_connection((where.hostname, where.port)) for _ in range(CONNECTIONS)]
    for client in held:
        client.sendall(b"POST /executions?identifier=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    deadline, still_there = time.monotonic() + 8, set(held)
    while still_there and time.monotonic() < deadline:
        time.sleep(0.5)
        for client in list(still_there):
            try:
                client.sendall(b"1\r\nx\r\n")
            except OSError:
                still_there.discard(client)
    for client in held:
        client.close()
    assert not still_there
