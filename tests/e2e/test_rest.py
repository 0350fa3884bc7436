"""The wire contract: both families' shapes, what clients send in odd ways, and every kind of refusal."""

import base64
import json
import socket
from urllib.parse import urlsplit

import pytest

from service import Client, Execution, flat_body

JSON = "application/json; charset=utf-8"


def wrapped(code, **more):
    return {"properties": {"codeInputType": "inline", "executionType": "synchronous", "code": code, **more}}


def short(value):
    """A parameter's name in the list of tests."""
    return repr(value)[:40]


# ---- shapes ----------------------------------------------------------------------------------------------------------

def test_legacy_shape(client, session):
    response = client.post("code/execute", wrapped("print('hi')\n1 + 1"), version=Client.LEGACY,
                           identifier=session.identifier)
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    properties = response.json()["properties"]
    assert properties["status"] == "Success"
    assert (properties["stdout"], properties["stderr"], properties["result"]) == ("hi\n", "", 2)
    assert isinstance(properties["executionTimeInMilliseconds"], int)


def test_legacy_failure(client, session):
    response = client.post("code/execute", wrapped("1 / 0"), version=Client.LEGACY, identifier=session.identifier)
    assert response.status_code == 200
    properties = response.json()["properties"]
    assert properties["status"] == "Failure"
    assert properties["stderr"].rstrip().endswith("ZeroDivisionError: division by zero")
    assert properties["result"] == ""


@pytest.mark.parametrize("version, status", [
    ("2024-10-02-preview", 202), ("2025-02-02-preview", 200), ("2025-10-02-preview", 200), ("2031-01-01", 200),
])
def test_new_shape(client, session, version, status):
    response = client.post("executions", flat_body("print('hi')\n1 + 1"), version=version,
                           identifier=session.identifier)
    assert response.status_code == status
    assert response.headers["content-type"] == JSON
    body = response.json()
    assert body["id"]
    assert body["identifier"] == session.identifier
    assert body["executionType"].lower() == "synchronous"
    assert body["status"] == "Succeeded"
    assert isinstance(body["result"].pop("executionTimeInMilliseconds"), int)
    assert body["result"] == {"stdout": "hi\n", "stderr": "", "executionResult": 2}


def test_new_failure(client, session):
    body = client.post("executions", flat_body("nope"), identifier=session.identifier).json()
    assert body["status"] == "Failed"
    assert "NameError" in body["result"]["stderr"]


@pytest.mark.parametrize("route", ["code/execute", "execute", "python/execute", "executions"])
@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("version", [Client.LEGACY, Client.NEW, None])
def test_every_route_takes_every_form(client, session, route, wrap, version):
    body = wrapped("20 + 22") if wrap else flat_body("20 + 22")
    response = client.post(route, body, version=version, identifier=session.identifier)
    assert response.status_code == 200, response.text
    assert ("properties" in response.json()) == (route != "executions")
    assert Execution(response).result == 42


# ---- odd but right ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("body", [
    {"code": "20 + 22"},
    {"CODE": "20 + 22", "CodeInputType": "INLINE", "executiontype": "SYNCHRONOUS", "TimeoutInSeconds": 60},
    {"Properties": {"Code": "20 + 22"}},
    {"code": base64.b64encode(b"20 + 22").decode(), "codeInputType": "InlineBase64"},
    {"code": "20 + 22", "codeInputType": "InlineText"},
    {"code": "20 + 22", "identifier": "another", "sanitizeInput": False, "unknown": {"a": [1, None]}},
    {"code": "20 + 22", "timeoutInSeconds": 100000},
    {"code": "20 + 22", "timeoutInSeconds": -5},
    {"pythonCode": "20 + 22"},
    {"code": "40 + 2", "language": "Python"},
    {"code": "40 + 2", "language": "node"},
])
def test_what_clients_send_is_understood(client, session, body):
    response = client.post("code/execute", body, identifier=session.identifier)
    assert response.status_code == 200, response.text
    assert Execution(response).result == 42


def test_the_path_may_carry_the_identifier(client, session):
    client.post("executions", flat_body("here = 42"), identifier=session.identifier)
    response = client.post(f"identifier/{session.identifier}/code/execute", flat_body("here"))
    assert Execution(response).result == 42


def test_the_query_wins_over_the_path(client, session):
    client.post("executions", flat_body("here = 43"), identifier=session.identifier)
    response = client.post("identifier/elsewhere/executions", flat_body("here"), identifier=session.identifier)
    assert Execution(response).result == 43


def test_the_body_may_carry_the_identifier(client, session):
    client.post("executions", flat_body("here = 44"), identifier=session.identifier)
    response = client.post("executions", {"code": "here", "identifier": session.identifier})
    assert Execution(response).result == 44


@pytest.mark.parametrize("path", ["//code//execute/", "subscriptions/s/resourceGroups/g/sessionPools/default/code/execute",
                                  "SUBSCRIPTIONS/s/resourcegroups/g/SESSIONPOOLS/default/code/execute"])
def test_paths_are_read_generously(client, session, path):
    assert Execution(client.post(path, flat_body("42"), identifier=session.identifier)).result == 42


def test_identifiers_are_decoded_once(client, new_session):
    odd = "a|b&c%41 (d)+[e]{f};<g>#1"
    session = new_session()
    session.identifier = odd
    client.execute(odd, "here = 45")
    response = client.post("executions?identifier=a%7Cb%26c%2541+(d)%2B[e]%7Bf%7D%3B%3Cg%3E%231", flat_body("here"))
    body = response.json()
    assert body["identifier"] == odd
    assert body["result"]["executionResult"] == 45


def test_headers_of_an_answer(client, session):
    first = client.post("code/execute", flat_body("1"), identifier=session.identifier,
                        headers={"x-ms-client-request-id": "my-id-1"})
    second = client.post("executions", flat_body("2"), identifier=session.identifier)
    assert first.headers["x-ms-client-request-id"] == "my-id-1"
    assert first.headers["x-ms-session-guid"] == second.headers["x-ms-session-guid"]
    float(first.headers["x-ms-allocation-time"])
    int(first.headers["x-ms-container-execution-duration"])


def test_semantic_kernel_for_dotnet_gets_strings(client, session):
    response = client.post("executions", flat_body("1 + 1"), version="2024-10-02-preview",
                           identifier=session.identifier,
                           headers={"User-Agent": "Semantic-Kernel/1.0 (Language=dotnet)"})
    assert response.json()["result"]["executionResult"] == "2"


def test_expect_100_continue_and_chunked_bodies(client, session):
    body = json.dumps(flat_body("len('" + "x" * 2_000_000 + "')")).encode()
    chunks = (body[i:i + 65536] for i in range(0, len(body), 65536))
    response = client.request("POST", "executions", identifier=session.identifier, data=chunks,
                              headers={"Content-Type": "application/json", "Expect": "100-continue"})
    assert Execution(response).result == 2_000_000


def test_an_h2c_offer_is_ignored(client, session):
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA"}
    response = client.post("executions", flat_body("42"), identifier=session.identifier, headers=offer)
    assert Execution(response).result == 42


# ---- refusals --------------------------------------------------------------------------------------------------------

def check_error(response, status, code=None):
    assert response.status_code == status, response.text
    body = response.json()
    if response.headers["content-type"].startswith("application/problem+json"):
        assert body["status"] == status and body["title"] and body["errors"]
        return
    assert response.headers["content-type"] == JSON
    assert body["error"]["message"]
    assert response.headers["x-ms-error-code"] == body["error"]["code"]
    if code:
        assert body["error"]["code"] == code


def send_raw(client, data, path="executions", **options):
    options.setdefault("headers", {"Content-Type": "application/json"})
    return client.request("POST", path, identifier="never-made", data=data, **options)


@pytest.mark.parametrize("data", [
    b"", b"{", b"[]", b"null", b"42", b'"code"', b"{} {}", b"\xff\xfe", b'{"code": "\xff"}', b'{"code": "\\ud800"}',
    b"{'code': '1'}", b"[" * 100_000, b'{"a":' * 100_000,
], ids=short)
@pytest.mark.parametrize("path", ["executions", "code/execute"])
def test_what_is_no_json_object_is_refused(client, data, path):
    check_error(send_raw(client, data, path), 400)


@pytest.mark.parametrize("body", [
    {}, {"properties": {}}, {"properties": None}, {"properties": "x"}, {"code": 42}, {"code": None}, {"code": ["1"]},
    {"code": "1", "timeoutInSeconds": "soon"}, {"code": "1", "timeoutInSeconds": {}},
    {"code": "1", "language": "cobol"}, {"code": "1", "language": 5},
    {"code": "1", "codeInputType": "Telepathy"}, {"code": "1", "codeInputType": 1},
    {"code": "no base64!", "codeInputType": "InlineBase64"}, {"code": "/w==", "codeInputType": "InlineBase64"},
    {"code": "1", "executionType": "Whenever"}, {"code": "1", "executionType": 7},
])
def test_missing_and_wrong_fields_are_refused(client, body):
    check_error(client.post("executions", body, identifier="never-made"), 400)


@pytest.mark.parametrize("identifier", [None, "", "x" * 257, "new\nline", "nul\x00", "é", "\x7f"], ids=short)
def test_bad_identifiers_are_refused(client, identifier):
    check_error(client.post("executions", flat_body("1"), identifier=identifier), 400, "SessionRequestValidationFailed")


def test_an_identifier_of_256_characters_is_fine(client, new_session):
    session = new_session()
    session.identifier = "x" * 256
    assert session.python("42").result == 42


@pytest.mark.parametrize("version", ["", "latest", "2024", "2024-13-45x", "'; drop table"])
def test_bad_api_versions_are_refused(client, version):
    response = client.post("executions", flat_body("1"), version=version, identifier="never-made")
    check_error(response, 400, "InvalidApiVersion")


@pytest.mark.parametrize("method, path, status", [
    ("GET", "", 404), ("GET", "nowhere", 404), ("POST", "executions/x/y", 404), ("POST", "code", 404),
    ("POST", "../etc/passwd", 404), ("GET", "executions", 405),
    ("PUT", "code/execute", 405), ("DELETE", "executions", 405), ("POST", "healthz", 405),
])
def test_unknown_routes_and_methods_are_refused(client, method, path, status):
    check_error(client.request(method, path, identifier="never-made"), status)


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic dXNlcjpwYXNz", "bearer\twrong",
])
@pytest.mark.parametrize("path", ["executions", "code/execute"])
def test_without_the_token_nothing_runs(client, authorization, path):
    response = client.request("POST", path, identifier="never-made", json=flat_body("1"),
                              headers={"Authorization": authorization})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_token_that_is_nearly_right_is_refused(service, client):
    for token in (service.token[:-1], service.token + "0", service.token.upper() + "x"):
        response = client.request("POST", "executions", identifier="never-made", json=flat_body("1"),
                                  headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 401


def test_health_needs_no_token(client):
    response = client.request("GET", "healthz", version=None, headers={"Authorization": None})
    assert response.status_code == 200


def test_code_above_8_mib_is_refused(client):
    response = client.post("executions", flat_body("#" * ((8 << 20) + 1)), identifier="never-made")
    check_error(response, 413 if response.status_code == 413 else 400)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(client):
    """The header alone is enough for an answer; who sends on all the same is cut off."""
    answer = raw_request(client, f"POST /executions?identifier=x HTTP/1.1\r\nHost: x\r\n"
                                 f"Authorization: {client.http.headers['Authorization']}\r\n"
                                 f"Content-Length: {1 << 40}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413")


def test_an_endless_chunked_body_is_refused(client):
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    answer = raw_request(client, f"POST /executions?identifier=x HTTP/1.1\r\nHost: x\r\n"
                                 f"Authorization: {client.http.headers['Authorization']}\r\n"
                                 f"Transfer-Encoding: chunked\r\n\r\n".encode(), (chunk for _ in range(2000)))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert client.request("GET", "healthz").status_code == 200


@pytest.mark.parametrize("request_bytes", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"POST /executions HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
    b"POST /executions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"GET /%00%zz HTTP/1.1\r\nHost: x\r\n\r\n",
], ids=short)
def test_what_is_no_http_does_no_harm(client, request_bytes):
    answer = raw_request(client, request_bytes)
    assert answer == b"" or answer.split()[1][:1] in (b"4", b"5")
    assert client.request("GET", "healthz").status_code == 200


def raw_request(client, head, chunks=()):
    """Sends bytes and returns what is answered before the connection ends or falls silent."""
    parts = urlsplit(client.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=4) as s:
        answer = b""
        try:
            s.sendall(head)
            for chunk in chunks:
                s.sendall(chunk)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        try:
            while data := s.recv(65536):
                answer += data
        except OSError:
            pass
        return answer


def test_refused_requests_make_no_session(client, service):
    """All refusals above named the same session: none of them may have started it."""
    assert client.end("never-made").status_code == 404


# ---- ending sessions -------------------------------------------------------------------------------------------------

def test_a_session_can_be_ended(client, new_session):
    session = new_session()
    session.python("x = 1")
    assert session.end().status_code == 204
    check_error(session.end(), 404, "NoSessionFoundError")
    assert "NameError" in session.python("x").stderr


def test_stop_session_of_an_unknown_session(client):
    response = client.request("POST", ".management/stopSession", identifier="never-made")
    assert response.status_code == 400
    assert response.text == "Failed to stop session, session not found."
    assert response.headers["content-type"].startswith("text/plain")
