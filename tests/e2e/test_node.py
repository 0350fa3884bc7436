"""Node through the API."""

import pytest

from sse import stream, text_of


@pytest.mark.parametrize("code, value", [
    ("1 + 1", 2),
    ("0.1 + 0.2", 0.30000000000000004),
    ("'abc'", "abc"),
    ("'é 中文 🔥'", "é 中文 🔥"),
    ("1 < 2", True),
    ("undefined", ""),
    ("let declared = 5", ""),
    ("NaN", None),
    ("-Infinity", None),
    ("[1, 'a']", "[ 1, 'a' ]"),
    ("({ k: 1 })", "{ k: 1 }"),
    ("for (const i of [1]) {}", ""),
    ("// nothing", ""),
    ("", ""),
])
def test_the_last_expression_is_the_result(session, code, value):
    answer = session.node(code)
    assert answer.ok, answer
    assert answer.result == value
    assert type(answer.result) is type(value)


def test_a_bigint_keeps_its_digits(session):
    assert "18446744073709551616" in str(session.node("2n ** 64n").result)


def test_stdout_and_stderr_are_kept_apart(session):
    answer = session.node("console.log('out'); console.error('err'); process.stdout.write('more\\n'); 7")
    assert (answer.stdout, answer.stderr, answer.result) == ("out\nmore\n", "err\n", 7)


def test_top_level_await(session):
    answer = session.node("""
        const wait = (ms) => new Promise((done) => setTimeout(() => done(ms), ms));
        console.log('before');
        await wait(20) + await wait(5)
        """)
    assert answer.ok, answer
    assert (answer.stdout, answer.result) == ("before\n", 25)


def test_state_is_kept_and_names_may_be_declared_again(session):
    session.node("const a = 41; let b = 1; var c = 0; function f() { return a + b; } class K {}")
    assert session.node("f() + c").result == 42
    answer = session.node("const a = 5; a")
    assert answer.ok, answer
    assert answer.result == 5


def test_modules_can_be_imported_and_required(session):
    assert session.node("""
        import os from 'node:os'; import { join } from 'node:path';
        console.log(typeof os.cpus, join('a', 'b'))
        """).stdout == "function a/b\n"
    answer = session.node("const fs = require('fs'); fs.writeFileSync('/tmp/n.txt', 'x'); fs.existsSync('/tmp/n.txt')")
    assert answer.result is True
    assert session.node("(await import('node:fs/promises')).readFile('/tmp/n.txt', 'utf8')").result == "x"


def test_an_exception_comes_with_its_stack(session):
    answer = session.node("""
        console.log('before');
        function inner() { throw new TypeError('broken') }
        inner();
        console.log('after');
        """)
    assert not answer.ok
    assert answer.stdout == "before\n"
    assert "TypeError: broken" in answer.stderr and "inner" in answer.stderr


def test_a_syntax_error_is_told(session):
    answer = session.node("const x = {")
    assert not answer.ok
    assert "SyntaxError" in answer.stderr


@pytest.mark.parametrize("code", [
    "throw 'a string'", "throw null", "throw undefined", "await Promise.reject(new Error('no'))",
])
def test_whatever_is_thrown_is_a_failure(session, code):
    assert not session.node(code).ok
    assert session.node("1").result == 1


def test_an_error_after_the_execution_does_not_end_the_interpreter(session):
    session.node("""
        let survived = 1;
        setTimeout(() => { throw new Error('late') }, 5);
        Promise.reject(new Error('unhandled'));
        """)
    session.node("await new Promise((done) => setTimeout(done, 50))")
    assert session.node("survived").result == 1


def test_node_and_python_share_the_session(session):
    session.node("require('fs').writeFileSync('/tmp/shared.json', JSON.stringify({ n: 42 }))")
    assert session.python("import json; json.load(open('/tmp/shared.json'))['n']").result == 42


def test_output_streams_while_node_runs(session):
    events = list(stream(session, """
        console.log('a');
        await new Promise((done) => setTimeout(done, 1500));
        console.log('b');
        """, "node"))
    lines = [event for event in events if event.type == "stdout"]
    assert text_of(events, "stdout") == "a\nb\n"
    assert lines[-1].at - lines[0].at > 1
    assert events[-1].type == "done"


def test_code_with_nul_bytes_is_an_error_and_no_more(session):
    assert not session.node("1 +\x00 1").ok
    assert session.node("1 + 1").result == 2


def test_code_of_8_mib_runs(session):
    filling = "x" * ((8 << 20) - 40)
    answer = session.node(f"const long = '{filling}';\nlong.length")
    assert answer.ok, answer
    assert answer.result == len(filling)


def test_process_exit_is_told_and_the_session_goes_on(session):
    answer = session.node("console.log('bye'); process.exit(7)")
    assert not answer.ok
    assert "7" in answer.stderr
    assert session.node("1 + 1").result == 2


def test_an_endless_loop_is_interrupted(session, slowness):
    answer = session.node("for (;;) {}", timeout=2)
    assert not answer.ok
    assert "timed out" in answer.stderr.lower()
    assert answer.response.elapsed.total_seconds() < 2 + 2 * slowness
    assert session.node("1 + 1").result == 2


def test_a_promise_that_never_settles_is_interrupted(session):
    answer = session.node("await new Promise(() => {})", timeout=2)
    assert not answer.ok
    assert session.node("1 + 1").result == 2
