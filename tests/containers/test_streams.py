"""Bodies of any size and kind, both ways, through real microVMs; tests/service/test_proxy*.py has the details of HTTP."""

import time
from concurrent.futures import ThreadPoolExecutor

MIB = 1 << 20
BODY = 96 * MIB  # far more than what is held on the way; `make bench` sends a GiB


def pieces(size, piece=bytes(range(256)) * 256):
    while size:
        yield piece[:size]
        size -= min(size, len(piece))


def rss_kib(service):
    return int(service.host.shell(f"grep VmRSS /proc/{service.hearthd_pid()}/status").split()[1])


def test_a_large_body_up_and_down_takes_no_memory(echo, service):
    echo.get("count")
    before = rss_kib(service)
    down, position = echo.request("GET", f"bytes?size={BODY}", stream=True), 0
    expected = bytes(i % 251 for i in range(251 * 600))
    for piece in down.iter_content(64 << 10):
        start = position % 251
        assert piece == expected[start:start + len(piece)]
        position += len(piece)
    assert position == BODY
    up = echo.request("POST", "count", data=pieces(BODY))  # chunked
    assert up.json()["body"]["size"] == BODY
    sized = echo.request("PUT", "", data=bytes(range(256)) * 4096)
    assert sized.json()["body"] == {"size": MIB, "fnv1a": sized.json()["body"]["fnv1a"]}
    assert rss_kib(service) - before < 8192


def test_events_come_as_they_are_made(echo):
    began, times = time.monotonic(), []
    response = echo.request("GET", "events?count=4&ms=700", stream=True)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    for line in response.iter_lines():
        if line.startswith(b"data:"):
            times.append(time.monotonic() - began)
    assert len(times) == 4 and times[3] - times[0] > 1.5


def test_many_streams_of_a_session_at_once(echo_pool):
    session = echo_pool.session()
    session.get("x")

    def stream(_):
        own = echo_pool.service.client(echo_pool.name).connect()
        response = own.request("GET", "stream?count=5&ms=300", version=None, identifier=session.identifier)
        return response.text.splitlines()

    with ThreadPoolExecutor(30) as pool:
        for lines in pool.map(stream, range(30)):
            assert lines == [f"event {i}" for i in range(5)]
    session.end()
