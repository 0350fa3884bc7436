"""The Node driver: one global scope, top-level await, values, interrupts."""

import json

import pytest

from agent import ERROR, LOST, NODE, OK, TIMEOUT


@pytest.fixture
def run(connection):
    return lambda code, **options: connection.run(code, NODE, **options)


@pytest.mark.parametrize("code, scalar, text", [
    ("1 + 1", "2", "2"),
    ("0.1 + 0.2", "0.30000000000000004", "0.30000000000000004"),
    ("1 / 0", "null", "Infinity"),
    ("NaN", "null", "NaN"),
    ("true", "true", "true"),
    ("'a\\n'", '"a\\n"', "'a\\n'"),
    ("12345678901234567890n", "12345678901234567890", "12345678901234567890n"),
    ("null", "", "null"),
    ("[1, {a: 2}]", "", "[ 1, { a: 2 } ]"),
    ("{a: 1}", "", "{ a: 1 }"),
    ("({a: 1})", "", "{ a: 1 }"),
    ("new Map([[1, 2]])", "", "Map(1) { 1 => 2 }"),
    ("Promise.resolve(5)", "5", "5"),
    ("async function f() { return 6 }\nf()", "6", "6"),
    ("x => x", "", "[Function (anonymous)]"),
    ("5 // comment", "5", "5"),
    ("5;;", "", None),
    ("'ü☃😀'", '"ü☃😀"', "'ü☃😀'"),
    ("'\\ud800'", '"\ufffd"', "'\\ud800'"),
])
def test_value_of_the_last_expression(run, code, scalar, text):
    outcome = run(code)
    assert outcome.outcome == OK, outcome
    assert (outcome.scalar or "", outcome.text) == (scalar, text)


@pytest.mark.parametrize("code", ["const a = 1", "undefined", "", "  ", "// nothing", "function f() {}", "if (true) { 1 }",
                                  "console.log(1)"])
def test_code_without_a_value_has_no_result(run, code):
    outcome = run(code)
    assert (outcome.outcome, outcome.result) == (OK, None)


def test_bindings_persist_and_may_be_declared_again(run):
    run("const a = 1; let b = 2; var c = 3; function d() { return a + b + c } class E { m() { return d() } }")
    assert run("[a, b, c, d(), new E().m()]").text == "[ 1, 2, 3, 6, 6 ]"
    run("const a = 10; function d() { return -a } class E {}")
    assert run("[a, d(), new E() instanceof E]").text == "[ 10, -10, true ]"


@pytest.mark.parametrize("code, text", [
    ("const {a, b: [c, ...d], ...e} = {a: 1, b: [2, 3], f: 4}, [g = 5] = []; [a, c, d, e, g]", "[ 1, 2, [ 3 ], { f: 4 }, 5 ]"),
    ("let u\nu = 1\n;[u]", "[ 1 ]"),
    ("for (var i = 0, n = 3; i < n; i++) {}\n[i, n]", "[ 3, 3 ]"),
    ("for (var k of [7, 8]) {}\nk", "8"),
    ("if (true) { var inner = 3 } else var other = 4;\n[inner, other]", "[ 3, undefined ]"),
    ("label: for (const v of [1]) { continue label }\n'after'", "'after'"),
    ("hoisted(); function hoisted() { return 9 }\nhoisted()", "9"),
    ("if (false) var skipped = 1\nelse var taken = 2\n;[skipped, taken]", "[ undefined, 2 ]"),
    ("const s = 1\nconst t2 = 2\nclass Z {}\nvar w = s\n[s, t2, w]", None),
    ("try { var t = 1 } catch { } finally { }\nt", "1"),
    ("const crypto = require('crypto'); crypto.createHash('md5').update('a').digest('hex').length", "32"),
    ("const navigator = 5; navigator", "5"),
    ("for await (const x of [1, 2]) console.log(x)\n'end'", "'end'"),
    ("const f = () => {}; f.name", "'f'"),
    ("class A { static n = 1; #p = 2; get p() { return this.#p } }\nnew A().p + A.n", "3"),
    ("export const exported = 4; exported", "4"),
    ("export default function named() { return 1 }\nnamed()", "1"),
    ("export default class Klass {}\nKlass.name", "'Klass'"),
    ("return 3", "3"),
    ("#!/usr/bin/env node\n8", "8"),
    ("'use strict'; this === undefined || 1", None),
    ("typeof require.resolve + typeof module.exports + __dirname.length", None),
    ("import.meta.filename.startsWith(import.meta.dirname)", "true"),
    ("path.basename('/a/b')", "'b'"),
    ("require.main === module", "true"),
])
def test_top_level_code(run, code, text):
    outcome = run(code)
    assert outcome.outcome == OK, outcome
    if text:
        assert outcome.text == text


def test_import_declarations(run):
    outcome = run("import fs, { readFileSync as read } from 'node:fs';\nimport * as os from 'os'\nimport 'node:path'\n"
                  "[typeof fs.openSync, typeof read, os.EOL]")
    assert outcome.text == "[ 'function', 'function', '\\n' ]"
    assert outcome.stderr == b""


def test_files_of_the_session_are_importable(run):
    run("fs.writeFileSync('one.mjs', 'export default 1; export const two = 2'); fs.writeFileSync('three.cjs', 'module.exports = 3');"
        "fs.writeFileSync('four.json', '4')")
    assert run("import one, { two } from './one.mjs'\n[one, two, require('./three.cjs')]").text == "[ 1, 2, 3 ]"
    assert run("import four from './four.json' with { type: 'json' }\nfour").text == "4"
    assert run("(await import('./one.mjs')).two").text == "2"


def test_top_level_await_and_console(run):
    outcome = run("console.log('a'); await new Promise(r => setTimeout(r, 50)); console.error('b'); console.log('%d', 3)")
    assert (outcome.stdout, outcome.stderr) == (b"a\n3\n", b"b\n")


def test_output_of_children_is_captured(run):
    outcome = run("require('child_process').execSync('echo child; echo err >&2', { stdio: 'inherit' })")
    assert (outcome.stdout, outcome.stderr) == (b"child\n", b"err\n")


def test_execution_lasts_while_the_script_would(run):
    outcome = run("let n = 0; const i = setInterval(() => { console.log(n); if (++n === 3) clearInterval(i) }, 20);"
                  "Promise.resolve().then(() => console.log('job')); setTimeout(() => console.log('late'), 200)")
    assert outcome.stdout == b"job\n0\n1\n2\nlate\n"
    outcome = run("require('child_process').exec('sleep 0.2; echo child', (e, out) => console.log(out))")
    assert outcome.stdout == b"child\n\n"


def test_server_does_not_hold_the_execution_and_serves_the_next(run):
    assert run("const server = require('http').createServer((q, a) => a.end('served')); server.listen(0); 1",
               timeout=5).outcome == OK
    outcome = run("const answer = await fetch(`http://127.0.0.1:${server.address().port}/`); await answer.text()", timeout=5)
    assert outcome.text == "'served'"
    run("server.close()")


@pytest.mark.parametrize("code, text", [
    ("throw new Error('boom')", "Error: boom\n    at execution-"),
    ("null.x", "TypeError: Cannot read properties of null"),
    ("undefinedName", "ReferenceError: undefinedName is not defined"),
    ("throw 5", "Uncaught 5"),
    ("await Promise.reject(new RangeError('rejected'))", "RangeError: rejected"),
    ("Promise.reject(new Error('nobody caught')); 1", "Error: nobody caught"),
    ("setTimeout(() => { throw new Error('in timer') }, 10)", "Error: in timer"),
    ("process.nextTick(() => { throw new Error('in tick') })", "Error: in tick"),
    ("new (require('events'))().emit('error', new Error('event'))", "Error: event"),
    ("throw new AggregateError([new Error('inner')], 'outer')", "inner"),
    ("throw new Error('outer', { cause: new Error('the cause') })", "the cause"),
    ("function deep() { deep() }\ndeep()", "RangeError: Maximum call stack"),
    ("import 'no-such-package'", "ERR_MODULE_NOT_FOUND"),
    ("require('no-such-package')", "MODULE_NOT_FOUND"),
    ("throw null", "Uncaught null"),
    ("throw Object.freeze(new Error('frozen'))", "Error: frozen"),
    ("throw new Proxy({}, { get() { throw 1 } })", "Uncaught"),
])
def test_exception_goes_to_stderr_and_state_is_kept(run, code, text):
    run("var kept = 1")
    outcome = run(code)
    assert outcome.outcome == ERROR, outcome
    assert text in outcome.stderr.decode()
    assert "node_driver" not in outcome.stderr.decode()
    assert run("kept").text == "1"


def test_stack_names_the_line(run):
    outcome = run("const a = 1;\n\nfunction f() {\n  throw new Error('here');\n}\n\nf();")
    assert b".js:4:9" in outcome.stderr and b".js:7:" in outcome.stderr


@pytest.mark.parametrize("code, shown", [
    ("let = ;", "let = ;\n      ^"),
    ("const a = 1;\nfoo(", "foo(\n    ^"),
    ("`${1}", "SyntaxError: Unterminated template"),
    ("a\0b", "SyntaxError: Unexpected character"),
    ("(" * 1_000_000, "SyntaxError"),
    ("{" * 300_000, "SyntaxError"),
])
def test_syntax_error_has_its_line_and_a_caret(run, code, shown):
    outcome = run(code)
    assert outcome.outcome == ERROR
    assert shown in outcome.stderr.decode()
    assert len(outcome.stderr) < 2000


@pytest.mark.parametrize("code", [
    "while (true) {}",
    "await new Promise(() => {})",
    "await 0; while (true) {}",
    "(async () => { await 0; for (;;); })()",
    "setTimeout(() => { while (true) {} }, 10)",
    "for (;;) await 0",
    "(function f() { setImmediate(f) })()",
    "setInterval(() => {}, 10)",
    "require('child_process').execSync('sleep 60')",
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
    "({ [Symbol.for('nodejs.util.inspect.custom')]() { for (;;); } })",
    "/(a+)+$/.test('a'.repeat(60) + 'b')",
    "const r = new Promise(() => {}); require('child_process').spawn('sleep', ['60'])",
])
def test_endless_code_is_interrupted_and_state_kept(run, code):
    run("var kept = 1")
    outcome = run(code, timeout=0.5)
    assert (outcome.outcome, outcome.state_lost) == (TIMEOUT, 0), outcome
    assert run("kept").text == "1"


def test_interrupt_that_comes_when_the_code_has_ended_does_not_hit_later_code(run):
    for _ in range(10):
        # Node mostly keeps a signal that comes in the last moment of a script, and interrupts a later one.
        run("process.kill(process.pid, 'SIGINT'); undefined")
        run("await new Promise(() => {})", timeout=0.1)
        outcome = run("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)")
        assert (outcome.outcome, outcome.text) == (OK, "'timed-out'"), outcome


@pytest.mark.parametrize("code, outcome_expected, stderr", [
    ("console.log('a'); process.exit(0); console.log('b')", OK, b""),
    ("console.log('a'); process.exit(3)", ERROR, b"process.exit(3)\n"),
    ("console.log('a'); process.exitCode = 2; process.exit()", ERROR, b"process.exit(2)\n"),
    ("(async () => { console.log('a'); await 0; process.exit(0) })()", OK, b""),
    ("setTimeout(() => process.exit(1), 10); console.log('a')", ERROR, b"process.exit(1)\n"),
    ("console.log('a'); try { process.exit(1) } catch (e) { console.log('caught', e) }", ERROR, b"process.exit(1)\n"),
])
def test_process_exit_ends_the_execution_and_keeps_the_interpreter(run, code, outcome_expected, stderr):
    run("var kept = 1")
    outcome = run(code)
    assert (outcome.outcome, outcome.stdout, outcome.stderr) == (outcome_expected, b"a\n", stderr)
    assert run("kept").text == "1"


@pytest.mark.parametrize("code, how", [
    ("process.reallyExit(5)", "the interpreter exited with status 5"),
    ("process.kill(process.pid, 'SIGKILL')", "the interpreter was killed by signal 9 (SIGKILL)"),
    ("process.abort()", "the interpreter was killed by signal 6 (SIGABRT)"),
])
def test_dead_interpreter_is_reported_and_replaced(run, code, how):
    outcome = run(code)
    assert (outcome.outcome, outcome.state_lost, outcome.sentence) == (LOST, 1, how)
    assert run("1 + 1").text == "2"


@pytest.mark.parametrize("code", [
    "process.stdout.write = null; console.log = null",
    "process.exit = null; process.removeAllListeners()",
    "globalThis.setTimeout = globalThis.Promise = globalThis.Buffer = undefined",
    "Array.prototype.push = null; Array.prototype.map = null",
    "process.stdout.end()",
    "require('fs').closeSync(1)",
    "require('fs').closeSync(3)",
    "require('fs').writeSync(3, 'garbage'.repeat(100))",
    "globalThis.__proto__ = null",
    "process.chdir('/')",
])
def test_what_code_does_to_its_process_does_not_break_the_session(run, code):
    run(code, timeout=3)
    run("1", timeout=3)
    run("process.reallyExit(0)", timeout=3)
    outcome = run("console.log('out'); 1 + 1")
    assert (outcome.outcome, outcome.stdout, outcome.text) == (OK, b"out\n", "2")


def test_display_shows_bundles(run):
    outcome = run("display({ 'image/png': Buffer.from([137, 80]), 'text/html': '<b>' }); display('text')")
    assert outcome.displays == [{"image/png": b"\x89P", "text/html": b"<b>"}, {"text/plain": b"'text'"}]
    assert run("display({ 'bad type': 'x' })").outcome == ERROR


def test_large_values_are_cut_and_say_so(run):
    outcome = run("'x'.repeat(50_000_000)")
    assert outcome.outcome == OK
    assert len(outcome.text) < 1_200_000 and "more characters" in outcome.text
    assert "more characters were cut" in json.loads(outcome.scalar)


@pytest.mark.parametrize("code", ["console.log('x'.repeat(100_000_000))",
                                  "for (let i = 0; i < 1_000_000; i++) console.log('y'.repeat(99))"])
def test_100_mb_of_output(run, code):
    outcome = run(code, timeout=60)
    assert outcome.outcome == OK
    assert 99_999_000 < len(outcome.stdout) + outcome.stdout_cut <= 100_000_001


@pytest.mark.parametrize("code", ["/*" + "x" * 8_000_000 + "*/\n5", "'" + "ü" * 4_000_000 + "';\n5",
                                  "const t = [" + "1," * 500_000 + "];\n5", "q = 1;\n" * 100_000 + "5"])
def test_code_of_many_megabytes_runs(run, code):
    outcome = run(code, timeout=60)
    assert (outcome.outcome, outcome.text) == (OK, "5")
