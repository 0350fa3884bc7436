"""
Requests that hide others, sent to a session of its own by whoever may use both: none of them is a request of the other's.
What is refused, and what a strict server sees of the rest, is in tests/service/test_smuggling.py.
"""

import socket
from urllib.parse import urlsplit

HIDERS = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 0\r\nContent-Length: 9999\r\n\r\n",
    "Content-Length: 5, 5\r\n\r\nhello",
    "Content-Length: +5\r\n\r\nhello",
    "Content-Length: 9999\r\n\r\n",                        # it is its body
    "Transfer-Encoding: chunked\r\n\r\n270f\r\n",          # likewise
    "Transfer-Encoding: chunked\r\n\r\n5;a=\r\nhello\r\n0\r\nX: y\r\n",  # they are its trailers
    "X-A: b\r\n folded\r\nContent-Length: 9999\r\n\r\n",
    "X-A: b\rContent-Length: 9999\r\n\r\n",
    "X-Large: " + "y" * 70000 + "\r\n\r\n",
    "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "Expect: 100-continue\r\nContent-Length: 9999\r\n\r\n",
]


def test_no_request_reaches_another_session(echo_pool):
    attacker, victim = echo_pool.session(), echo_pool.session()
    assert victim.get("random")["counter"] == 1 and attacker.get("random")["counter"] == 1
    url = urlsplit(echo_pool.path)
    token = echo_pool.client.http.headers["Authorization"]

    def head(path, session):
        return f"POST {url.path}/{path}?identifier={session.identifier} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"

    for path in "echo", "early":  # one that reads it all, one that answers and closes
        for hider in HIDERS:
            # The first line of the hidden one is what a server in the container, or hearthd, might take for a request. Its
            # token is no good, so that hearthd does not take it for one of its own.
            hidden = head("random", victim).replace(token, "Bearer none") + "Content-Length: 0\r\n\r\n"
            with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
                connection.sendall((head(path, attacker) + hider + hidden).encode())
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(20)
                try:
                    while connection.recv(65536):
                        pass
                except (TimeoutError, ConnectionError):
                    pass
    assert victim.get("random")["counter"] == 2
    assert attacker.get("random")["counter"] == 2
    victim.end(), attacker.end()
