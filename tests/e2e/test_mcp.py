"""The MCP endpoint: the protocol's own Python library, unchanged, in front of real microVMs; and what it does not send."""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from service import ROOT

sys.path.append(os.path.join(ROOT, "tests"))
from pinned_venv import pinned_python

FOLDER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "mcp")
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


@pytest.fixture(scope="module")
def python():
    return pinned_python("mcp", os.path.join(FOLDER, "requirements.txt"))


@pytest.fixture(scope="module")
def key(client):
    response = client.post("fetchMcpServerCredentials", {})
    assert response.status_code == 200, response.text
    return response.json()["apiKey"]


@pytest.fixture(scope="module")
def speak(python, client, key):
    """One connection of the library: what it was given for each step."""
    def speak(*steps, mode="auto", header=None):
        result = subprocess.run([python, "-W", "ignore", os.path.join(FOLDER, "client.py"), f"{client.url}/mcp",
                                 header or f"x-ms-apikey: {key}", mode],
                                input=json.dumps(steps), stdout=subprocess.PIPE, text=True, timeout=600)
        assert result.returncode == 0
        return json.loads(result.stdout)

    return speak


def texts(result):
    return [item["text"] for item in result["content"] if item["type"] == "text"]


def call(name, **arguments):
    return ["call", name, arguments]


def post(client, key, body, **headers):
    """One message without the library; its result."""
    response = client.http.post(f"{client.url}/mcp", json=body, timeout=300,
                                headers={"Authorization": None, "x-ms-apikey": key, **headers})
    assert response.status_code == 200, response.text
    return response.json()


def test_the_library_runs_code_with_state_in_one_connection(speak):
    agreed, tools, first, second, node, failed, picture = speak(
        ["tools"], call("run_python", code="x = 41\nprint('hi')"), call("run_python", code="x + 1"),
        call("run_node", code="const os = require('os'); [1, 2].map(n => n * 2).join()"),
        call("run_python", code="1 / 0"),
        call("run_python", code="import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"))
    assert agreed == {"protocolVersion": "2025-11-25", "server": "hearth"}
    assert {"run_python", "run_node", "upload_file", "download_file", "list_files", "launchShell",
            "launchPythonEnvironment", "runPythonCodeInRemoteEnvironment"} == {tool["name"] for tool in tools["tools"]}
    assert texts(first) == ["hi\n"] and first["structuredContent"]["isNewEnvironment"]
    assert texts(second) == ["42"] and second["structuredContent"]["result"] == 42
    assert not second["structuredContent"]["isNewEnvironment"] and not second["isError"]
    assert first["structuredContent"]["environmentId"] == second["structuredContent"]["environmentId"]
    assert texts(node) == ["2,4"]
    assert failed["isError"] and "ZeroDivisionError" in texts(failed)[0]
    image = next(item for item in picture["content"] if item["type"] == "image")
    assert image["mimeType"] == "image/png" and base64.b64decode(image["data"]).startswith(b"\x89PNG")


def test_a_connection_ends_with_its_sandbox(speak, client):
    _, result = speak(call("run_python", code="kept = 1"))
    assert client.session(result["structuredContent"]["environmentId"]) is None
    _, result = speak(call("run_python", code="'kept' in globals()"))
    assert result["structuredContent"]["result"] is False


def test_files_go_in_and_out(speak):
    data = secrets.token_bytes(200_000)
    _, text, binary, picture, listed, read, back, seen, raw, none = speak(
        call("upload_file", path="notes/grüße.txt", content="Grüße,\n\"quoted\"\n" + "é" * 50_000),
        call("upload_file", path="data.bin", contentBase64=base64.encodebytes(data).decode()),
        call("upload_file", path="dot.png", contentBase64=base64.b64encode(PNG).decode()),
        call("list_files", recursive=True),
        call("run_python", code=textwrap.dedent("""
            import hashlib
            open('made.csv', 'w').write('a,b\\n1,2\\n')
            hashlib.sha256(open('/mnt/data/data.bin', 'rb').read()).hexdigest()""")),
        call("download_file", path="data.bin"), call("download_file", path="dot.png"),
        call("download_file", path="notes/grüße.txt"), call("download_file", path="none.txt"))
    assert not (text["isError"] or binary["isError"] or picture["isError"])
    assert [file["name"] for file in listed["structuredContent"]["files"] if file["type"] == "file"] == [
        "data.bin", "dot.png", "grüße.txt"]
    assert read["structuredContent"]["result"] == hashlib.sha256(data).hexdigest()
    resource = back["content"][0]["resource"]
    assert base64.b64decode(resource["blob"]) == data and resource["mimeType"] == "application/octet-stream"
    assert back["structuredContent"]["sizeInBytes"] == len(data)
    assert seen["content"][0]["type"] == "image" and base64.b64decode(seen["content"][0]["data"]) == PNG
    assert texts(raw) == ["Grüße,\n\"quoted\"\n" + "é" * 50_000]
    assert none["isError"] and "none.txt" in texts(none)[0]


def test_bad_files_are_refused_in_words(speak):
    _, outside, digits, padding, missing, folder, empty, size = speak(
        call("upload_file", path="../etc/passwd", content="x"), call("upload_file", path="x", contentBase64="a?b="),
        call("upload_file", path="x", contentBase64="QQ==" * 20_000), call("upload_file", path="x"),
        call("download_file", path="/mnt/data"), call("upload_file", path="empty", content=""),
        call("run_python", code="import os; os.path.getsize('empty'), os.path.exists('x')"))
    for refused in outside, digits, padding, missing, folder:
        assert refused["isError"] and texts(refused)
    assert not empty["isError"]
    assert texts(size) == ["(0, False)"]


def test_the_names_of_azure_need_an_environment(speak):
    _, launched, = speak(call("launchShell"), mode="legacy")
    id = launched["structuredContent"]["environmentId"]
    _, first, second, unknown = speak(
        call("runPythonCodeInRemoteEnvironment", environmentId=id, pythonCode="y = 6"),
        call("runPythonCodeInRemoteEnvironment", environmentId=id, pythonCode="y * 7"),
        call("runPythonCodeInRemoteEnvironment", environmentId=id + "x", pythonCode="y * 7"))
    assert first["structuredContent"]["isNewEnvironment"]
    assert second["structuredContent"]["result"] == 42
    assert "environment" in unknown["error"]["message"] and "not found" in unknown["error"]["message"]


def test_an_api_key_and_a_bearer_token_open_it(speak, client):
    made = client.post("keys", {"role": "executor", "pools": ["default"]}).json()
    try:
        for header in f"x-ms-apikey: {made['token']}", f"Authorization: Bearer {made['token']}":
            _, result = speak(call("run_python", code="6 * 7"), header=header)
            assert texts(result) == ["42"]
    finally:
        client.request("DELETE", f"keys/{made['id']}")


def test_without_a_session_each_call_has_its_own_sandbox(client, key):
    def run(code, **more):
        return post(client, key, {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                                  "params": {"name": "run_python", "arguments": {"code": code, **more}}})["result"]

    first = run("z = 5")["structuredContent"]
    assert run("'z' in globals()")["structuredContent"]["result"] is False
    assert run("z", environmentId=first["environmentId"])["structuredContent"]["result"] == 5
    client.end(first["environmentId"])


def test_a_batch_is_answered_in_order(client, key):
    id = f"batch-{secrets.token_hex(4)}"
    body = [{"jsonrpc": "2.0", "id": n, "method": "tools/call",
             "params": {"name": "run_python", "arguments": {"environmentId": id, "code": code}}}
            for n, code in (("a", "n = 1"), ("b", "n += 1; n"))]
    answers = post(client, key, [*body, {"jsonrpc": "2.0", "method": "notifications/initialized"}])
    assert [answer["id"] for answer in answers] == ["a", "b"]
    assert answers[1]["result"]["structuredContent"]["result"] == 2
    client.end(id)


def test_a_long_call_becomes_a_stream(client, key):
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "run_python", "arguments": {"code": "import time; time.sleep(20); 'late'"}}}
    response = client.http.post(f"{client.url}/mcp", json=body, timeout=300,
                                headers={"x-ms-apikey": key, "Accept": "application/json, text/event-stream"})
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.text.startswith(": keep-alive\n\n")
    event = response.text.rsplit("event: message\ndata: ", 1)[1]
    assert json.loads(event)["result"]["structuredContent"]["result"] == "late"


def test_a_client_that_hangs_up_ends_its_code(client, key):
    id = f"gone-{secrets.token_hex(4)}"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "run_python", "arguments": {"environmentId": id, "code": "while True: pass"}}}
    with pytest.raises(Exception):
        client.http.post(f"{client.url}/mcp", json=body, timeout=15, headers={"x-ms-apikey": key})
    assert client.execute(id, "1 + 1").result == 2
    client.end(id)


def test_a_call_can_be_cancelled(client, key):
    session = {"Mcp-Session-Id": secrets.token_hex(16)}

    def run(code, id):
        return post(client, key, {"jsonrpc": "2.0", "id": id, "method": "tools/call",
                                  "params": {"name": "run_python", "arguments": {"code": code}}}, **session)

    run("kept = 3", "first")
    answers = []
    caller = threading.Thread(target=lambda: answers.append(run("while True: pass", "endless")))
    caller.start()
    time.sleep(3)

    def cancel(id, **session):
        body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}
        response = client.http.post(f"{client.url}/mcp", json=body, headers={"x-ms-apikey": key, **session})
        assert response.status_code == 202

    cancel("endless")  # of nobody's session
    cancel("other", **session)
    time.sleep(1)
    assert not answers
    cancel("endless", **session)
    caller.join(30)
    assert answers[0]["error"]["code"] == -32800
    assert run("kept", "last")["result"]["structuredContent"]["result"] == 3
    client.end(f"mcp-{session['Mcp-Session-Id']}")
