"""Requests that could be understood in two ways: none reaches a container as another one than hearthd took it for."""

import re
import time

import pytest

from proxied import OK, POOL, headers_of, receive_until

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


# ---- what a strict server makes of it ----


def be_strict(web):
    """The container takes requests as RFC 9112 has them, and nothing else; returns the list of those it saw."""
    seen = []

    def serve(connection):
        while True:
            line, headers = connection.read_head()
            assert re.fullmatch(r"[!-~]+ /[!-~]* HTTP/1\.1", line), line
            names, values = headers_of((line, headers))
            lengths = [name for name in names if name in ("content-length", "transfer-encoding")]
            assert len(lengths) <= 1 and values.get("transfer-encoding", "chunked") == "chunked", headers
            assert all("\r" not in value and "\n" not in value and "\0" not in value for _, value in headers), headers
            if "transfer-encoding" in values:
                body, trailers = connection.read_chunks()
                seen.append((line, body, trailers))
            else:
                seen.append((line, connection.read(int(values.get("content-length", 0))), b""))
            connection.send(OK)
    web.container.serve = serve
    return seen


def smuggled(web):
    return web.head("GET /{pool}/smuggled?identifier=b HTTP/1.1")


def check_one_or_none(web, request, *bodies):
    """It is refused, or passed on as one request with one of these bodies; what is in it is no request."""
    seen = be_strict(web)
    answer = web.raw(request)
    assert not web.container.failures, web.container.failures
    heads = re.findall(rb"HTTP/1\.[01] (\d\d\d) ", answer)
    assert len([line for line, *_ in seen]) <= 1 and not [line for line, *_ in seen if "smuggled" in line], seen
    if b"200" in heads:
        assert [body for _, body, _ in seen] and seen[0][1] in bodies, (seen, answer)
    else:
        assert answer == b"" or heads[0] == b"505" or heads[0].startswith(b"4"), answer
        assert not seen, (seen, answer)
    assert len(re.findall("source=boot", web.hearthd.log())) <= 1, "a session was made for what is no request"


@pytest.mark.parametrize("coding", [
    "Transfer-Encoding: CHUNKED", "Transfer-Encoding:chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked ",
    "Transfer-Encoding: chunked\x0b", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: \x00chunked", "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked;q=1", 'Transfer-Encoding: "chunked"', "Transfer-Encoding:", "Transfer-Encoding: ,chunked",
    "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: x\r\n chunked", "Transfer-Encoding\r\n : chunked", " Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding\x00: chunked",
    "Transfer_Encoding: chunked", "X-A: \r\nTransfer-Encoding: chunked", "TE: chunked"], ids=lambda coding: ascii(coding)[1:-1])
def test_transfer_codings(web, coding):
    # Chunked, its body is "hi"; else it has none, and what follows the empty line is no request that may be answered.
    check_one_or_none(web, web.head("POST /{pool}/?identifier=a HTTP/1.1", coding) + b"2\r\nhi\r\n0\r\n\r\n", b"hi", b"")


@pytest.mark.parametrize("coding", ["Transfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: xchunked",
                                    "Transfer-Encoding:\x0bchunked", "X: y\rTransfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked"], ids=ascii)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_coding_beside_a_length(web, coding, is_first):
    body = b"0\r\n\r\n" + smuggled(web)
    headers = [coding, f"Content-Length: {len(body)}"]
    check_one_or_none(web, web.head("POST /{pool}/?identifier=a HTTP/1.1", *(headers if is_first else headers[::-1])) + body, body)


@pytest.mark.parametrize("chunks", [
    b"0x2\r\nhi\r\n0\r\n\r\n", b"+2\r\nhi\r\n0\r\n\r\n", b"-2\r\nhi\r\n0\r\n\r\n", b" 2\r\nhi\r\n0\r\n\r\n", b"2 \r\nhi\r\n0\r\n\r\n",
    b"\r\nhi\r\n0\r\n\r\n", b"2\nhi\n0\n\n", b"2\rhi\r\n0\r\n\r\n", b"2\r\nhiX\r\n0\r\n\r\n", b"2\r\nhi0\r\n\r\n", b"g\r\nhi\r\n0\r\n\r\n",
    b"10000000000000002\r\nhi\r\n0\r\n\r\n", b"f" * 40 + b"\r\nhi\r\n0\r\n\r\n", b"0" * 30 + b"2\r\nhi\r\n0\r\n\r\n", b"2;\r\nhi\r\n0\r\n\r\n",
    b"2;a=b\r\nhi\r\n0;c\r\n\r\n", b'2;a="\r\n"\r\nhi\r\n0\r\n\r\n', b"2;a\nb\r\nhi\r\n0\r\n\r\n", b"2;a\rb\r\nhi\r\n0\r\n\r\n",
    b"2;" + b"x" * 100000 + b"\r\nhi\r\n0\r\n\r\n", b"2\r\nhi\r\n0\r\nX-A: b\r\n c\r\n\r\n", b"2\r\nhi\r\n0\r\nX-A: b\rc\r\n\r\n",
    b"2\r\nhi\r\n0\r\n" + b"X-A: b\r\n" * 20000 + b"\r\n", b"2\r\nhi\r\n0\r\nX-A: " + b"b" * 100000 + b"\r\n\r\n", b"2\r\nhi\r\n0\r\nX A: b\r\n\r\n",
], ids=lambda chunks: f"{len(chunks)}-{ascii(chunks[:30])[2:-1]}")
def test_chunks(web, chunks):
    check_one_or_none(web, web.head("POST /{pool}/?identifier=a HTTP/1.1", "Transfer-Encoding: chunked") + chunks, b"hi")


@pytest.mark.parametrize("has_token", [True, False])
def test_a_line_without_end_stops_nobody(web, has_token):
    """The library keeps it until its memory is full, and then asks to be run again and again."""
    assert web.call().status_code == 200
    with web.connect() as client:
        head = web.head("POST /{pool}/?identifier=a HTTP/1.1", "Transfer-Encoding: chunked")
        client.sendall((head if has_token else head.replace(web.hearthd.token.encode(), b"none")) + b"2;" + b"x" * 100000)
        time.sleep(0.5)
        began = web.processor_s()
        for _ in range(10):
            assert web.call().status_code == 200
            time.sleep(0.1)
        assert web.processor_s() - began < 0.5


def test_trailers_change_nothing(web):
    seen = be_strict(web)
    web.raw(web.head("POST /{pool}/?identifier=a HTTP/1.1", "Transfer-Encoding: chunked", "Connection: close") +
            b"2\r\nhi\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\nTransfer_Encoding: x\r\nHost: b\r\nAuthorization: c\r\n"
            b"X-Forwarded-For: d\r\nX-Real-IP: e\r\nX-Sum: f\r\nConnection: g\r\n\r\n")
    assert seen == [("POST /?identifier=a HTTP/1.1", b"hi", b"X-Sum: f\r\n")]


@pytest.mark.parametrize("line", [
    "GET /{pool}/?identifier=a HTTP/0.9", "GET /{pool}/?identifier=a", "GET /{pool}/?identifier=a HTTP/2.0", "GET /{pool}/?identifier=a HTTP/1.11",
    "GET /{pool}/?identifier=a http/1.1", "GET  /{pool}/?identifier=a  HTTP/1.1", "GET /{pool}/?identifier=a HTTP/1.1 HTTP/1.1", "GET\t/{pool}/?identifier=a\tHTTP/1.1",
    "GET /{pool}/?identifier=a\rX: y HTTP/1.1", "GET /{pool}/?identifier=a\x00b HTTP/1.1", "GE\x01T /{pool}/?identifier=a HTTP/1.1", "G(T /{pool}/?identifier=a HTTP/1.1",
    "CONNECT /{pool}/?identifier=a HTTP/1.1", "PRI * HTTP/2.0", "GET /{pool}/" + "y" * 70000 + "?identifier=a HTTP/1.1", "GET /{pool}/%0d%0aX:%20y?identifier=a HTTP/1.1",
], ids=lambda line: f"{len(line)}-{ascii(line.replace('{pool}', ''))[1:30]}")
def test_first_lines(web, line):
    check_one_or_none(web, web.head(line), b"")


@pytest.mark.parametrize("headers", [["X: y"] * 2000, [f"X-{n}: y" for n in range(2000)], ["X" * 70000 + ": y"], [": y"], ["X"], ["X-A:\x7f"], ["\x80: y"]],
                         ids=lambda headers: f"{len(headers)}-{ascii(headers[0][:9])[1:-1]}")
def test_headers(web, headers):
    check_one_or_none(web, web.head("GET /{pool}/?identifier=a HTTP/1.1", *headers), b"")


def test_a_body_of_a_get_is_no_request(web):
    seen = be_strict(web)
    body = smuggled(web)
    answer = web.raw(web.head("GET /{pool}/1?identifier=a HTTP/1.1", f"Content-Length: {len(body)}") + body +
                     web.head("GET /{pool}/2?identifier=a HTTP/1.1", "Connection: close"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert [(line, taken) for line, taken, _ in seen] == [("GET /1?identifier=a HTTP/1.1", body), ("GET /2?identifier=a HTTP/1.1", b"")]


def test_what_comes_after_an_early_answer_is_no_request(web):
    """The container answers before the body has come, and would take the rest of it for its next request."""
    lines = []

    def serve(connection):
        lines.append(connection.read_head()[0])
        connection.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        while True:
            lines.append(connection.read_head()[0])
            connection.send(OK)
    web.container.serve = serve
    body = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    with web.connect() as client:
        client.sendall(web.head("POST /{pool}/1?identifier=a HTTP/1.1", f"Content-Length: {len(body)}"))
        time.sleep(0.5)
        client.sendall(body)
        assert receive_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 403 ")
    for n in range(2, 6):
        web.call("GET", f"/{n}")
    assert not [line for line in lines if "smuggled" in line], lines


@pytest.mark.parametrize("method, answer", [
    ("HEAD", OK), ("GET", b"HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\nok"), ("GET", b"HTTP/1.1 304 Same\r\nContent-Length: 2\r\n\r\nok"),
    ("GET", b"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ("GET", OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"), ("GET", b"HTTP/1.1 100 Go\r\n\r\n" * 100 + OK),
    ("GET", b"HTTP/1.1 100 Go\r\nContent-Length: 2\r\n\r\nok" + OK)])
def test_a_body_where_none_can_be_is_no_answer(web, method, answer):
    """A container that answers more than it was asked: the client's next request gets an answer of its own, or none."""
    def serve(connection):
        line = connection.read_head()[0]
        if "/second" in line:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
        else:
            connection.send(answer)
            line = connection.read_head()[0]
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
    web.container.serve = serve
    for _ in range(3):
        with web.connect() as client:
            client.sendall(web.head(method + " /{pool}/first?identifier=a HTTP/1.1"))
            first = receive_until(client, b"\r\n\r\n")
            if first.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304")) or method == "HEAD":
                assert first.endswith(b"\r\n\r\n")
            time.sleep(0.1)
            assert b"forged" not in first
        assert web.call("GET", "/second").content == b"second"


def test_two_identifiers_are_one_session(web):
    seen = be_strict(web)
    for path in "/1?identifier=a", "/2?identifier=a&identifier=b", "/3?identifier=a&Identifier=b", "/4?identifier=a&identifie%72=b":
        answer = web.raw(web.head("GET /{pool}" + path + " HTTP/1.1", "Connection: close"))
        assert re.match(rb"HTTP/1\.1 (200|400) ", answer)
    assert seen and len(re.findall("source=boot", web.hearthd.log())) == 1


def test_nothing_reaches_another_session(web):
    """Two clients, each with a session: whatever one hides in its requests, the other's see none of it."""
    seen = be_strict(web)
    hidden = f"GET /{POOL}/hidden?identifier=b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {web.hearthd.token}\r\n\r\n".encode()
    assert web.call("GET", "/own", identifier="b").content == b"ok"
    for headers in ([f"Content-Length: {len(hidden)}"], ["Transfer-Encoding: chunked"]):
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
        with web.connect() as client:
            client.sendall(web.head("POST /{pool}/?identifier=a HTTP/1.1", *headers) + (chunked if "chunked" in headers[0] else hidden))
            receive_until(client, b"ok")
            client.sendall(web.head("GET /{pool}/own?identifier=b HTTP/1.1"))
            receive_until(client, b"ok")
    assert [line for line, *_ in seen] == ["GET /own?identifier=b HTTP/1.1"] + 2 * ["POST /?identifier=a HTTP/1.1", "GET /own?identifier=b HTTP/1.1"]
