"""The agent as a template of others (AGENT_SETTLE): warm, at rest, and as if nothing had run."""

import time

import pytest

from agent import ERROR, NODE, OK, PYTHON, REFUSED, SETTLE, SETTLED

FRESH_PYTHON = """
import linecache, sys
shell = get_ipython()
[In, Out, _, __, ___, _i, _ii, _iii, shell.execution_count, shell.last_execution_succeeded,
 sorted(globals()), hasattr(sys, "last_value"), sorted(name for name in linecache.cache if "ipython" in name),
 sys.argv, sys.path, gc_is_enabled()]
""".replace("gc_is_enabled()", "__import__('gc').isenabled()")
FRESH_NODE = """
[Reflect.ownKeys(globalThis).map(String), __filename.split('/').pop(), process.exitCode,
 process.listeners('warning').length, process.listeners('SIGINT').length, Object.keys(require.cache)]
"""


@pytest.fixture
def agent(start_agent, tmp_path):
    agent = start_agent(tmp_path)
    yield agent
    agent.stop()


def settle(connection):
    """Why the guest could not be settled; empty if it is."""
    connection.send_frame(SETTLE, 77)
    kind, request, body = connection.frame()
    assert (kind, request) == (SETTLED, 77)
    return body.decode()


def test_a_settled_guest_is_as_new(start_agent, tmp_path):
    seen = []
    for is_settled in False, True:
        folder = tmp_path / str(is_settled)
        folder.mkdir()
        agent = start_agent(folder)
        try:
            connection = agent.connect()
            if is_settled:
                assert settle(connection) == ""
            python, node = connection.run(FRESH_PYTHON), connection.run(FRESH_NODE, NODE)
            assert (python.outcome, node.outcome, python.stdout, python.stderr) == (OK, OK, b"", b""), (python, node)
            numbers = [connection.run("1 + 1").text, connection.run("_ * 10 + _2 if False else _").text]
            seen.append((python.text, node.text, numbers))
        finally:
            agent.stop()
    assert seen[0] == seen[1]


def test_a_traceback_after_settling_names_the_first_cell(agent):
    connection = agent.connect()
    assert settle(connection) == ""
    outcome = connection.run("1 / 0")
    assert outcome.outcome == ERROR
    assert b"Cell In[1], line 1" in outcome.stderr


def test_a_settled_guest_is_warm(agent):
    connection = agent.connect()
    assert settle(connection) == ""
    for language in PYTHON, NODE:
        assert connection.run("1 + 1", language).wait_us < 1000


def test_a_settled_guest_rests(agent):
    connection = agent.connect()
    assert settle(connection) == ""
    pids = [agent.process.pid, *agent.children()[:2]]
    before = [processor_ticks(pid) for pid in pids]
    time.sleep(1)
    assert [after - then for after, then in zip(map(processor_ticks, pids), before)] == [0, 0, 0]


def processor_ticks(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_settling_keeps_what_code_has_made(agent):
    connection = agent.connect()
    connection.run("kept = [1]\nkept")
    connection.run("var kept = [2]", NODE)
    for _ in range(2):
        assert settle(connection) == ""
    assert connection.run("kept, _, In[1]").text == "([1], [1], 'kept = [1]\\nkept')"
    assert connection.run("[kept, __filename.split('/').pop()]", NODE).text == "[ [ 2 ], 'execution-2.js' ]"


def test_settling_twice_is_as_settling_once(agent):
    connection = agent.connect()
    assert [settle(connection), settle(connection)] == ["", ""]
    assert connection.run("In, Out").text == "(['', 'In, Out'], {})"


def test_settling_is_refused_while_code_runs(agent):
    connection, other = agent.connect(), agent.connect()
    connection.start("import time\nprint('runs')\ntime.sleep(60)")
    time.sleep(1)
    assert settle(other) == "an execution is running"
    connection.interrupt()
    connection.finish()
    assert settle(other) == ""


def test_code_and_another_settling_are_refused_while_the_guest_is_settled(agent):
    connection, other = agent.connect(), agent.connect()
    connection.send_frame(SETTLE, 5)
    time.sleep(0.01)
    assert settle(other) == "the guest is being settled already"
    refused = other.run("1")
    assert (refused.outcome, refused.sentence) == (REFUSED, "the guest is being settled")
    assert connection.frame() == (SETTLED, 5, b"")


def test_settling_goes_on_without_its_host(agent):
    connection = agent.connect()
    connection.send_frame(SETTLE, 5)
    connection.close()
    other = agent.connect()
    for _ in range(100):
        sentence = settle(other)
        if not sentence:
            break
        assert sentence == "the guest is being settled already"
        time.sleep(0.1)
    assert sentence == ""


def test_an_interpreter_that_cannot_start_is_named(start_agent, tmp_path):
    agent = start_agent(tmp_path, python="/bin/false")
    try:
        assert settle(agent.connect()).startswith("python: the interpreter ")
    finally:
        agent.stop()
