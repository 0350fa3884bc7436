"""nbclient and nbconvert, unchanged, with kernels in microVMs by hearth-jupyter."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from conftest import PICTURE, notebook

# What a test does with kernels runs in a process of its own, whose environment is the one that Jupyter was installed in.
PRELUDE = """
import asyncio, json, sys, time
from jupyter_client.manager import start_new_kernel, start_new_async_kernel

def sessions():
    import os, urllib.request
    token = open(os.environ["TEST_TOKEN_FILE"]).read().strip()
    request = urllib.request.Request(os.environ["HEARTH_URL"] + "/listSessions", headers={"Authorization": "Bearer " + token})
    return [one["identifier"] for one in json.load(urllib.request.urlopen(request))["sessions"]
            if one["identifier"].startswith("jupyter-")]

def run(client, code, **options):
    messages = []
    reply = client.execute_interactive(code, output_hook=lambda message: messages.append(
        (message["msg_type"], message["content"])), timeout=300, **options)
    return reply["content"], [one for one in messages if one[0] not in ("status", "execute_input")]
"""


def python(jupyter, code, timeout=600):
    """What a program prints as JSON in its last line."""
    from service import TOKEN_FILE
    result = subprocess.run([sys.executable, "-c", PRELUDE + code], env={**jupyter, "TEST_TOKEN_FILE": TOKEN_FILE},
                            capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def environment(jupyter, monkeypatch):
    """For what runs in this process: nbclient, which finds kernels and provisioners by the environment."""
    for name in "JUPYTER_PATH", "HEARTH_URL", "PYTHONPATH", "HOME", "JUPYTER_PLATFORM_DIRS":
        monkeypatch.setenv(name, jupyter[name])
    monkeypatch.syspath_prepend(jupyter["PYTHONPATH"])


def execute(book, kernel="hearth-python", **options):
    return NotebookClient(book, kernel_name=kernel, timeout=300, **options).execute()


def test_nbclient_runs_a_notebook_with_state_a_picture_and_output(environment):
    book = notebook("import platform\nx = 41", "print('out', platform.release())\nx + 1", PICTURE, "await __import__('asyncio').sleep(0, 5)",
                    "from IPython.display import JSON\nJSON({'a': [1]})")
    executed = execute(book)
    nbformat.validate(executed)
    second, third = executed.cells[1].outputs, executed.cells[2].outputs
    assert second[0].text.startswith("out 6.") and os.uname().release not in second[0].text
    assert second[1].data == {"text/plain": "42"} and second[1].execution_count == 2
    assert "image/png" in third[-1].data and third[-1].output_type == "display_data"
    assert executed.cells[3].outputs[0].data["text/plain"] == "5"
    assert executed.cells[4].outputs[0].data["application/json"] == {"a": [1]}


def test_nbclient_raises_what_a_cell_raised(environment):
    with pytest.raises(CellExecutionError) as caught:
        execute(notebook("def f(n):\n    return 1 / n", "f(0)"))
    assert caught.value.ename == "ZeroDivisionError" and "return 1 / n" in str(caught.value)
    executed = execute(notebook("1 / 0", "2"), allow_errors=True)
    assert [cell.outputs[0].output_type for cell in executed.cells] == ["error", "execute_result"]


def test_nbclient_runs_node(environment):
    executed = execute(notebook("const list = [3, 1, 2]", "console.log('hi'); list.sort()", language="javascript"), "hearth-node")
    assert executed.cells[1].outputs[0].text == "hi\n"
    assert executed.cells[1].outputs[1].data["text/plain"] == "[ 1, 2, 3 ]"
    with pytest.raises(CellExecutionError) as caught:
        execute(notebook("null.x", language="javascript"), "hearth-node")
    assert caught.value.ename == "TypeError"


def test_nbconvert_executes(jupyter, tmp_path):
    path = tmp_path / "book.ipynb"
    nbformat.write(notebook("value = 6", "value * 7", PICTURE, kernelspec={"name": "hearth-python", "display_name": "Hearth"}), path)
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "executed.ipynb", path],
                   env=jupyter, check=True, timeout=600)
    executed = nbformat.read(tmp_path / "executed.ipynb", 4)
    assert executed.cells[1].outputs[0].data["text/plain"] == "42"
    assert "image/png" in executed.cells[2].outputs[-1].data
    nbformat.write(notebook("undefined_name", kernelspec={"name": "hearth-python", "display_name": "Hearth"}), path)
    failed = subprocess.run([sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", path], env=jupyter,
                            capture_output=True, text=True, timeout=600)
    assert failed.returncode != 0 and "NameError" in failed.stderr


def test_an_interrupt_stops_the_cell_and_keeps_the_session(jupyter):
    answer = python(jupyter, """
import threading
manager, client = start_new_kernel(kernel_name="hearth-python")
run(client, "kept = 41")
threading.Timer(4, manager.interrupt_kernel).start()
began = time.monotonic()
reply, messages = run(client, "import time\\nprint('on', flush=True)\\ntime.sleep(120)")
took = time.monotonic() - began
after, seen = run(client, "kept + 1")
client.stop_channels(); manager.shutdown_kernel()
print(json.dumps([reply["status"], reply.get("ename"), took, messages[0], after["status"], seen[-1][1]["data"]["text/plain"]]))
""")
    status, name, took, first, after, value = answer
    assert (status, name, after, value) == ("error", "KeyboardInterrupt", "ok", "42")
    assert took < 60 and first == ["stream", {"name": "stdout", "text": "on\n"}]


def test_output_comes_while_the_cell_runs(jupyter):
    times = python(jupyter, """
manager, client = start_new_kernel(kernel_name="hearth-python")
run(client, "1")
times = []
client.execute_interactive("import time\\nfor i in range(2):\\n    print(i, flush=True); time.sleep(3)",
    output_hook=lambda message: times.append(time.monotonic()) if message["msg_type"] == "stream" else None, timeout=300)
client.stop_channels(); manager.shutdown_kernel()
print(json.dumps(times))
""")
    assert times[-1] - times[0] > 2


def test_restart_gives_a_fresh_session_and_shutdown_ends_it(jupyter):
    answer = python(jupyter, """
manager, client = start_new_kernel(kernel_name="hearth-python")
run(client, "x = 1")
first = sessions()
manager.restart_kernel()
client.wait_for_ready(timeout=120)
reply, _ = run(client, "x")
second = sessions()
client.stop_channels(); manager.shutdown_kernel()
third = sessions()
manager, client = start_new_kernel(kernel_name="hearth-python")
run(client, "1")
fourth = sessions()
client.stop_channels(); manager.shutdown_kernel(now=True)
print(json.dumps([first, reply["ename"], second, third, fourth, sessions()]))
""")
    first, name, second, third, fourth, last = answer
    assert len(first) == len(second) == len(fourth) == 1 and first != second and name == "NameError"
    assert third == [] and last == []


def test_completion_inspection_and_completeness(jupyter):
    answer = python(jupyter, """
manager, client = start_new_kernel(kernel_name="hearth-python")
run(client, "class Thing:\\n    'What a thing is.'\\n    def method_of_it(self): pass\\nthing = Thing()")
complete = client.complete("x = thing.meth", 14, reply=True, timeout=120)["content"]
inspect = client.inspect("Thing", 3, reply=True, timeout=120)["content"]
nothing = client.inspect("no_such_name", 3, reply=True, timeout=120)["content"]
whole = []
for code in "1", "for i in x:", "1 +* 2":
    client.is_complete(code)
    whole.append(client.get_shell_msg(timeout=60)["content"])
reply, messages = run(client, "sorted(n for n in globals() if not n.startswith('_') and n not in ('In', 'Out', 'exit', 'quit', 'open', 'get_ipython')), len(In)")
client.stop_channels(); manager.shutdown_kernel()
print(json.dumps([complete["matches"], complete["cursor_start"], inspect["data"]["text/plain"], nothing["found"],
                  whole, messages[-1][1]["data"]["text/plain"]]))
""")
    matches, start, text, found, whole, names = answer
    assert "method_of_it" in [match.rpartition(".")[2] for match in matches] and start in (4, 10)
    assert "What a thing is." in text and found is False
    assert [one["status"] for one in whole] == ["complete", "incomplete", "invalid"] and whole[1]["indent"] == "    "
    assert names == "(['Thing', 'thing'], 3)"


def test_a_lost_interpreter_and_an_absent_service_are_errors_of_the_cell(jupyter):
    answer = python(jupyter, """
import os
manager, client = start_new_kernel(kernel_name="hearth-python")
lost, messages = run(client, "import os; os._exit(3)")
after, _ = run(client, "1")
client.stop_channels(); manager.shutdown_kernel()
os.environ["HEARTH_URL"] = "http://127.0.0.1:9"
manager, client = start_new_kernel(kernel_name="hearth-python")
absent, _ = run(client, "1")
client.stop_channels(); manager.shutdown_kernel()
print(json.dumps([lost["ename"], lost["evalue"], after["status"], absent["ename"], absent["evalue"]]))
""")
    assert answer[0] == "ExecutionFailed" and "status 3" in answer[1] and answer[2] == "ok"
    assert answer[3] == "HearthError" and "http://127.0.0.1:9" in answer[4]


def test_no_token_is_on_a_command_line_or_in_a_kernelspec(jupyter):
    from service import TOKEN_FILE
    with open(TOKEN_FILE) as file:
        token = file.read().strip()
    command = python(jupyter, """
manager, client = start_new_kernel(kernel_name="hearth-python")
arguments = open(f"/proc/{manager.provisioner.process.pid}/cmdline").read()
client.stop_channels(); manager.shutdown_kernel()
print(json.dumps(arguments + json.dumps(manager.kernel_spec.to_dict())))
""")
    assert "hearth_jupyter.kernel" in command and token not in command
