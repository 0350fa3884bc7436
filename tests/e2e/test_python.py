"""Python through the API: values, streams, state, IPython, data libraries and pictures."""

import base64
import struct

import pytest

from sse import stream

PNG = b"\x89PNG\r\n\x1a\n"


def png_size(result):
    """Width and height of the picture that a result object holds."""
    assert result["type"] == "image" and result["format"] == "png"
    content = base64.b64decode(result["base64_data"], validate=True)
    assert content.startswith(PNG)
    return struct.unpack(">II", content[16:24])


@pytest.mark.parametrize("code, value", [
    ("1 + 1", 2),
    ("-7", -7),
    ("2 ** 64", 2 ** 64),
    ("-(10 ** 60)", -(10 ** 60)),
    ("7 / 2", 3.5),
    ("0.1 + 0.2", 0.30000000000000004),
    ("1e300", 1e300),
    ("2.0", 2.0),
    ("3 > 2", True),
    ("3 < 2", False),
    ("'abc'", "abc"),
    ("''", ""),
    ("'two\\nlines'", "two\nlines"),
    ("'é 中文 🔥 \\u0000 \\\\'", "é 中文 🔥 \x00 \\"),
    ("None", ""),
    ("value = 5", ""),
    ("float('nan')", None),
    ("float('-inf')", None),
    ("[1, 'a', None]", "[1, 'a', None]"),
    ("{'k': (1, 2)}", "{'k': (1, 2)}"),
    ("b'x'", "b'x'"),
    ("3 + 4j", "(3+4j)"),
    ("for i in range(3): i", ""),
    ("# nothing", ""),
    ("", ""),
])
def test_the_last_expression_is_the_result(session, code, value):
    answer = session.python(code)
    assert answer.ok, answer
    assert answer.result == value
    assert type(answer.result) is type(value)
    assert (answer.stdout, answer.stderr) == ("", "")


def test_a_long_list_is_printed_as_ipython_does(session):
    result = session.python("[f'project-{i}' for i in range(30)]").result
    assert result.startswith("['project-0',\n 'project-1',\n")
    assert [part.strip(" '") for part in result.strip("[]").split(",\n")] == [f"project-{i}" for i in range(30)]


def test_stdout_and_stderr_are_kept_apart(session):
    answer = session.python("""
        import sys
        print('out')
        print('err', file=sys.stderr)
        print('more')
        1 + 1
        """)
    assert (answer.ok, answer.stdout, answer.stderr, answer.result) == (True, "out\nmore\n", "err\n", 2)


def test_output_of_child_processes_is_captured(session):
    answer = session.python("""
        import subprocess
        ended = subprocess.run('echo out; echo err >&2', shell=True)
        """)
    assert (answer.stdout, answer.stderr) == ("out\n", "err\n")


def test_unicode_survives_the_whole_way(session):
    text = "naïve café — 中文 — العربية — e\u0301 — 🧑‍🚀 — \U0010ffff"
    answer = session.python(f"größe = {text!r}\nprint(größe)\nimport sys; sys.stderr.write(größe)\ngröße")
    assert (answer.stdout, answer.stderr, answer.result) == (text + "\n", text, text)


def test_output_that_is_not_utf8_does_no_harm(session):
    answer = session.python("import os\nwritten = os.write(1, b'a\\xff\\xc3b\\x00\\x1b[0m\\n')")
    assert answer.ok
    assert answer.stdout.startswith("a") and answer.stdout.endswith("b\x00\x1b[0m\n")
    session.python("print('\\ud800')")  # a lone surrogate: replaced or an error
    assert session.python("1").result == 1


def test_a_syntax_error_is_told(session):
    answer = session.python("x = (1,\nprint(")
    assert not answer.ok
    assert "SyntaxError" in answer.stderr
    assert answer.result == ""


def test_an_exception_comes_with_its_traceback(session):
    answer = session.python("""
        def inner(key):
            return {}[key]

        print('before')
        inner('missing')
        print('after')
        """)
    assert not answer.ok
    assert answer.stdout == "before\n"
    assert "Traceback" in answer.stderr
    assert "inner('missing')" in answer.stderr
    assert answer.stderr.rstrip().endswith("KeyError: 'missing'")
    assert "\x1b[" not in answer.stderr


def test_a_chain_of_exceptions_is_told_in_full(session):
    answer = session.python("""
        try:
            1 / 0
        except ZeroDivisionError as e:
            raise ValueError('outer') from e
        """)
    assert "ZeroDivisionError" in answer.stderr and "ValueError: outer" in answer.stderr


@pytest.mark.parametrize("code", [
    "import sys; sys.exit(3)", "raise SystemExit('bye')", "exit()", "import sys; sys.exit()",
])
def test_sys_exit_ends_the_cell_and_keeps_the_interpreter(session, code):
    session.python("kept = 'yes'")
    answer = session.python(f"print('before')\n{code}\nprint('after')")
    assert answer.stdout == "before\n"
    if "exit(3)" in code or "bye" in code:
        assert not answer.ok
    assert session.python("kept").result == "yes"


def test_state_is_kept_between_executions(session):
    session.python("""
        import math
        counter = 41
        def next_value():
            return counter + 1
        """)
    assert session.python("counter = next_value()\ncounter").result == 42
    assert session.python("math.floor(2.5)").result == 2
    session.python("""
        import os
        os.makedirs('/tmp/here', exist_ok=True)
        os.chdir('/tmp/here')
        open('f', 'w').write('x')
        """)
    assert session.python("import os; os.path.exists('f') and os.getcwd()").result == "/tmp/here"
    session.python("import os; os.chdir(os.path.expanduser('~'))")


def test_a_failed_execution_keeps_the_state_from_before_it(session):
    session.python("a = 1")
    assert not session.python("a = 2\nraise RuntimeError\na = 3").ok
    assert session.python("a").result == 2


def test_ipython_runs_shell_commands(session):
    assert session.python("!echo from the shell").stdout == "from the shell\n"
    assert session.python("names = !printf 'a\\nb\\n'\nlist(names)").result == "['a', 'b']"


def test_ipython_magics_work(session):
    answer = session.python("%timeit -n 2 -r 1 sum(range(10))")
    assert answer.ok and "loop" in answer.stdout
    answer = session.python("%%writefile /tmp/written.txt\nhello")
    assert answer.ok
    assert session.python("open('/tmp/written.txt').read()").result == "hello\n"


def test_top_level_await(session):
    answer = session.python("""
        import asyncio
        async def f(n):
            await asyncio.sleep(0.01)
            return n * 2
        await f(21)
        """)
    assert answer.result == 42
    assert session.python("sum(await asyncio.gather(f(1), f(2)))").result == 6


def test_underscore_is_the_last_result(session):
    session.python("40 + 2")
    assert session.python("_ + 1").result == 43


def test_input_does_not_hang(session):
    answer = session.python("input('name? ')", timeout=20)
    assert not answer.ok
    assert "EOFError" in answer.stderr or "StdinNotImplementedError" in answer.stderr


def test_threads_print_while_the_cell_runs(session):
    answer = session.python("""
        import threading
        t = threading.Thread(target=lambda: print('from a thread'))
        t.start(); t.join()
        """)
    assert answer.stdout == "from a thread\n"


def test_code_of_8_mib_runs(session):
    prefix, suffix = "text = '", "'\nlen(text)"
    filling = "x" * ((8 << 20) - len(prefix) - len(suffix))
    answer = session.python(prefix + filling + suffix)
    assert answer.ok, answer
    assert answer.result == len(filling)


def test_code_with_nul_bytes_is_an_error_and_no_more(session):
    answer = session.python("print(1)\x00\nprint(2)")
    assert not answer.ok
    assert "null byte" in answer.stderr
    assert session.python("1 + 1").result == 2


def test_strange_code_does_no_harm(session):
    for code in ("\ufeffprint('bom')", "\r\nprint('crlf')\r\n", "\x1b[2J", "(" * 5000, "\t\n   \n", "lambda: (yield)"):
        session.python(code)
        assert session.python("6 * 7").result == 42


# ---- data libraries and pictures -------------------------------------------------------------------------------------

def test_pandas_describes_a_table(session):
    answer = session.python("""
        import pandas as pd
        df = pd.DataFrame({'n': [1, 2, 3, 4]})
        df.describe()
        """)
    assert answer.ok, answer
    lines = answer.result.splitlines()
    assert lines[0].split() == ["n"]
    assert [line.split() for line in lines if line.startswith("mean")] == [["mean", "2.500000"]]


def test_a_dataframe_comes_as_text_html_and_json(session):
    events = list(stream(session, """
        import pandas as pd
        pd.DataFrame({'n': [1, 2], 's': ['é', None]})
        """))
    bundle = next(event.data for event in events if event.type == "result")
    assert "<table" in bundle["text/html"]
    assert bundle["text/plain"].split()[:2] == ["n", "s"]
    json_types = [mime for mime in bundle if "json" in mime and "scalar" not in mime]
    assert json_types, list(bundle)
    assert "é" in str(bundle[json_types[0]])


def test_an_open_figure_is_the_result(session):
    answer = session.python("""
        import matplotlib.pyplot as plt
        plt.figure(figsize=(4, 3))
        plt.plot([1, 4, 9])
        print('drawn')
        plt.show()
        """)
    assert answer.ok, answer
    assert answer.stdout == "drawn\n"
    width, height = png_size(answer.result)
    assert width > 200 and height > 150


def test_a_figure_without_show_is_the_result_too(session):
    answer = session.python("""
        import matplotlib.pyplot as plt
        fig, ax = plt.subplots()
        ax.bar(['a', 'b'], [1, 2])
        fig.savefig('/tmp/f.png')
        """)
    png_size(answer.result)
    assert session.python("import os; os.path.getsize('/tmp/f.png') > 1000").result is True
    assert session.python("1").result == 1  # the figure is shown once


def test_the_last_of_several_figures_wins(session):
    answer = session.python("""
        import matplotlib.pyplot as plt
        plt.figure(figsize=(2, 2)); plt.plot([1]); plt.show()
        plt.figure(figsize=(8, 2)); plt.plot([2]); plt.show()
        """)
    width, height = png_size(answer.result)
    assert width > 2 * height


def test_an_image_object_is_a_picture(session):
    answer = session.python("from PIL import Image\nImage.new('RGB', (32, 16), 'red')")
    assert png_size(answer.result) == (32, 16)


def test_plain_svg_is_an_image_or_text(session):
    events = list(stream(session, """
        from IPython.display import SVG, display
        display(SVG('<svg xmlns="http://www.w3.org/2000/svg"/>'))
        """))
    assert any("image/svg+xml" in event.data for event in events if event.type == "display")
