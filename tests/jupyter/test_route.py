"""POST …/notebook: what comes back is a notebook by Jupyter's own judgement, with what its cells did."""

import base64
import json
import os
import subprocess
import threading
import time

import nbformat
import pytest
import requests

from conftest import PICTURE, ROOT, notebook
from service import TOKEN_FILE


def run(session, book, path="notebook", **params):
    response = session.client.request("POST", path, identifier=session.identifier, params=params,
                                      data=json.dumps(book).encode(), headers={"Content-Type": "application/json"})
    assert response.status_code == 200, response.text[:2000]
    executed = nbformat.from_dict(response.json())
    nbformat.validate(executed, relax_add_props=False)
    assert response.headers["x-hearth-notebook-status"] == executed.metadata.hearth.status
    return executed


def outputs(book):
    return [[output.output_type for output in cell.outputs] for cell in book.cells if cell.cell_type == "code"]


def test_cells_share_the_session_and_come_back_with_their_outputs(session):
    book = notebook("x = 40", "import sys\nprint('a'); print('b', file=sys.stderr); print('c')\nx + 2", PICTURE,
                    kernelspec={"name": "python3", "display_name": "Python"}, custom={"kept": [1.5, None]})
    book.cells.insert(1, nbformat.v4.new_markdown_cell("# a *title*", metadata={"mine": True}))
    executed = run(session, book)
    assert executed.metadata.custom == {"kept": [1.5, None]} and executed.metadata.kernelspec.name == "python3"
    assert executed.cells[1] == book.cells[1]
    assert [cell.get("execution_count") for cell in executed.cells] == [1, None, 2, 3]
    assert outputs(executed) == [[], ["stream", "stream", "stream", "execute_result"], ["display_data"]] or \
        outputs(executed) == [[], ["stream", "stream", "execute_result"], ["display_data"]]
    second = executed.cells[2].outputs
    assert "".join(output.text for output in second if output.get("name") == "stdout") == "a\nc\n"
    assert second[-1].data == {"text/plain": "42"} and second[-1].execution_count == 2
    picture = base64.b64decode(executed.cells[3].outputs[0].data["image/png"])
    assert picture.startswith(b"\x89PNG")
    assert executed.metadata.hearth == {"status": "Succeeded", "executedCells": 3, "codeCells": 3}
    assert session.python("x").result == 40


def test_an_error_ends_the_run(session):
    book = notebook("1", "{}['missing']", "later = 1")
    book.cells[2].outputs = [nbformat.v4.new_output("stream", text="as it was")]
    executed = run(session, book)
    assert outputs(executed) == [["execute_result"], ["error"], ["stream"]]
    error = executed.cells[1].outputs[0]
    assert (error.ename, error.evalue) == ("KeyError", "'missing'") and "KeyError" in "\n".join(error.traceback)
    assert executed.cells[2].outputs[0].text == "as it was"
    assert executed.metadata.hearth == {"status": "Failed", "executedCells": 2, "codeCells": 3, "failedCell": 1}
    assert session.python("'later' in globals()").result is False


def test_errors_may_be_allowed(session):
    executed = run(session, notebook("1 / 0", "2"), **{"allow-errors": "true"})
    assert outputs(executed) == [["error"], ["execute_result"]] and executed.metadata.hearth.status == "Succeeded"
    book = notebook("1 / 0", "skipped = 1", "2")
    book.cells[0].metadata.tags = ["raises-exception"]
    book.cells[1].metadata.tags = ["skip-execution"]
    assert outputs(run(session, book)) == [["error"], [], ["execute_result"]]
    assert session.python("'skipped' in globals()").result is False


def test_a_cell_has_a_time_limit(session):
    executed = run(session, notebook("while True: pass", "1"), timeoutInSeconds=2)
    error = executed.cells[0].outputs[-1]
    assert error.ename == "TimeoutError" and outputs(executed)[1] == []


def test_a_lost_interpreter_ends_the_run_whatever_is_allowed(session):
    executed = run(session, notebook("import os; os._exit(7)", "1"), **{"allow-errors": "true"})
    error = executed.cells[0].outputs[-1]
    assert error.ename == "InterpreterLost" and "status 7" in error.evalue
    assert executed.metadata.hearth.failedCell == 0


def test_the_language_is_the_notebooks_and_the_path_may_name_the_session(session):
    book = notebook("const a = [1, 2]", "display({'text/html': '<b>'}); a.map(n => n * 2)", "throw new TypeError('no')",
                    language="javascript")
    response = session.client.request("POST", f"sessions/{session.identifier}/notebook", data=json.dumps(book))
    executed = nbformat.from_dict(response.json())
    nbformat.validate(executed)
    assert outputs(executed) == [[], ["display_data", "execute_result"], ["error"]]
    assert executed.cells[1].outputs[1].data["text/plain"] == "[ 2, 4 ]"
    assert executed.cells[2].outputs[0].ename == "TypeError"
    assert session.node("a.length").result == 2


def test_events_tell_of_each_cell(session):
    response = session.client.request("POST", "notebook", identifier=session.identifier, data=json.dumps(notebook("1", "1 / 0")),
                                      headers={"Accept": "text/event-stream"})
    events = [block.split("\n") for block in response.text.split("\n\n") if block.startswith("event:")]
    names = [lines[0].removeprefix("event: ") for lines in events]
    data = [json.loads(lines[1].removeprefix("data: ")) for lines in events]
    assert names == ["cell", "cell", "cell", "cell", "done"]
    assert [(one["cell"], one["number"], one["of"], one["status"]) for one in data[:4]] == [
        (0, 1, 2, "Running"), (0, 1, 2, "Succeeded"), (1, 2, 2, "Running"), (1, 2, 2, "Failed")]
    nbformat.validate(nbformat.from_dict(data[4]))


def test_a_client_that_goes_away_ends_the_run(session):
    session.python("steps = []")
    with pytest.raises(requests.exceptions.ReadTimeout):
        session.client.request("POST", "notebook", identifier=session.identifier, timeout=6, data=json.dumps(
            notebook("steps.append(1)\nimport time\ntime.sleep(60)\nsteps.append(2)", "steps.append(3)")))
    began = time.monotonic()
    assert session.python("steps").result == "[1]"
    assert time.monotonic() - began < 30


def test_other_executions_come_between_two_cells(session):
    book = notebook("import time; time.sleep(3); order = ['cell']", "order.append('second')", "order")
    done = []
    thread = threading.Thread(target=lambda: done.append(run(session, book)))
    thread.start()
    time.sleep(1)
    session.python("order.append('other')")
    thread.join()
    assert "other" in done[0].cells[2].outputs[0].data["text/plain"]


@pytest.mark.parametrize("body, status, part", [
    (b"{", 400, "not JSON"),
    (b'{"nbformat":3}', 400, "nbformat 4"),
    (b'{"nbformat":4,"cells":[{"cell_type":"code","source":5}]}', 400, "source"),
    (b'{"nbformat":4,"metadata":{"language_info":{"name":"julia"}},"cells":[]}', 400, "julia"),
    (b'{"nbformat":4,"cells":[' + b"0," * 300_000 + b"0]}", 413, "values"),
    (b'{"nbformat":4,"cells":' + b"[" * 100_000, 400, "not JSON"),
    (b" " * (33 << 20), 413, "larger"),
])
def test_what_is_no_notebook_is_refused(client, body, status, part):
    response = client.request("POST", "notebook", identifier="never-made", data=body)
    assert response.status_code == status and part in response.json()["error"]["message"]
    assert client.session("never-made") is None


def test_the_command_runs_notebooks(service, session, tmp_path):
    def hearth(*arguments):
        environment = {**os.environ, "HEARTH_URL": service.url, "HEARTH_TOKEN_FILE": TOKEN_FILE}
        return subprocess.run([os.path.join(ROOT, "build", "hearth"), "notebook", "run", *arguments], env=environment,
                              capture_output=True, text=True, timeout=300)

    good, bad, out = (str(tmp_path / name) for name in ("good.ipynb", "bad.ipynb", "out.ipynb"))
    nbformat.write(notebook("a = 0.1 + 0.2", "a"), good)
    nbformat.write(notebook("[][0]", "1"), bad)
    result = hearth(good, "-o", out)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "" and "[2/2] cell 1: Succeeded" in result.stderr
    assert nbformat.read(out, 4).cells[1].outputs[0].data["text/plain"] == "0.30000000000000004"
    result = hearth(bad, "--session", session.identifier)
    assert result.returncode == 1 and "cell 0 failed: IndexError: list index out of range" in result.stderr
    assert outputs(nbformat.reads(result.stdout, 4)) == [["error"], []]
    assert hearth(bad, "--allow-errors", "--session", session.identifier).returncode == 0
    assert hearth(str(tmp_path / "none.ipynb")).returncode == 2
