"""What real clients of Dynamic Sessions trip over, by number: docs/clients.md has the list, and whose each is.

At the level of bytes, since the clients themselves (tests/clients) take different ways with each of their versions.
14 is theirs alone: they refuse plain HTTP.
"""

import base64
import json
import socket
from urllib.parse import quote, urlsplit

import pytest
import requests

from service import Client, Execution, flat_body

SK_PYTHON = "semantic-kernel-python/1.45.0 (Language=Python)"
SK_DOTNET = "Semantic-Kernel/1.30.0 (Language=dotnet)"
AIOHTTP = "Python/3.11 aiohttp/3.8.4"
N_VERSION, L_VERSION = Client.NEW, Client.LEGACY


class Connection:
    """One connection, on which requests are written byte for byte."""

    def __init__(self, client):
        self.authorization = client.http.headers["Authorization"]
        self.address = urlsplit(client.service_url)
        self.socket = socket.create_connection((self.address.hostname, self.address.port), timeout=120)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, line, headers=(), body=b"", with_length=True):
        lines = [f"{line} HTTP/1.1", f"Host: {self.address.netloc}", f"Authorization: {self.authorization}", *headers]
        if with_length:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("".join(f"{text}\r\n" for text in lines).encode() + b"\r\n" + body)

    def head(self):
        """(status line, headers with names in lower case)"""
        status = self.stream.readline().decode().rstrip("\r\n")
        headers = {}
        while line := self.stream.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def answer(self):
        """(status, headers, body)"""
        status, headers = self.head()
        assert status.startswith("HTTP/1.1 "), status
        body = self.stream.read(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers, body


def target(route, session, version=L_VERSION):
    return f"/{route}?identifier={quote(session.identifier)}&api-version={version}"


def form(disposition, content=b"hello\n", boundary="----b1", first=""):
    part = f"--{boundary}\r\n{first}Content-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return part + content + f"\r\n--{boundary}--\r\n".encode()


def upload(client, session, headers, body, chunks=None, route="files/upload", version=L_VERSION):
    """The JSON of the answer to an upload, which must be a good one."""
    with Connection(client) as connection:
        connection.send("POST " + target(route, session, version), headers, body, with_length=chunks is None)
        for chunk in chunks or ():
            connection.socket.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if chunks is not None:
            connection.socket.sendall(b"0\r\n\r\n")
        status, _, answer = connection.answer()
    assert status == 200, answer
    return json.loads(answer)


def legacy(client, session, code, **options):
    response = client.post("code/execute", {"properties": flat_body(code)}, version=L_VERSION,
                           identifier=session.identifier, **options)
    assert response.status_code == 200, response.text
    return response.json()["properties"]


def new(client, session, code, version=N_VERSION, **options):
    response = client.post("executions", flat_body(code), version=version, identifier=session.identifier, **options)
    assert response.status_code in (200, 202), response.text
    return response.json()


def test_01_multipart_that_says_it_is_json(client, session):
    """Semantic Kernel for Python, after it has run code with the same HTTP client."""
    answer = upload(client, session, [f"User-Agent: {SK_PYTHON}", "Content-Type: application/json"],
                    form('name="file"; filename="/mnt/data/t01.txt"'))
    assert answer["value"][0]["properties"]["filename"] == "t01.txt"


def test_02_multipart_in_chunks_with_a_percent_encoded_name(client, session):
    """autogen, by aiohttp; others' per cent signs stay."""
    body = form('name="file"; filename="t02%20%C3%B1.txt"', first="Content-Type: application/octet-stream\r\n")
    chunks = [body[at:at + 17] for at in range(0, len(body), 17)]
    headers = ["Content-Type: multipart/form-data; boundary=----b1", "Transfer-Encoding: chunked"]
    answer = upload(client, session, [f"User-Agent: {AIOHTTP}", *headers], b"", chunks)
    assert answer["value"][0]["properties"] == {**answer["value"][0]["properties"], "filename": "t02 ñ.txt", "size": 6}
    answer = upload(client, session, ["User-Agent: other/1", *headers], b"", chunks)
    assert answer["value"][0]["properties"]["filename"] == "t02%20%C3%B1.txt"


@pytest.mark.parametrize("disposition, name", [
    ("name=file; filename=t03.txt; filename*=utf-8''t03.txt", "t03.txt"),
    ("name=file; filename=\"=?utf-8?B?dDAzw7EudHh0?=\"; filename*=utf-8''t03%C3%B1.txt", "t03ñ.txt"),
])
def test_03_content_disposition_without_quotes(client, session, disposition, name):
    """.NET, which quotes the boundary instead."""
    answer = upload(client, session, ['Content-Type: multipart/form-data; boundary="----b1"'], form(disposition),
                    route="files", version="2024-10-02-preview")
    assert (answer["name"], answer["type"], answer["contentType"]) == (name, "file", "text/plain; charset=utf-8")


def test_04_numbers_are_numbers_except_where_a_client_cannot_read_them(client, session):
    """LangChain's tests want the integer; Semantic Kernel for .NET throws at anything but a string."""
    assert [legacy(client, session, code)["result"] for code in ("1 + 1", "0.5", "True", "'2'", "10 ** 30")] == [
        2, 0.5, True, "2", 10 ** 30]
    dotnet = {"User-Agent": SK_DOTNET}
    results = [new(client, session, code, "2024-10-02-preview", headers=dotnet)["result"]["executionResult"]
               for code in ("1 + 1", "0.5", "True", "'2'", "x = 1")]
    assert results == ["2", "0.5", "true", "2", ""]


def test_05_no_value_is_an_empty_text(client, session):
    """autogen would print "None"."""
    assert legacy(client, session, "print('John')")["result"] == ""
    assert new(client, session, "x = 1")["result"]["executionResult"] == ""


def test_06_words_of_the_status(client, session):
    """autogen and Semantic Kernel compare them. (Exit codes come with shell pools, which are not there yet.)"""
    assert [legacy(client, session, code)["status"] for code in ("1", "1 / 0")] == ["Success", "Failure"]
    assert [new(client, session, code)["status"] for code in ("1", "1 / 0")] == ["Succeeded", "Failed"]


def test_07_the_status_of_a_finished_call_is_202_in_one_version_alone(client, session):
    """The generated SDK takes nothing else there."""
    def status(route, version):
        return client.post(route, flat_body("1"), version=version, identifier=session.identifier).status_code

    assert [status("executions", version) for version in ("2024-10-02-preview", N_VERSION, "2025-10-02-preview")] == [
        202, 200, 200]
    assert status("code/execute", "2024-10-02-preview") == 200


def test_08_an_identifier_is_the_same_however_it_is_written(client, new_session):
    session = new_session()
    session.identifier += " |x@y"
    session.python("which = 'this one'")
    for written in ("%20%7Cx%40y", "+%7Cx@y", "%20|x@y"):
        identifier = session.identifier.replace(" |x@y", written)
        with Connection(client) as connection:
            connection.send(f"POST /code/execute?api-version={L_VERSION}&identifier={identifier}",
                            body=json.dumps(flat_body("which")).encode())
            status, _, answer = connection.answer()
        assert (status, json.loads(answer)["properties"]["result"]) == (200, "this one"), written


def test_09_a_name_with_the_folder_in_front(client, session):
    """Semantic Kernel for Python, llama_index: and the listing has to show it without."""
    upload(client, session, ["Content-Type: multipart/form-data; boundary=----b1"],
           form('name="file"; filename="/mnt/data/t09.txt"'))
    response = client.request("GET", "files", version=L_VERSION, identifier=session.identifier)
    assert "t09.txt" in [entry["properties"]["filename"] for entry in response.json()["value"]]
    assert session.python("open('/mnt/data/t09.txt').read()").result == "hello\n"


def test_10_stop_session_answers_with_a_sentence(client, new_session):
    """az compares it."""
    session = new_session()
    session.python("1")
    stopped = client.request("POST", ".management/stopSession", identifier=session.identifier)
    again = client.request("POST", ".management/stopSession", identifier=session.identifier)
    assert [(r.status_code, r.headers["content-type"].split(";")[0], r.text) for r in (stopped, again)] == [
        (200, "text/plain", f"Session {session.identifier} in session pool default stopped."),
        (400, "text/plain", "Failed to stop session, session not found.")]


@pytest.mark.parametrize("route", ["code/execute", "executions"])
@pytest.mark.parametrize("body", [
    {"properties": {"codeInputType": "inline", "executionType": "synchronous", "code": "6 * 7", "timeoutInSeconds": 99}},
    {"codeInputType": "Inline", "executionType": "Synchronous", "code": "6 * 7", "identifier": "another"},
    {"Properties": {"CODE": "6 * 7", "unknown": None}},
], ids=["wrapped", "flat", "bare"])
def test_11_bodies_wrapped_and_flat_on_both_routes(client, session, route, body):
    response = client.post(route, body, identifier=session.identifier)
    assert response.status_code == 200 and Execution(response).result == 42


def test_12_connections_are_kept_and_lengths_exact(client, session):
    body = json.dumps(flat_body("'é' * 1000")).encode()
    with Connection(client) as connection:
        for _ in range(3):
            connection.send("POST " + target("code/execute", session), ["Content-Type: application/json"], body)
            status, headers, answer = connection.answer()
            assert status == 200 and headers.get("connection", "keep-alive").lower() == "keep-alive"
            assert json.loads(answer)["properties"]["result"] == "é" * 1000
        connection.send("GET " + target("files/content/missing.txt", session))
        assert connection.answer()[0] == 404
        connection.send("DELETE " + target("files/missing.txt", session))
        assert connection.answer()[0] == 404
        connection.send("GET " + target("files", session))
        assert connection.answer()[0] == 200


def test_13_an_offer_of_h2c_is_not_taken(client, session):
    """Java's HttpClient, which langchain4j has."""
    offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]
    with Connection(client) as connection:
        connection.send("POST " + target("code/execute", session), offer, json.dumps(flat_body("42")).encode())
        status, headers, answer = connection.answer()
    assert (status, json.loads(answer)["properties"]["result"]) == (200, 42) and "upgrade" not in headers


def test_15_a_client_that_gives_up_leaves_the_session_usable(client, new_session):
    """Semantic Kernel for Python does after 5 s."""
    session = new_session()
    session.python("1")
    with pytest.raises(requests.ReadTimeout):
        client.post("code/execute", flat_body("before = 1\nimport time\ntime.sleep(600)"), version=L_VERSION,
                    identifier=session.identifier, timeout=5)
    assert session.python("before").result == 1


def test_16_an_empty_path_is_the_root(client, session):
    """az sends it with every listing, in old versions too."""
    upload(client, session, ["Content-Type: multipart/form-data; boundary=----b1"],
           form('name="file"; filename="t16.txt"'))
    for version in (L_VERSION, N_VERSION):
        response = client.request("GET", "files", version=version, identifier=session.identifier, params={"path": ""})
        assert response.status_code == 200 and "t16.txt" in response.text
    response = client.request("GET", "files/t16.txt/content", identifier=session.identifier, params={"path": ""})
    assert response.content == b"hello\n"


@pytest.mark.parametrize("path", [
    "subscriptions/s/resourceGroups/g/providers/Microsoft.App/sessionPools/default",
    "SUBSCRIPTIONS/s/resourcegroups/g/PROVIDERS/microsoft.app/sessionpools/default",
    "subscriptions/s/resourceGroups/g/sessionpools/DEFAULT",
])
def test_17_case_means_nothing_in_the_paths_of_the_resource_manager(client, session, path):
    response = client.post(f"{path}/code/execute", flat_body("6 * 7"), version=L_VERSION, identifier=session.identifier)
    assert response.status_code == 200 and Execution(response).result == 42
    shown = client.request("GET", path, version="2025-07-01").json()
    assert (shown["name"], shown["properties"]["containerType"]) == ("default", "PythonLTS")


def test_18_the_client_that_waits_to_be_told_to_continue(client, session):
    """curl, with large bodies: nothing of it comes before."""
    body = json.dumps(flat_body("len('" + "x" * 1_500_000 + "')")).encode()
    with Connection(client) as connection:
        connection.send("POST " + target("code/execute", session),
                        ["Expect: 100-continue", f"Content-Length: {len(body)}"], with_length=False)
        assert connection.head()[0].startswith("HTTP/1.1 100")
        connection.socket.sendall(body)
        status, _, answer = connection.answer()
    assert (status, json.loads(answer)["properties"]["result"]) == (200, 1_500_000)


def test_19_a_list_is_written_as_in_a_notebook(client, session):
    """autogen takes it apart: brackets off, then at each comma with a line break."""
    text = legacy(client, session, "[f'package-{i}' for i in range(30)]")["result"]
    assert [item.strip(" '") for item in text.strip("[]").split(",\n")] == [f"package-{i}" for i in range(30)]
    assert legacy(client, session, "[1, 'a']")["result"] == "[1, 'a']"


def test_20_pip_and_pkg_resources(client, session):
    """autogen begins each session with this; what it writes on stderr would be taken for a package."""
    answer = legacy(client, session, "\nimport pkg_resources\n[d.project_name for d in pkg_resources.working_set]\n")
    assert (answer["status"], answer["stdout"], answer["stderr"]) == ("Success", "", "")
    assert {"numpy", "pandas", "matplotlib", "polars", "pip"} <= {
        name.strip(" '").lower() for name in answer["result"].strip("[]").split(",\n")}


def test_21_code_of_several_hundred_kibibytes(client, session):
    """More than a process can be given as an argument: files are sent within it. Commands of a shell pool are sent so, too;
    there is none yet, and a command to a Python pool is told what is missing."""
    content = base64.b64encode(bytes(range(256)) * 2048).decode()
    assert legacy(client, session, f"import base64\nlen(base64.b64decode('{content}'))")["result"] == 512 * 1024
    response = client.post("executions", {"shellCommand": f"echo {content} | base64 -d"}, identifier=session.identifier)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "SessionPropertiesMissing")
