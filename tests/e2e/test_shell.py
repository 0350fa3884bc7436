"""A pool of shells: commands, their answers, what persists, and how they end."""

import base64
import json
import os
import secrets
import time

import pytest
from sse import parse

POOL = f"shell-{secrets.token_hex(4)}"
TIMED_OUT = "Request timed out waiting for code execution to complete"


@pytest.fixture(scope="module")
def client(service):
    """A client of the pool, whose sessions have few processes and a small disk."""
    default = service.client()
    response = default.request("PUT", f"sessionPools/{POOL}", json={"properties": {
        "containerType": "Shell", "scaleConfiguration": {"maxConcurrentSessions": 3, "readySessionInstances": 1},
        "resources": {"cpu": 1, "memory": "0.5Gi"}, "sessionLimits": {"processes": 100, "disk": "32Mi"},
        "mcpServerSettings": {"isMcpServerEnabled": True}}})
    assert response.status_code in (200, 201), response.text
    client = service.client(POOL)
    client.wait_until_ready(1, timeout=300)
    yield client
    default.request("DELETE", f"sessionPools/{POOL}")


def answer(session, body, **options):
    response = session.client.post("executions", body, identifier=session.identifier, **options)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def run(session):
    """Runs a command: (status, stdout, stderr)."""
    def run(command, **fields):
        kind = "shellCommand" if isinstance(command, str) else "execCommandAndArgs"
        got = answer(session, {kind: command, **fields})
        return got["status"], got["result"]["stdout"], got["result"]["stderr"]
    return run


def test_answer_is_that_of_azure(session):
    got = answer(session, {"shellCommand": "echo out; echo err >&2; exit 7"})
    assert got.pop("result").pop("executionTimeInMilliseconds") >= 0
    assert got == {"identifier": session.identifier, "status": "7"}


def test_command_sees_what_commands_in_azure_see(run):
    status, out, err = run("pwd; echo $SHELL $HOME; id -un; shopt -q login_shell && echo login; command -v python3 node")
    assert (status, err) == ("0", "")
    assert out.splitlines() == ["/mnt/data", "/bin/bash /home/hearth", "hearth", "login", "/usr/bin/python3", "/usr/bin/node"]
    assert run("echo $PATH")[1].startswith("/home/hearth/.local/bin:")


def test_arguments_and_stdin(run):
    assert run(["printf", "[%s]", "a b", "$HOME"]) == ("0", "[a b][$HOME]", "")
    assert run("tr a-z A-Z", stdin="hélo\n") == ("0", "HéLO\n", "")
    assert run(["cat"]) == ("0", "", "")


def test_files_persist_and_variables_do_not(run, session):
    assert run("X=1; export Y=2; echo kept > file; cd /")[0] == "0"
    assert run("echo \"[$X$Y]\"; pwd; cat file") == ("0", "[]\n/mnt/data\nkept\n", "")
    assert session.client.request("GET", "files/file/content", identifier=session.identifier).text == "kept\n"


def test_large_command_writes_a_file(run):
    """langchain's backend sends files in the command."""
    text = base64.b64encode(os.urandom(450_000)).decode()
    assert run(f"printf %s '{text}' > large; wc -c < large; md5sum < large; rm large", timeoutInSeconds=200)[1].split()[0] == str(len(text))


def test_time_limit(session, run):
    got = answer(session, {"shellCommand": "echo before; sleep 60", "timeoutInSeconds": 1})
    assert got["status"] == "-1" and got["result"]["executionTimeInMilliseconds"] == 1000
    assert got["result"]["stdout"] == "before\n" and got["result"]["stderr"].endswith(TIMED_OUT)
    assert run("echo usable") == ("0", "usable\n", "")


def test_background_process_lives_on_and_what_ignores_the_interrupt_does_not(run):
    status, out, _ = run("sleep 1000 & echo $!; (while sleep 0.1; do echo tick; done) &")
    assert status == "0" and len(out.split()) == 1
    pid = out.strip()
    assert run("trap '' INT; while :; do :; done", timeoutInSeconds=1)[0] == "-1"
    assert run(f"ps -p {pid} -o comm=")[1] == "sleep\n"
    assert run(f"kill {pid}")[0] == "0"


def test_limits_of_processes_and_disk(run):
    status, _, err = run("for i in $(seq 300); do sleep 60 & done; wait", timeoutInSeconds=30)
    assert status != "0" and "limit of processes" in err
    assert run("echo usable") == ("0", "usable\n", "")
    status, _, err = run("head -c 64M /dev/zero > big; s=$?; rm big; exit $s", timeoutInSeconds=60)
    assert status == "1" and "No space left" in err


def test_want_of_memory_fails_the_command_alone(run):
    status, out, err = run(["python3", "-c", "print('begun', flush=True); x = b'x' * (1 << 30)"], timeoutInSeconds=120)
    assert (status, out) == ("1", "begun\n") and "MemoryError" in err
    assert run("echo usable; cat file") == ("0", "usable\nkept\n", "")


def test_what_is_no_command_is_refused(session):
    for body in ({"codeInputType": "inline", "code": "ls"}, {}, {"properties": {"code": "ls"}}):
        response = session.client.post("executions", body, identifier=session.identifier)
        assert response.status_code == 400 and response.json()["error"]["code"] == "SessionPropertiesMissing"
    response = session.client.post("executions", {"shellCommand": "ls", "execCommandAndArgs": ["ls"]}, identifier=session.identifier)
    assert response.status_code == 400 and response.json()["error"]["code"] == "SessionRequestValidationFailed"


def test_body_of_the_tutorial_is_taken(session):
    body = {"codeInputType": "Inline", "executionType": "Synchronous", "shellCommand": "echo x"}
    assert answer(session, body)["result"]["stdout"] == "x\n"
    assert answer(session, {"properties": body})["status"] == "0"


def test_other_pools_want_code(service):
    response = service.client().post("executions", {"shellCommand": "ls"}, identifier="none")
    assert response.status_code == 400 and response.json()["error"]["code"] == "SessionPropertiesMissing"


def test_asynchronous_command(session):
    begun = answer(session, {"shellCommand": "sleep 1; echo late; exit 3", "executionType": "Asynchronous"})
    assert begun["status"] in ("NotStarted", "Running")
    for _ in range(300):
        got = session.client.request("GET", f"executions/{begun['id']}", identifier=session.identifier).json()
        if "result" in got:
            break
        time.sleep(0.1)
    assert got["status"] == "3" and got["result"]["stdout"] == "late\n" and got["id"] == begun["id"]


def test_output_is_streamed(session):
    response = session.client.post("executions", {"shellCommand": "echo one; sleep 2; echo two >&2; exit 4"},
                                   identifier=session.identifier, headers={"Accept": "text/event-stream"}, stream=True)
    events = list(parse(line.decode() for line in response.iter_lines(chunk_size=1)))
    assert [(e.type, e.data.get("text")) for e in events[:-1]] == [("stdout", "one\n"), ("stderr", "two\n")]
    assert events[1].at - events[0].at > 1
    assert events[-1].type == "done" and events[-1].data["status"] == "4"


def test_metadata_has_no_kernel(client):
    metadata = client.request("GET", "metadata").json()
    assert metadata["runtimes"][0]["name"] == "Debian" and "jupyterKernel" not in metadata
    assert "bash" in [package["name"] for package in metadata["preInstalledPackages"]]


def test_a_new_session_comes_from_the_stock(new_session):
    session = new_session()
    session.client.wait_until_ready(1)
    response = session.client.post("executions", {"shellCommand": "echo first"}, identifier=session.identifier)
    assert response.json()["result"]["stdout"] == "first\n"
    assert response.headers["x-hearth-timing"].startswith("source=warm")


def test_mcp_server_has_azures_tools(client):
    def call(name, arguments):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        response = client.post("mcp", body, headers={"Accept": "application/json"})
        assert response.status_code == 200, response.text
        return json.loads(response.text)
    environment = call("launchShell", {})["result"]["structuredContent"]["environmentId"]
    got = call("runShellCommandInRemoteEnvironment", {"environmentId": environment, "shellCommand": "echo a; exit 2"})["result"]
    assert got["structuredContent"]["stdout"] == "a\n" and got["structuredContent"]["exitCode"] == 2 and not got["isError"]
    got = call("runShellCommandInRemoteEnvironment", {"environmentId": environment, "execCommandAndArgs": ["echo", "b"]})["result"]
    assert got["structuredContent"]["stdout"] == "b\n" and not got["isError"]
    assert "not found" in call("runShellCommandInRemoteEnvironment", {"environmentId": "none", "shellCommand": "ls"})["error"]["message"]
