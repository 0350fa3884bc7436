"""azure-dynamic-sessions-code-interpreter: CodeInterpreterTool."""

import base64
import io

import pytest
import requests
from azure_dynamic_sessions_code_interpreter import CodeInterpreterTool
from conftest import AWKWARD_NAME, FIGURE, PATIENCE_SECONDS, PNG_BEGINNING, TEXT


@pytest.fixture(scope="module")
def tool(endpoint, identifier):
    return CodeInterpreterTool(pool_management_endpoint=endpoint, session_id=identifier, timeout_read=PATIENCE_SECONDS)


def test_state_stays(tool):
    assert tool.execute("x = 41")["status"] == "Success"
    answer = tool.execute("```python\nprint('hi')\nx + 1\n```")
    assert (answer["status"], answer["stdout"], answer["stderr"], answer["result"]) == ("Success", "hi\n", "", 42)


def test_a_failing_program_is_no_failing_call(tool):
    answer = tool.execute("{}['missing']")
    assert answer["status"] == "Failure" and "KeyError: 'missing'" in answer["stderr"]


def test_files(tool, local_file):
    uploaded = tool.upload_file(data=io.BytesIO(b"hello world!"), remote_file_path="data.csv")
    assert (uploaded.filename, uploaded.size_in_bytes) == ("data.csv", 12)
    assert tool.upload_file(local_file_path=str(local_file)).filename == AWKWARD_NAME
    assert [(file.filename, file.size_in_bytes) for file in tool.list_files()] == [("data.csv", 12),
                                                                                  (AWKWARD_NAME, len(TEXT))]
    assert tool.download_file(remote_file_path=AWKWARD_NAME).read() == TEXT
    with pytest.raises(requests.HTTPError, match="404"):
        tool.download_file(remote_file_path="missing.txt")


def test_a_picture(tool):
    answer = tool.execute(FIGURE)
    assert answer["stdout"] == "drawn\n"
    assert base64.b64decode(answer["result"]["base64_data"]).startswith(PNG_BEGINNING)
