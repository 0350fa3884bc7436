"""What a request may want of its execution: an empty kernel, no trace, its exception as data, the result as notebooks have it."""

import pytest

from service import flat_body


def run(session, code, language=None, **options):
    response = session.client.post("executions", {**flat_body(code, language), **options}, identifier=session.identifier,
                                   version="2025-10-02-preview")
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("language, define, look, unknown", [
    ("python", "kept = 41", "'kept' in globals()", False),
    ("node", "var kept = 41", "typeof kept !== 'undefined'", False),
])
def test_an_empty_kernel_leaves_the_session_alone(session, language, define, look, unknown):
    run(session, define, language)
    assert run(session, look, language, useEmptyKernel=True)["result"]["executionResult"] is unknown
    run(session, define.replace("41", "1"), language, useEmptyKernel=True)
    assert run(session, "kept", language)["result"]["executionResult"] == 41


def test_files_are_the_same_in_an_empty_kernel(session):
    run(session, "open('made.txt', 'w').write('x')", useEmptyKernel=True)
    assert run(session, "open('made.txt').read()")["result"]["executionResult"] == "x"


@pytest.mark.parametrize("code, expected", [
    ("'abc'", "'abc'"), ("1 + 1", "2"), ("float('nan')", "nan"), ("None", None), ("[1]", "[1]"), ("x = 1", None)])
def test_the_result_may_be_as_notebooks_have_it(session, code, expected):
    for name in "returnJupyterFormatExecutionResult", "returnJupyterFormat":
        assert run(session, code, **{name: True})["result"]["executionResult"] == expected


def test_an_exception_may_be_told_apart(session):
    answer = run(session, "print('before')\n1 / 0", returnErrorData=True)
    error = answer["result"]["errorData"]
    assert answer["status"] == "Failed" and answer["result"]["stderr"] == ""
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero") and error["traceback"]
    assert run(session, "1", returnErrorData=True)["result"]["errorData"] is None
    assert "errorData" not in run(session, "1")["result"]


def test_code_may_leave_no_trace(session):
    run(session, "base = 40")
    assert run(session, "extra = 2; base + extra", leaveNoTrace=True)["result"]["executionResult"] == 42
    assert run(session, "'extra' in globals()")["result"]["executionResult"] is False
