"""langchain-azure-dynamic-sessions: SessionsPythonREPLTool and SessionsBashTool."""

import base64
import io
import json
import time

import pytest
import requests
from conftest import AWKWARD_NAME, FIGURE, PNG_BEGINNING, TEXT
from langchain_azure_dynamic_sessions import SessionsBashTool, SessionsPythonREPLTool


@pytest.fixture(scope="module")
def tool(endpoint, identifier):
    return SessionsPythonREPLTool(pool_management_endpoint=endpoint, session_id=identifier)


def test_state_stays_and_integers_are_integers(tool):
    assert tool.execute("x = 41")["status"] == "Success"
    answer = json.loads(tool.invoke("print('hello world')\nx + 1"))
    assert answer == {"result": 42, "stdout": "hello world\n", "stderr": ""}


def test_a_tool_call_has_the_whole_answer_as_its_artifact(tool):
    message = tool.invoke({"args": {"python_code": "6 * 7"}, "id": "1", "name": tool.name, "type": "tool_call"})
    assert json.loads(message.content)["result"] == 42
    assert message.artifact["status"] == "Success" and "executionTimeInMilliseconds" in message.artifact


def test_a_failing_program_is_no_failing_call(tool):
    answer = tool.execute("{}['missing']")
    assert answer["status"] == "Failure" and "KeyError: 'missing'" in answer["stderr"]


def test_files(tool, local_file):
    uploaded = tool.upload_file(data=io.BytesIO(b"hello world!"), remote_file_path="data.csv")
    assert (uploaded.filename, uploaded.size_in_bytes, uploaded.full_path) == ("data.csv", 12, "/mnt/data/data.csv")
    assert tool.upload_file(local_file_path=str(local_file)).filename == AWKWARD_NAME
    assert [(file.filename, file.size_in_bytes) for file in tool.list_files()] == [("data.csv", 12),
                                                                                  (AWKWARD_NAME, len(TEXT))]
    assert tool.download_file(remote_file_path=AWKWARD_NAME).read() == TEXT
    tool.execute("open('/mnt/data/made.bin', 'wb').write(bytes(range(256)))")
    assert tool.download_file(remote_file_path="made.bin").read() == bytes(range(256))
    with pytest.raises(requests.HTTPError, match="404"):
        tool.download_file(remote_file_path="missing.txt")


def test_a_picture(tool):
    answer = tool.execute(FIGURE)
    assert answer["stdout"] == "drawn\n"
    assert (answer["result"]["type"], answer["result"]["format"]) == ("image", "png")
    assert base64.b64decode(answer["result"]["base64_data"]).startswith(PNG_BEGINNING)
    shown = json.loads(tool.invoke(FIGURE))
    assert shown["result"] == {"type": "image", "format": "png"}


def test_deleting_the_session_forgets_its_state(endpoint):
    tool = SessionsPythonREPLTool(pool_management_endpoint=endpoint)
    tool.execute("kept = 1")
    first = tool.session_id
    tool.close()
    assert tool.session_id != first
    again = SessionsPythonREPLTool(pool_management_endpoint=endpoint, session_id=first)
    for _ in range(100):  # it is deleted in a thread of the client
        answer = again.execute("'kept' in globals()")
        if answer["result"] is False:
            break
        time.sleep(0.2)
    assert answer["result"] is False
    again._delete_session_sync(first)


@pytest.fixture(scope="module")
def bash(shell_endpoint, identifier):
    return SessionsBashTool(pool_management_endpoint=shell_endpoint, session_id=identifier)


def test_bash_answers_with_the_exit_status(bash):
    assert json.loads(bash.invoke("echo hello")) == {"stdout": "hello\n", "stderr": "", "exitCode": 0}
    answer = json.loads(bash.invoke("ls missing; exit 3"))
    assert answer["exitCode"] == 3 and "missing" in answer["stderr"]
    message = bash.invoke({"args": {"bash_command": "echo $0"}, "id": "1", "name": bash.name, "type": "tool_call"})
    assert message.artifact["status"] == "0" and message.artifact["result"]["stdout"] == "/bin/bash\n"


def test_bash_files(bash, local_file):
    uploaded = bash.upload_file(data=io.BytesIO(b"a,b\n1,2\n"), remote_file_path="data.csv")
    assert (uploaded.filename, uploaded.size_in_bytes) == ("data.csv", 8)
    assert bash.upload_file(local_file_path=str(local_file)).filename == AWKWARD_NAME
    assert json.loads(bash.invoke("wc -l < data.csv; tr a-z A-Z < data.csv > upper.csv"))["stdout"] == "2\n"
    assert bash.download_file(remote_file_path="upper.csv").read() == b"A,B\n1,2\n"
    assert [file.filename for file in bash.list_files()] == ["data.csv", AWKWARD_NAME, "upper.csv"]


def test_closing_bash_deletes_its_session(shell_endpoint):
    with SessionsBashTool(pool_management_endpoint=shell_endpoint) as tool:
        first = tool.session_id
        tool.invoke("echo kept > kept")
    again = SessionsBashTool(pool_management_endpoint=shell_endpoint, session_id=first)
    for _ in range(100):  # it is deleted in a thread of the client
        if json.loads(again.invoke("ls"))["stdout"] == "":
            break
        time.sleep(0.2)
    assert json.loads(again.invoke("ls"))["stdout"] == ""
    again._delete_session_sync(first)
