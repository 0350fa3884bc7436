"""The command `hearth` against a real service."""

import json
import os
import secrets
import signal
import subprocess
import time

import pytest

from service import ROOT, TOKEN_FILE, free_port

HEARTH = os.path.join(ROOT, "build", "hearth")


@pytest.fixture(scope="module")
def environment(service):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HEARTH_") and "proxy" not in k.lower()}
    return {**kept, "HEARTH_URL": service.url, "HEARTH_TOKEN_FILE": TOKEN_FILE}


@pytest.fixture
def hearth(environment, tmp_path):
    """Runs `hearth` in an empty folder."""
    def run(*arguments, stdin=None, **more):
        return subprocess.run([HEARTH, *arguments], cwd=tmp_path, env={**environment, **more}, timeout=200,
                              input=stdin if stdin is not None else b"", capture_output=True)
    return run


@pytest.fixture(scope="module")
def name(service):
    """A session that the tests of this file share, so that not each of them boots a microVM."""
    name = f"cli-test-{secrets.token_hex(4)}"
    yield name
    service.client().end(name)


def test_a_session_of_its_own_ends_with_the_command(hearth, client):
    result = hearth("run", "-c", "import os\nprint('hello')\nos.getuid()")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"hello\n1000\n", b"")


def test_files_share_a_session_and_extensions_tell_the_language(hearth, name, tmp_path):
    (tmp_path / "one.py").write_text("x = 'größe'\nopen('/tmp/x', 'w').write(x)\nprint(x)")
    (tmp_path / "two.mjs").write_text("import fs from 'node:fs'; fs.readFileSync('/tmp/x', 'utf8')")
    result = hearth("run", "--session", name, "one.py", "two.mjs", "-c", "x")
    assert result.returncode == 0, result
    assert result.stdout.decode() == "größe\n'größe'\n'größe'\n"


def test_execute_shows_the_answer_and_tells_by_its_status(hearth, name):
    def execute(*arguments):
        return hearth("session", "code-interpreter", "execute", "-n", "default", "-g", "any", "-i", name, *arguments)

    answer = json.loads(execute("--code", "print('hi'); y = 2 ** 100; y").stdout)
    assert answer["status"] == "Succeeded" and answer["result"]["stdout"] == "hi\n"
    assert answer["result"]["executionResult"] == 2 ** 100
    assert execute("--code", "y, 0.1 + 0.2", "-o", "tsv").stdout.decode().split("\t")[:2] == [
        "Succeeded", "(1267650600228229401496703205376, 0.30000000000000004)"]
    failed = execute("--code", "1 / 0", "--timeout-in-seconds", "30")
    assert failed.returncode == 1 and failed.stderr == b""
    assert "ZeroDivisionError" in json.loads(failed.stdout)["result"]["stderr"]


def test_files_of_a_session(hearth, name, tmp_path):
    def files(command, *arguments):
        return hearth("session", "code-interpreter", command, "--identifier", name, *arguments)

    content = os.urandom(100_000)
    (tmp_path / "a ñ.bin").write_bytes(content)
    uploaded = files("upload-file", "-g", "group", "--name", "default", "--filepath", "a ñ.bin", "--path", "cli")
    assert uploaded.returncode == 0, uploaded
    entry = json.loads(uploaded.stdout)
    assert (entry["name"], entry["directory"], entry["sizeInBytes"]) == ("a ñ.bin", "cli", 100_000)
    assert json.loads(files("list-files", "--path", "cli").stdout) == [entry]
    assert json.loads(files("show-file-metadata", "--path", "cli", "--filename", "a ñ.bin").stdout) == entry
    assert "a ñ.bin" in files("list-files", "--path", "cli", "-o", "table").stdout.decode()
    assert files("show-file-content", "--filename", "cli/a ñ.bin").stdout == content
    assert files("delete-file", "cli/a ñ.bin").returncode == 2  # nobody can be asked
    assert files("delete-file", "cli/a ñ.bin", "--yes").returncode == 0
    for command in ("show-file-content", "show-file-metadata"):
        gone = files(command, "cli/a ñ.bin")
        assert (gone.returncode, gone.stdout) == (4, b"")
    assert files("upload-file", "none").returncode == 2
    assert hearth("session", "code-interpreter", "list-files").returncode == 2


def test_examples_run(hearth, name, tmp_path):
    files = ("stats.py", "plot.py", "primes.js", "await.mjs")
    result = hearth("run", "-s", name, *(os.path.join(ROOT, "examples", file) for file in files))
    assert result.returncode == 0, result
    assert b"height_cm" in result.stdout and b"9592 primes" in result.stdout and b"together" in result.stdout
    assert (tmp_path / "hearth-1.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert b"saved ./hearth-1.png" in result.stderr


def test_pictures_go_to_the_output_directory_and_overwrite_nothing(hearth, name, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "hearth-1.png").write_text("mine")
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    result = hearth("run", "-s", name, "--output-dir", str(folder), "-c", code)
    assert result.returncode == 0, result
    assert (folder / "hearth-1.png").read_text() == "mine"
    assert sorted(p.name for p in folder.iterdir()) == ["hearth-1.png", "hearth-2.png"]


def test_code_from_standard_input(hearth, name):
    assert hearth("run", "-s", name, stdin=b"print(6 * 7)").stdout == b"42\n"
    assert hearth("run", "-s", name, "-", stdin=b"#!/usr/bin/env node\ntypeof process").stdout == b"'object'\n"
    assert hearth("run", "-s", name, "--language", "node", stdin=b"typeof process").stdout == b"'object'\n"


def test_streams_are_kept_apart_and_raw(hearth, name):
    code = "import sys\nprint('\\x1b[1mbold\\x1b[0m\\x00')\nprint('err', file=sys.stderr)"
    result = hearth("run", "-s", name, "-c", code)
    assert (result.stdout, result.stderr) == (b"\x1b[1mbold\x1b[0m\x00\n", b"err\n")


def test_output_appears_while_the_code_runs(environment, name):
    code = "import time\nprint('now', flush=True)\ntime.sleep(3)"
    process = subprocess.Popen([HEARTH, "run", "-s", name, "-c", code], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"now\n"
    assert process.poll() is None
    began = time.monotonic()
    assert process.wait(60) == 0
    assert time.monotonic() - began > 1.5


def test_failing_code_is_status_1_and_ends_the_run(hearth, name):
    result = hearth("run", "-s", name, "-c", "print('one')", "-c", "1 / 0", "-c", "print('two')")
    assert result.returncode == 1
    assert result.stdout == b"one\n"
    assert b"ZeroDivisionError" in result.stderr


def test_a_time_limit_is_status_1(hearth, name):
    result = hearth("run", "-s", name, "--timeout", "2", "-c", "while True: pass")
    assert result.returncode == 1
    assert b"timed out" in result.stderr.lower()


def test_json_is_the_services_answer(hearth, name):
    result = hearth("run", "-s", name, "--json", "-c", "print('x')", "-c", "2 ** 100", "-c", "nope")
    assert result.returncode == 1
    first, second, third = map(json.loads, result.stdout.splitlines())
    assert first["result"]["stdout"] == "x\n"
    assert second["result"]["executionResult"] == 2 ** 100
    assert third["status"] == "Failed" and "NameError" in third["result"]["stderr"]


def test_ctrl_c_interrupts_the_code(environment, name, service):
    code = "print('started', flush=True)\nimport time\ntime.sleep(200)"
    process = subprocess.Popen([HEARTH, "run", "-s", name, "-c", code], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"started\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert service.client().execute(name, "6 * 7").result == 42


def test_a_reader_that_goes_away_ends_the_command(environment, name):
    script = f"'{HEARTH}' run -s {name} -c 'while True: print(\"y\" * 999)' | head -c 5; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", script], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (141, b"yyyyy", b"")


@pytest.mark.parametrize("arguments, words", [
    ((), "Usage"),
    (("frobnicate",), "no such command"),
    (("run", "--frobnicate"), "--frobnicate"),
    (("run", "--timeout", "0", "-c", "1"), "time limit"),
    (("run", "--timeout", "x", "-c", "1"), "time limit"),
    (("run", "--language", "cobol", "-c", "1"), "python, node or shell"),
    (("run", "missing.py"), "No such file"),
    (("run", "/etc/passwd"), "--language"),
    (("run", "/tmp"), "directory"),
    (("run", "-c", "1", "--session", ""), "empty"),
    (("run", "-c", "1", "--url", "gopher://x"), "URL"),
    (("run", "-c", "1", "--token", "a b"), "token"),
    (("run", "-c", "1", "--session", "x" * 300), "refused"),
])
def test_wrong_usage_is_status_2(hearth, arguments, words):
    result = hearth(*arguments)
    assert result.returncode == 2
    assert words in result.stderr.decode()
    assert result.stdout == b""


def test_code_that_is_not_utf8_is_status_2(hearth, tmp_path):
    (tmp_path / "latin1.py").write_bytes(b"x = 1\nprint('caf\xe9')\n")
    result = hearth("run", "latin1.py")
    assert result.returncode == 2
    assert b"latin1.py is not UTF-8" in result.stderr and b"line 2" in result.stderr


def test_code_with_nul_bytes_and_8_mib_arrives(hearth, name, tmp_path):
    (tmp_path / "nul.py").write_bytes(b"print('a\x00b')")
    assert hearth("run", "-s", name, "nul.py").returncode == 1
    (tmp_path / "large.py").write_bytes(b"#" * ((8 << 20) - 10) + b"\nprint(1)")
    assert hearth("run", "-s", name, "large.py").stdout == b"1\n"
    (tmp_path / "larger.py").write_bytes(b"#" * ((8 << 20) + 1))
    assert hearth("run", "-s", name, "larger.py").returncode == 2


def test_no_service_is_status_3(hearth):
    result = hearth("run", "-c", "1", HEARTH_URL=f"http://127.0.0.1:{free_port()}")
    assert result.returncode == 3
    assert b"make run" in result.stderr


def test_a_wrong_token_is_status_3(hearth):
    result = hearth("run", "-c", "1", HEARTH_TOKEN="wrong")
    assert result.returncode == 3
    assert b"token" in result.stderr and b"--token" in result.stderr


def test_help_and_version(hearth):
    for arguments in (("--help",), ("help",), ("run", "--help"), ("help", "run")):
        result = hearth(*arguments)
        assert result.returncode == 0 and b"Examples:" in result.stdout
    assert hearth("version").stdout.startswith(b"hearth ")
