"""The Python driver: IPython's shell behind the agent."""

import json

import pytest

from agent import ERROR, OK, SCALAR, TABLE, TIMEOUT


@pytest.mark.parametrize("code, scalar, text", [
    ("1 + 1", "2", "2"),
    ("2.5", "2.5", "2.5"),
    ("True", "true", "True"),
    ("'abc'", '"abc"', "'abc'"),
    ("'ü\\u2603\\n\\0'", '"ü☃\\n\\u0000"', "'ü☃\\n\\x00'"),
    ("10 ** 50", "1" + "0" * 50, "1" + "0" * 50),
    ("float('nan')", "null", "nan"),
    ("-float('inf')", "null", "-inf"),
    ("1e300", "1e+300", "1e+300"),
    ("import numpy as np; np.float64(0.1)", "0.1", "np.float64(0.1)"),
    ("np.int8(-3)", "-3", "np.int8(-3)"),
    ("np.bool_(True)", "true", "np.True_"),
    ("[1, 'a']", "", "[1, 'a']"),
    ("{'a': 1}", "", "{'a': 1}"),
    ("import enum\nclass E(enum.IntEnum):\n    A = 1\nE.A", "", "<E.A: 1>"),
])
def test_value_of_the_last_expression(run, code, scalar, text):
    outcome = run(code)
    assert outcome.outcome == OK
    assert (outcome.scalar, outcome.text) == (scalar, text)


@pytest.mark.parametrize("code", ["x = 1", "None", "1;", "print(1)", "", "   \n", "# nothing", "def f(): return 1"])
def test_code_without_a_value_has_no_result(run, code):
    outcome = run(code)
    assert (outcome.outcome, outcome.result) == (OK, None)


def test_long_list_has_one_element_a_line(run):
    lines = run("[f'package-{i}' for i in range(40)]").text.split(",\n")
    assert len(lines) == 40 and lines[1] == " 'package-1'"


def test_integer_has_all_its_digits(run):
    outcome = run("7 ** 20000")
    assert int(outcome.scalar[:20]) and len(outcome.scalar) == 16902


def test_large_values_are_cut_and_say_so(run):
    outcome = run("'x' * 50_000_000")
    assert outcome.outcome == OK
    assert len(outcome.text) < 1_100_000 and "more characters were cut" in outcome.text
    assert "more characters were cut" in json.loads(outcome.scalar)


def test_state_is_kept(run):
    run("import math\nvalue = 41\ndef add(n): return value + n")
    assert run("add(1)").scalar == "42"


def test_stdout_and_stderr_are_apart(run):
    outcome = run("import sys\nprint('to out')\nprint('to err', file=sys.stderr)")
    assert (outcome.stdout, outcome.stderr) == (b"to out\n", b"to err\n")


def test_output_of_subprocesses_is_captured(run):
    outcome = run("!echo from shell; echo problem >&2\nimport subprocess, os\nsubprocess.run(['echo', 'child'])\n"
                  "os.system('echo system')\nos.write(1, b'raw\\n');")
    assert outcome.stdout == b"from shell\nchild\nsystem\nraw\n"
    assert outcome.stderr == b"problem\n"


@pytest.mark.parametrize("code, text", [
    ("files = !echo a b\nfiles", "['a b']"),
    ("%%bash\necho in bash", None),
    ("%timeit -n 1 -r 1 1 + 1", None),
    ("%pwd", None),
    ("import asyncio\nawait asyncio.sleep(0.01)\n'awaited'", "'awaited'"),
    ("async def f():\n    return 5\nawait f()", "5"),
])
def test_ipython_syntax_works(run, code, text):
    outcome = run(code)
    assert outcome.outcome == OK, outcome
    if text:
        assert outcome.text == text
    else:
        assert outcome.stdout or outcome.text


@pytest.mark.parametrize("code, ending", [
    ("1 / 0", "ZeroDivisionError: division by zero"),
    ("{}['x']", "KeyError: 'x'"),
    ("def f():\n    raise ValueError('deep')\nf()", "ValueError: deep"),
    ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("raise ExceptionGroup('g', [ValueError(1)])", "ValueError: 1"),
    ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    ("await asyncio.sleep(0)\nraise OSError('after await')", "OSError: after await"),
])
def test_exception_has_its_traceback_on_stderr(run, code, ending):
    run("import asyncio")
    outcome = run(code)
    assert outcome.outcome == ERROR
    assert ending in outcome.stderr.decode()
    assert "Traceback" in outcome.stderr.decode()
    assert "\x1b" not in outcome.stderr.decode()
    assert "python_serve" not in outcome.stderr.decode()
    assert outcome.result is None


@pytest.mark.parametrize("code", ["x = (", "def f(:", "a\0b", "'unclosed", "  x\n y", "return 1", "\x01", "for", "\ufffe"])
def test_syntax_error_is_an_error(run, code):
    outcome = run(code)
    assert outcome.outcome == ERROR
    assert b"Error" in outcome.stderr
    assert run("1").text == "1"


@pytest.mark.parametrize("code, text", [
    ("import sys; sys.exit(3)", b"SystemExit: 3\n"),
    ("import sys; sys.exit()", b"SystemExit\n"),
    ("exit()", b"SystemExit\n"),
    ("quit(0)", b"SystemExit: 0\n"),
    ("raise SystemExit('bye')", b"SystemExit: bye\n"),
])
def test_exit_ends_the_execution_and_keeps_the_interpreter(run, code, text):
    run("kept = 1")
    outcome = run(code)
    assert (outcome.outcome, outcome.stderr) == (ERROR, text)
    assert run("kept").text == "1"


@pytest.mark.parametrize("code", ["'ü☃😀\u202e' + '\U0001F469\u200d\U0001F4BB'", "ünïcödé = 1; ünïcödé", "a = 1\r\nif a:\r\n  a = 2\r\na\r\n"])
def test_unicode_and_line_ends(run, code):
    assert run(code).outcome == OK


def test_printing_what_has_no_utf_8_does_not_fail(run):
    assert run("print('\\ud800')").stdout == b"\\ud800\n"


def test_input_is_refused_with_a_reason(run):
    outcome = run("input('name? ')")
    assert outcome.outcome == ERROR
    assert b"EOFError: input() has nobody to ask" in outcome.stderr


@pytest.mark.parametrize("code", [
    "import sys; sys.stdout.close(); sys.stderr.close()",
    "import sys; sys.stdout = sys.stderr = sys.stdin = None",
    "import os; os.close(0); os.close(1); os.close(2)",
    "import os; fd = os.open('/dev/null', os.O_RDWR); os.dup2(fd, 1); os.dup2(fd, 2)",
    "import os; os.set_blocking(1, False)",
    "import sys; sys.displayhook = None; sys.excepthook = None",
    "import builtins; builtins.print = None; del builtins.print",
    "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)",
    "import os, tempfile; os.chdir(tempfile.mkdtemp())",
    "__name__ = 'x'; In = Out = get_ipython = None",
])
def test_what_code_does_to_its_process_does_not_break_the_next(agent, run, code):
    run(code)
    outcome = run("import sys\nsys.stdout.write('out\\n')\nsys.stderr.write('err\\n')\n1 + 1")
    assert (outcome.outcome, outcome.stdout, outcome.stderr, outcome.text) == (OK, b"out\n", b"err\n", "2")
    assert run("while True: pass", timeout=0.3).outcome == TIMEOUT
    run(f"import builtins, io, os; builtins.print = lambda *a, **k: None; os.chdir({agent.work!r})")
    run("import os; os._exit(0)")


def test_forked_child_that_returns_from_the_cell_does_not_answer(run):
    outcome = run("import os\npid = os.fork()\nif pid:\n    os.wait()\nprint('child' if pid == 0 else 'parent')\npid > 0")
    assert sorted(outcome.stdout.split()) == [b"child", b"parent"]
    assert outcome.scalar == "true"
    assert run("'still here'").outcome == OK


def test_multiprocessing_works(run):
    outcome = run("import multiprocessing as m\ndef f(x): return x * x\n"
                  "with m.get_context('fork').Pool(2) as p: squares = p.map(f, range(5))\nsquares")
    assert outcome.text == "[0, 1, 4, 9, 16]"


def test_threads_may_print_and_go_on(run):
    outcome = run("import threading, time\n"
                  "t = [threading.Thread(target=lambda i=i: print('t', i)) for i in range(20)]\n"
                  "[x.start() for x in t]; [x.join() for x in t]\nlen(t)")
    assert outcome.stdout.count(b"\n") == 20
    run("threading.Thread(target=time.sleep, args=(60,)).start()")
    assert run("1").text == "1"


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "import asyncio; await asyncio.sleep(60)", "!sleep 60",
                                  "import threading; threading.Event().wait(60)",
                                  "import subprocess; subprocess.run(['sleep', '60'])",
                                  "class R:\n    def __repr__(self):\n        while True: pass\nR()"])
def test_interrupt_reaches_what_blocks(run, code):
    run("kept = 3")
    outcome = run(code, timeout=0.5)
    assert (outcome.outcome, outcome.state_lost) == (TIMEOUT, 0), outcome
    assert "python_serve" not in outcome.stderr.decode()
    assert run("kept").text == "3"


def test_names_are_the_users_own(run):
    run("import os; os._exit(0)")
    names = run("sorted(n for n in globals() if not n.startswith('_'))").text
    assert names == "['In', 'Out', 'exit', 'get_ipython', 'open', 'quit']"
    assert run("__name__").scalar == '"__main__"'
    assert run("import pickle\nclass A: pass\npickle.loads(pickle.dumps(A())).__class__ is A").text == "True"


def test_files_in_the_working_directory_are_importable_but_shadow_nothing(run):
    run("open('mine.py', 'w').write('value = 7')\nopen('struct.py', 'w').write('raise Exception')\n"
        "open('python_shell.py', 'w').write('raise Exception')\nimport os\nos._exit(0)")
    assert run("import mine\nmine.value").text == "7"
    run("import os\nfor name in 'mine', 'struct', 'python_shell': os.remove(name + '.py')")


def test_package_installed_for_the_user_is_importable_at_once(run):
    outcome = run("import site, os\nfolder = site.getusersitepackages()\nos.makedirs(folder)\n"
                  "open(folder + '/users_own.py', 'w').write('a = 1')")
    assert outcome.outcome == OK, outcome
    assert run("import users_own\nusers_own.a").text == "1"


def test_display_sends_bundles_in_order(run):
    outcome = run("from IPython.display import HTML, display\nprint('first')\ndisplay(HTML('<b>bold</b>'))\n"
                  "print('second')\ndisplay({'text/plain': 'raw'}, raw=True)\nHTML('<i>')")
    assert [d.get("text/html") or d["text/plain"] for d in outcome.displays] == [b"<b>bold</b>", b"raw"]
    assert outcome.result["text/html"] == b"<i>"
    kinds = [kind for _, kind, _ in outcome.chunks]
    assert kinds == sorted(kinds, key=lambda kind: 0) and kinds.index(18) < kinds.index(20)


def test_object_with_rich_representations(run):
    outcome = run("class A:\n    def _repr_html_(self): return '<p>'\n    def _repr_png_(self): return b'\\x89PNG\\r\\n'\n"
                  "    def _repr_json_(self): return {'a': [1]}\n    def __repr__(self): return 'an A'\nA()")
    assert outcome.result == {"text/plain": b"an A", "text/html": b"<p>", "image/png": b"\x89PNG\r\n",
                              "application/json": b'{"a": [1]}'}


def test_representation_that_raises_is_told(run):
    outcome = run("class A:\n    def __repr__(self): raise RuntimeError('no repr')\nA()")
    assert b"RuntimeError: no repr" in outcome.stderr
    assert outcome.result is None


@pytest.mark.parametrize("ending", ["", "\nplt.savefig('figure.png')", "\nprint('done')", "\nplt.show()"])
def test_open_figure_is_displayed_once_as_png(run, ending):
    outcome = run("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);" + ending)
    pictures = [d["image/png"] for d in outcome.displays if "image/png" in d]
    assert outcome.outcome == OK, outcome
    assert len(pictures) == 1 and pictures[0].startswith(b"\x89PNG\r\n\x1a\n")
    assert run("plt.get_fignums()").text == "[]"


def test_matplotlib_is_not_loaded_before_it_is_used(run):
    run("import os; os._exit(0)")
    assert run("import sys; [m for m in ('matplotlib', 'numpy', 'jedi') if m in sys.modules]").text == "[]"


def test_pandas_frame_as_text_html_and_json(run):
    outcome = run("import pandas as pd\nframe = pd.DataFrame({'n': [1, 2], 's': ['a', None], 'f': [0.5, float('nan')]})\nframe")
    table = json.loads(outcome.result[TABLE])
    assert [(f["name"], f["type"]) for f in table["schema"]["fields"]] == [
        ("index", "integer"), ("n", "integer"), ("s", "string"), ("f", "number")]
    assert table["data"] == [{"index": 0, "n": 1, "s": "a", "f": 0.5}, {"index": 1, "n": 2, "s": None, "f": None}]
    assert table["total_rows"] == 2
    assert b"<table" in outcome.result["text/html"] and outcome.text.startswith("   n")
    assert SCALAR not in outcome.result


@pytest.mark.parametrize("make", [
    "pd.DataFrame([[1, 2]], columns=['a', 'a'])",
    "pd.DataFrame({('a', 'b'): [1], ('a', 'c'): [2]})",
    "pd.DataFrame({'t': pd.to_datetime(['2024-01-02']), 'o': [object()], 'c': [1 + 2j]})",
    "pd.DataFrame({'index': [1]}).set_index('index', drop=False)",
    "pd.DataFrame()",
    "pd.DataFrame({1: [1], None: [2]})",
    "pd.DataFrame({'p': pd.period_range('2024', periods=1), 'i': pd.interval_range(0, 1), 'x': [[1, {'a': 2}]]})",
    "pd.DataFrame({'ü\\ud800': ['\\ud800']})",
])
def test_awkward_frames_have_json_or_none_but_never_fail(run, make):
    run("import pandas as pd")
    outcome = run(make)
    assert outcome.outcome == OK
    assert b"python_tables" not in outcome.stderr, outcome
    if TABLE in outcome.result:
        json.loads(outcome.result[TABLE])


def test_large_frame_is_cut_to_its_first_rows(run):
    outcome = run("import pandas as pd\npd.DataFrame({'a': range(100_000)})")
    table = json.loads(outcome.result[TABLE])
    assert (len(table["data"]), table["total_rows"]) == (1000, 100_000)
    outcome = run("pd.DataFrame({'a': ['x' * 100_000] * 900})")
    table = json.loads(outcome.result[TABLE])
    assert 1 <= len(table["data"]) < 50 and len(outcome.result[TABLE]) <= 4 << 20


def test_polars_frame_as_json(run):
    outcome = run("import polars as pl, datetime\n"
                  "pl.DataFrame({'n': [1, None], 's': ['a', 'ü'], 'd': [datetime.date(2024, 1, 2)] * 2, 'l': [[1], []]})")
    table = json.loads(outcome.result[TABLE])
    assert [f["type"] for f in table["schema"]["fields"]] == ["integer", "string", "date", "string"]
    assert table["data"][0]["d"] == "2024-01-02" and table["data"][1]["s"] == "ü"


@pytest.mark.parametrize("code", [
    "#" * ((8 << 20) - 3) + "\n5",
    "x = '" + "ü" * 4_000_000 + "'\n5",
    "x = [" + "1," * 500_000 + "]\n5",
    "x = 1\n" * 60_000 + "5",
])
def test_code_of_many_megabytes_runs(run, code):
    outcome = run(code, timeout=120)
    assert (outcome.outcome, outcome.text) == (OK, "5"), outcome.stderr[-300:]


@pytest.mark.parametrize("code", ["(" * 1_000_000, "-" * 100_000 + "1", "1\n" * 100_000 + "1 / 0", "\0" * (8 << 20)])
def test_code_of_many_megabytes_that_fails_is_an_error(run, code):
    outcome = run(code, timeout=120)
    assert outcome.outcome == ERROR
    assert len(outcome.stderr) < 1 << 20
    assert run("1").text == "1"


PLAIN = ["print(1)", "x = 1\n", "x = 1\ny = 2", "def f():\n    return 1\n\nf()\n", "1 +", "await f()", "[1,\n %s]", "printer",
         "x = '?'", "f'{x!r}'", "a = b\nls", "#", "'''\n%time\n'''", "a if b else c", "@d\ndef f(): pass", "(1\n,\n2)",
         "é = 1", "1;"]
MAGIC = ["ls", "ls\n", "%time 1", "%%time\n1", "!ls", "x = !ls", "x = %pwd", "print?", "?print", "time", "In [1]: x",
         "In [1]: x\n   ...: y", ">>> x", "\n\nx", "  x", "x\n!ls", "cd /tmp", "pwd", "", "\n", "/f 1", ",f a", "'\\d'",
         "x\n\n?x"]


def test_code_is_transformed_as_ipython_does_it(run):
    code = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = get_ipython()
[cell for cell in {PLAIN + MAGIC!r}
 if shell.transform_cell(cell).rstrip() != InteractiveShell.transform_cell(shell, cell).rstrip()]
"""
    assert run(code).text == "[]"


def test_what_the_code_registers_transforms_plain_code(run):
    run("shell = get_ipython()\nshell.input_transformers_post.append(lambda lines: ['seen = 1\\n'] + lines)")
    run("1 + 1")
    assert run("shell.input_transformers_post.clear()\nseen").text == "1"
    run("from IPython.core.macro import Macro\nmine = Macro('from_macro = 3')")
    run("mine")
    assert run("from_macro").text == "3"
