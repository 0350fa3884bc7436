"""Requests that could be understood in two ways: none reaches a container as another one than hearthd took it for."""

import re

import pytest

from proxied import OK, headers_of

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
