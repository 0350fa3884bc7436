"""@langchain/azure-dynamic-sessions: SessionsPythonREPLTool."""

import node_script
from conftest import AWKWARD_NAME, FIGURE, TEXT


def test_it_runs_code_and_moves_files(identifier):
    seen = node_script.run("langchain.mjs", identifier, AWKWARD_NAME, TEXT.decode(), FIGURE)
    assert seen["assigned"] == {"result": "", "stdout": "", "stderr": ""}
    assert seen["computed"] == {"result": 42, "stdout": "hi\n", "stderr": ""}
    assert "KeyError: 'missing'" in seen["failed"]["stderr"]
    assert (seen["uploaded"]["filename"], seen["uploaded"]["size"]) == (AWKWARD_NAME, len(TEXT))
    assert seen["listed"] == [AWKWARD_NAME] and seen["downloaded"] == TEXT.decode()
    assert seen["missing"] == "HTTP error! status: 404"
    assert seen["picture"]["result"]["format"] == "png" and seen["picture"]["stdout"] == "drawn\n"
