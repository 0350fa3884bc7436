"""llama-index-tools-azure-code-interpreter: AzureCodeInterpreterToolSpec."""

import os

import pytest
import requests
from conftest import AWKWARD_NAME, FIGURE, PNG_BEGINNING, TEXT
from llama_index.tools.azure_code_interpreter import AzureCodeInterpreterToolSpec


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def tool(endpoint, identifier, folder):
    return AzureCodeInterpreterToolSpec(pool_management_endpoint=endpoint, session_id=identifier,
                                        local_save_path=str(folder))


def test_state_stays(tool):
    assert tool.code_interpreter("x = 41")["properties"]["status"] == "Success"
    run = next(function for function in tool.to_tool_list() if function.metadata.name == "code_interpreter")
    answer = run.call("print('hi')\nx + 1").raw_output["properties"]
    assert (answer["status"], answer["stdout"], answer["stderr"], answer["result"]) == ("Success", "hi\n", "", 42)


def test_a_failing_program_is_no_failing_call(tool):
    answer = tool.code_interpreter("{}['missing']")["properties"]
    assert answer["status"] == "Failure" and "KeyError: 'missing'" in answer["stderr"]


def test_files(tool, local_file, tmp_path):
    uploaded, = tool.upload_file(local_file_path=str(local_file))
    assert (uploaded.filename, uploaded.size_in_bytes) == (AWKWARD_NAME, len(TEXT))
    listed, = tool.list_files()
    assert listed.file_full_path == f"/mnt/data/{AWKWARD_NAME}"
    assert tool.download_file_to_local(f"/mnt/data/{AWKWARD_NAME}").read() == TEXT
    tool.download_file_to_local(AWKWARD_NAME, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == TEXT
    with pytest.raises(requests.HTTPError, match="404"):
        tool.download_file_to_local("missing.txt")


def test_a_picture_is_saved(tool, folder, identifier):
    answer = tool.code_interpreter(FIGURE)["properties"]
    assert answer["result"] == {"type": "image", "format": "png", "saved_to_local_path": True}
    name, = os.listdir(folder)
    assert name.startswith(identifier) and (folder / name).read_bytes().startswith(PNG_BEGINNING)
