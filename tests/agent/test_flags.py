"""Executions that are not like others: in a namespace of their own, without a trace, with their exception as data."""

import json

import pytest

from agent import ERROR, ERROR_DATA, ERROR_TYPE, FRESH, INTERRUPTED, NO_TRACE, NODE, OK, PYTHON, REFUSED, TIMEOUT


def exception(outcome):
    (bundle,) = outcome.displays
    assert set(bundle) == {ERROR_TYPE}
    return json.loads(bundle[ERROR_TYPE])


def test_a_fresh_namespace_knows_nothing_and_leaves_nothing(run):
    run("kept = 41\nimport math\ndef get():\n    return kept")
    number = run("get_ipython().execution_count").scalar
    outcome = run("own = 1\nsorted(name for name in ('kept', 'math', 'get') if name in globals())", flags=FRESH)
    assert (outcome.outcome, outcome.text) == (OK, "[]")
    assert run("import os; os.chdir('/'); os.getcwd()", flags=FRESH).text == "'/'"
    assert run("Out, get_ipython().execution_count", flags=FRESH).text == "({}, 2)"
    assert run("get_ipython().execution_count").scalar == str(int(number) + 1)
    assert run("'own' in globals(), get(), __import__('__main__').kept, os.getcwd() == '/'"
               .replace("os.getcwd()", "__import__('os').getcwd()")).text == "(False, 41, 41, False)"


def test_a_thread_of_the_session_goes_on_while_a_fresh_namespace_is_used(run):
    run("""import threading, time
ticks, go_on = 0, True
def tick():
    global ticks
    while go_on:
        ticks += 1
        time.sleep(0.01)
thread = threading.Thread(target=tick); thread.start()""")
    run("import time; time.sleep(0.3)", flags=FRESH)
    outcome = run("alive = thread.is_alive(); go_on = False; thread.join(); alive, ticks > 10")
    assert outcome.text == "(True, True)"


def test_a_failure_in_a_fresh_namespace_does_not_last(run):
    run("value = 7")
    outcome = run("1 / 0", flags=FRESH)
    assert outcome.outcome == ERROR and b"ZeroDivisionError" in outcome.stderr
    assert run("value").scalar == "7"


def test_an_execution_without_a_trace_sees_the_names_and_leaves_none(run):
    run("base = 40\nbase")
    number = run("get_ipython().execution_count").scalar
    assert run("extra = 2; base + extra", flags=NO_TRACE).scalar == "42"
    outcome = run("'extra' in globals(), get_ipython().execution_count, In[-2]")
    assert outcome.text == f"(False, {int(number) + 1}, 'get_ipython().execution_count')"


def test_completions_can_be_had_without_a_trace(run):
    run("some_long_name = 1")
    outcome = run("""from IPython.core.completer import provisionalcompleter
with provisionalcompleter():
    found = [one.text for one in get_ipython().Completer.completions('some_lo', 7)]
found""", flags=NO_TRACE)
    assert outcome.text == "['some_long_name']"


@pytest.mark.parametrize("code, name, value", [
    ("1 / 0", "ZeroDivisionError", "division by zero"),
    ("1 +", "SyntaxError", "invalid syntax"),
    ("import sys; sys.exit(3)", "SystemExit", "3"),
    ("%alias_magic", "UsageError", None),
    ("await __import__('asyncio').sleep(0); {}['x']", "KeyError", "'x'"),
    ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E", "<exception str() failed>"),
])
def test_an_exception_of_python_as_data(run, code, name, value):
    outcome = run("print('before')\n" + code if not code.startswith("%") else code, flags=ERROR_DATA)
    assert outcome.outcome == ERROR and outcome.stderr == b""
    error = exception(outcome)
    assert error["ename"] == name and error["traceback"] and name in "".join(error["traceback"])
    if value is not None:
        assert value in error["evalue"]
    assert run("1 / 0").stderr.endswith(b"ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("code, name, value", [
    ("throw new TypeError('no')", "TypeError", "no"),
    ("const = 1", "SyntaxError", "Unexpected token"),
    ("process.exit(3)", "ProcessExit", "3"),
    ("throw 42", "Error", "a value that is no error was thrown"),
    ("await Promise.reject(new RangeError('far'))", "RangeError", "far"),
])
def test_an_exception_of_node_as_data(run, code, name, value):
    outcome = run(code, NODE, flags=ERROR_DATA)
    assert outcome.outcome == ERROR and outcome.stderr == b""
    error = exception(outcome)
    assert error["ename"] == name and value in error["evalue"] and error["traceback"]


@pytest.mark.parametrize("language, code, name", [
    (PYTHON, "while True: pass", "KeyboardInterrupt"),
    (NODE, "while (true);", "Interrupted"),
])
def test_an_interrupt_as_data(connection, language, code, name):
    connection.run("1", language)
    outcome = connection.run(code, language, timeout=1, flags=ERROR_DATA)
    assert outcome.outcome == TIMEOUT and exception(outcome)["ename"] == name
    request = connection.start("print(1, flush=True)\n" + code if language == PYTHON else code, language,
                               flags=ERROR_DATA | FRESH)
    while connection.frame()[0] != 17:  # STARTED
        pass
    connection.interrupt(request)
    assert connection.finish(request).outcome == INTERRUPTED


def test_a_fresh_scope_of_node_knows_nothing_and_leaves_nothing(run):
    run("const kept = 41; function get() { return kept; } globalThis.fetch = 'mine'", NODE)
    fresh = run("const own = 1; [typeof kept, typeof get, typeof fetch, typeof require, path.sep]", NODE, flags=FRESH)
    assert fresh.text == "[ 'undefined', 'undefined', 'function', 'function', '/' ]"
    assert run("[typeof own, get(), fetch]", NODE).text == "[ 'undefined', 41, 'mine' ]"


def test_flags_that_are_unknown_are_refused(run):
    outcome = run("1", flags=64)
    assert outcome.outcome == REFUSED and "flags" in outcome.sentence
