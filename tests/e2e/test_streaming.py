"""Server-sent events: what an execution does, as it does it."""

import base64

from service import flat_body
from sse import stream, text_of


def test_output_comes_while_the_code_runs(session):
    session.python("import time")
    events = list(stream(session, """
        print('first', flush=True)
        time.sleep(2)
        print('second', flush=True)
        time.sleep(2)
        """))
    lines = [event for event in events if event.type == "stdout" and event.data["text"].strip()]
    arrivals = {event.data["text"].strip(): event.at for event in lines}
    done_at = next(event.at for event in events if event.type == "done")
    assert arrivals["second"] - arrivals["first"] > 1.5
    assert done_at - arrivals["second"] > 1.5


def test_the_last_event_is_the_plain_answer(session):
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7"
    events = list(stream(session, code))
    done = events[-1]
    assert done.type == "done"
    assert [event.type for event in events].count("done") == 1
    plain = session.client.post("executions", flat_body(code), identifier=session.identifier).json()
    assert set(done.data) == set(plain)
    assert done.data["status"] == plain["status"] == "Succeeded"
    assert {k: done.data["result"][k] for k in ("stdout", "stderr", "executionResult")} == \
        {"stdout": "out\n", "stderr": "err\n", "executionResult": 42}


def test_streams_add_up_in_order(session):
    events = list(stream(session, """
        import sys
        for i in range(2000):
            print('line', i, file=sys.stdout if i % 2 else sys.stderr)
        """))
    assert text_of(events, "stdout") == "".join(f"line {i}\n" for i in range(2000) if i % 2)
    assert text_of(events, "stderr") == "".join(f"line {i}\n" for i in range(2000) if not i % 2)
    assert events[-1].data["result"]["stdout"] == text_of(events, "stdout")


def test_characters_are_not_torn_between_events(session):
    text = "é中🔥" * 50_000
    events = list(stream(session, f"print('é中🔥' * 50_000, end='')"))
    assert text_of(events, "stdout") == text


def test_the_result_comes_before_done_and_only_once(session):
    events = list(stream(session, "print('x')\n[1, 2]"))
    kinds = [event.type for event in events]
    assert kinds.count("result") == 1
    assert kinds.index("result") < kinds.index("done")
    assert next(event for event in events if event.type == "result").data["text/plain"] == "[1, 2]"


def test_displays_come_in_their_place(session):
    events = list(stream(session, """
        from IPython.display import display, HTML
        print('a')
        display(HTML('<b>bold</b>'))
        print('b')
        """))
    merged = "".join(f"[{event.data['text/html']}]" if event.type == "display" else event.data["text"]
                     for event in events if event.type != "done")
    assert merged == "a\n[<b>bold</b>]b\n"


def test_a_picture_is_a_display_in_base64(session):
    events = list(stream(session, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"))
    pictures = [event.data["image/png"] for event in events if "image/png" in event.data]
    assert len(pictures) == 1
    assert base64.b64decode(pictures[0], validate=True).startswith(b"\x89PNG\r\n\x1a\n")


def test_a_failure_is_streamed_too(session):
    events = list(stream(session, "print('before')\n1 / 0"))
    assert text_of(events, "stdout") == "before\n"
    assert "ZeroDivisionError" in text_of(events, "stderr")
    assert events[-1].data["status"] == "Failed"


def test_a_time_limit_is_streamed_too(session):
    events = list(stream(session, "while True: pass", timeout=2))
    assert "timed out" in text_of(events, "stderr").lower()
    assert events[-1].data["status"] == "Failed"


def test_output_above_the_limit_is_cut_in_a_stream_too(session):
    events = list(stream(session, """
        import sys
        for _ in range(60_000):
            sys.stdout.write('x' * 999 + '\\n')
        """, timeout=200))
    done = events[-1].data
    assert done["status"] == "Succeeded"
    assert len(text_of(events, "stdout")) < 60_000_000
    assert session.python("1 + 1").result == 2


def test_errors_before_the_execution_are_plain_answers(client):
    response = client.post("executions", {"code": 1}, identifier="never-made", headers={"Accept": "text/event-stream"})
    assert response.status_code == 400
    assert response.json()["error"]["message"]
