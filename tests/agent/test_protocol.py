"""The agent's own part: frames, limits, interrupts, lost interpreters, hosts that misbehave."""

import os
import signal
import struct
import time

import pytest

from agent import (ERROR, EXECUTE, INTERRUPTED, LIMIT, LOST, NODE, OK, PYTHON, READY, REFUSED, STDOUT, TIMEOUT,
                   TIMEOUT_SENTENCE)


def test_agent_says_that_it_is_ready(agent):
    length, kind, flags, request = struct.unpack_from("<IHHQ", agent.ready)
    version, began_us, listening_us = struct.unpack("<IQQ", agent.ready[16:])
    assert (length, kind, flags, request, version) == (20, READY, 0, 0, 7)
    assert 0 < began_us <= listening_us


def test_output_streams_as_it_comes(run):
    outcome = run("import time\nfor i in range(3):\n    print(i)\n    time.sleep(0.4)")
    times = [at for at, kind, _ in outcome.chunks if kind == STDOUT]
    assert outcome.stdout == b"0\n1\n2\n"
    assert len(times) == 3 and times[2] - times[0] > 0.5


def test_output_is_cut_at_the_limit_and_the_rest_counted(run):
    outcome = run("import sys\nprint('a' * 5000)\nprint('b' * 999, file=sys.stderr)", limit=1000)
    assert outcome.outcome == OK
    assert (len(outcome.stdout), outcome.stdout_cut) == (1000, 4001)
    assert (len(outcome.stderr), outcome.stderr_cut) == (1000, 0)


def test_limit_of_zero_sends_no_output(run):
    outcome = run("print('abc')", limit=0)
    assert (outcome.stdout, outcome.stdout_cut) == (b"", 4)


@pytest.mark.parametrize("code", ["print('x' * 100_000_000)", "for _ in range(1_000_000): print('y' * 99)"])
def test_100_mb_of_output_neither_hang_nor_kill(agent, run, code):
    outcome = run(code, timeout=60)
    assert outcome.outcome == OK
    assert len(outcome.stdout) == 1 << 20
    assert 99_999_000 < len(outcome.stdout) + outcome.stdout_cut <= 100_000_001
    assert agent.resident_bytes() < 8 << 20


def test_code_blocked_by_a_host_that_does_not_read_is_still_timed_out(agent, connection):
    connection.start("while True: print('z' * 1000)", timeout=1, limit=1 << 40)
    time.sleep(2.5)
    assert agent.resident_bytes() < 8 << 20
    outcome = connection.finish()
    assert (outcome.outcome, outcome.state_lost) == (TIMEOUT, 0)
    assert outcome.stdout_cut > 0


def test_endless_loop_is_interrupted_and_state_kept(run):
    run("kept = 1")
    outcome = run("while True: pass", timeout=0.5)
    assert (outcome.outcome, outcome.state_lost, outcome.sentence) == (TIMEOUT, 0, TIMEOUT_SENTENCE)
    assert run("kept").text == "1"


def test_code_that_ignores_the_interrupt_is_killed_and_the_state_lost(run):
    run("kept = 1")
    outcome = run("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", timeout=0.5)
    assert (outcome.outcome, outcome.state_lost, outcome.sentence) == (TIMEOUT, 1, TIMEOUT_SENTENCE)
    assert run("'kept' in globals()").text == "False"


def test_interrupt_frame_interrupts(connection):
    connection.start("import time\ntime.sleep(60)")
    time.sleep(0.5)
    connection.interrupt()
    outcome = connection.finish()
    assert (outcome.outcome, outcome.state_lost) == (INTERRUPTED, 0)
    assert outcome.ran_us < 3_000_000


@pytest.mark.parametrize("language, pid, endless, kept", [
    (PYTHON, "import os; kept = 1; os.getpid()", "import time\nwhile True: time.sleep(0.01)", "kept"),
    (NODE, "var kept = 1; process.pid", "setInterval(() => {}, 10); for (;;) await new Promise((r) => setTimeout(r, 9))",
     "kept"),
], ids=["python", "node"])
@pytest.mark.parametrize("size", [0, 4 << 20])
def test_interrupt_that_comes_before_the_code_has_begun(connection, language, pid, endless, kept, size):
    # As on a machine with so much to do that the interpreter has not read its code yet.
    pid = int(connection.run(pid, language).text)
    comment = ("#" if language == PYTHON else "//") + "x" * size + "\n"
    os.kill(pid, signal.SIGSTOP)
    connection.start(comment + endless, language)
    time.sleep(0.1)
    connection.interrupt()
    time.sleep(0.1)
    os.kill(pid, signal.SIGCONT)
    outcome = connection.finish()
    assert (outcome.outcome, outcome.state_lost) == (INTERRUPTED, 0)
    assert connection.run(kept, language).text == "1"


def test_interrupt_of_another_request_does_nothing(connection):
    connection.start("import time\ntime.sleep(0.5)\n7")
    connection.interrupt(999)
    assert connection.finish().text == "7"


def test_closed_connection_interrupts_and_the_next_execution_waits_for_it(agent, run):
    run("kept = 2")
    other = agent.connect()
    other.start("import time\ntime.sleep(60)")
    time.sleep(0.5)
    other.close()
    outcome = run("kept")
    assert outcome.text == "2"


def test_an_interpreter_whose_host_is_gone_is_given_time(agent, run):
    # As on a machine whose hearthd was killed: all guests stop something at once, and none of them is quick.
    pid = int(run("import os; kept = 3; os.getpid()").text)
    other = agent.connect()
    other.start("import time\ntime.sleep(60)")
    time.sleep(0.5)
    os.kill(pid, signal.SIGSTOP)
    other.close()
    time.sleep(4)
    os.kill(pid, signal.SIGCONT)
    assert run("kept").text == "3"


def test_connection_closed_in_half_a_frame_does_no_harm(agent, run):
    other = agent.connect()
    other.socket.sendall(struct.pack("<IHHQ", 1000, EXECUTE, 0, 1) + b"x" * 500)
    other.close()
    assert run("1").text == "1"


def test_second_execution_is_refused(agent, connection):
    connection.start("import time\ntime.sleep(1)\n3")
    other = agent.connect()
    outcome = other.run("1")
    other.close()
    assert (outcome.outcome, outcome.sentence) == (REFUSED, "another execution is running")
    assert connection.finish().text == "3"


def test_interpreters_do_not_disturb_each_other(run):
    run("shared = 'python'")
    run("var shared = 'node'", NODE)
    assert run("import os; os._exit(3)").outcome == LOST
    assert run("shared", NODE).text == "'node'"


@pytest.mark.parametrize("body, sentence", [
    (struct.pack("<BBHIQ", 9, 0, 0, 0, 0) + b"1", "the language is unknown"),
    (b"\x01\x00", "the request is too short"),
    (b"", "the request is too short"),
    (struct.pack("<BBHIQ", 1, 0, 0, 0, 0) + b"'\xed\xa0\x80'", "the code is not valid UTF-8"),
    (struct.pack("<BBHIQ", 1, 0, 0, 0, 0) + b"#" * ((8 << 20) + 1), "the code is larger than 8 MiB"),
])
def test_request_that_makes_no_sense_is_refused(connection, body, sentence):
    connection.send_frame(EXECUTE, 5, body)
    outcome = connection.finish(5)
    assert (outcome.outcome, outcome.sentence) == (REFUSED, sentence)
    connection.request = 5
    assert connection.run("1").text == "1"


@pytest.mark.parametrize("frame", [
    struct.pack("<IHHQ", 0xffffffff, EXECUTE, 0, 1),  # longer than any frame
    struct.pack("<IHHQ", 0, 77, 0, 1),  # unknown type
    struct.pack("<IHHQ", 0, EXECUTE, 1, 1),  # flags
    struct.pack("<IHHQII", 8, LIMIT, 0, 0, 100, 0),  # too short
    struct.pack("<IHHQIIQ", 16, LIMIT, 0, 0, 100, 1, 1 << 20),  # what must be zero is not
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
])
def test_broken_frame_ends_the_connection_and_nothing_else(agent, run, frame):
    other = agent.connect()
    other.socket.sendall(frame)
    try:
        assert other.socket.recv(1) == b""
    except ConnectionResetError:  # it closed with some of the bytes unread
        pass
    other.close()
    assert run("1").text == "1"


def test_limits_are_taken_without_an_answer(connection):
    """What they do to a machine is tests/e2e/test_limits.py's: this one is not the agent's."""
    connection.send_frame(LIMIT, 0, struct.pack("<IIQ", 100, 0, 32 << 20))
    connection.send_frame(LIMIT, 0, struct.pack("<IIQ", 0, 0, 0))
    assert connection.run("1").text == "1"


def test_many_connections_are_bounded(agent):
    connections = [agent.connect() for _ in range(30)]
    for one in connections:
        one.close()
    time.sleep(0.2)
    last = agent.connect()
    assert last.run("1").text == "1"
    last.close()


@pytest.mark.parametrize("code, how", [
    ("import os; os._exit(7)", "the interpreter exited with status 7"),
    ("import ctypes; ctypes.string_at(0)", "the interpreter was killed by signal 11 (SIGSEGV)"),
    ("import os; os.abort()", "the interpreter was killed by signal 6 (SIGABRT)"),
])
def test_dead_interpreter_is_reported_as_what_it_was_and_replaced(run, code, how):
    outcome = run("print('before', flush=True)\n" + code)
    assert (outcome.outcome, outcome.state_lost, outcome.sentence) == (LOST, 1, how)
    assert outcome.stdout == b"before\n"
    again = run("1 + 1")
    assert (again.outcome, again.text) == (OK, "2")


def test_death_between_executions_is_told_with_the_next(run):
    run("import os, threading\nthreading.Timer(0.3, lambda: os._exit(9)).start()")
    time.sleep(1)
    outcome = run("1")
    assert (outcome.outcome, outcome.state_lost) == (OK, 1)
    assert "exited with status 9" in outcome.sentence
    assert run("1").state_lost == 0


@pytest.mark.parametrize("code", [
    "import os\nfor fd in range(3, 1024):\n    try:\n        if os.readlink(f'/proc/self/fd/{fd}').startswith('socket'):\n"
    "            os.write(fd, b'garbage' * 100)\n    except OSError: pass\nimport time; time.sleep(9)",
    "import os; os.closerange(3, 4096)",
])
def test_damaged_control_channel_loses_the_interpreter_only(run, code):
    outcome = run(code)
    assert (outcome.outcome, outcome.state_lost) == (LOST, 1)
    assert run("1").text == "1"


def test_driver_that_forges_frames_does_no_harm(run):
    """Frames of every type with wild lengths, as code that found the control socket could send."""
    outcome = run("""
import os, struct
fd = next(f for f in range(500, 1024) if os.path.exists(f'/proc/self/fd/{f}')
          and os.readlink(f'/proc/self/fd/{f}').startswith('socket'))
bundle = struct.pack('<HH', 1, 60000) + b'text/plain'
for kind in (20, 21):
    os.write(fd, struct.pack('<IHHQ', len(bundle), kind, 0, 1) + bundle)
for request in range(200):
    os.write(fd, struct.pack('<IHHQ', 4, 22, 0, request) + b'\\xff' * 4)
""")
    assert outcome.outcome in (OK, ERROR, LOST)
    assert run("1").text == "1"


def test_output_of_a_background_process_between_executions_is_dropped(run):
    run("import subprocess\np = subprocess.Popen('sleep 0.5; echo late', shell=True)")
    time.sleep(1)
    outcome = run("print('mine')")
    assert outcome.stdout == b"mine\n"


def test_background_process_that_floods_its_output_disturbs_nobody(run):
    run("import subprocess\np = subprocess.Popen(['yes'])")
    outcome = run("1", limit=100)
    assert (outcome.outcome, outcome.text) == (OK, "1")
    assert run("p.kill(); p.wait()").outcome == OK


def test_children_of_interrupted_code_are_gone_after_the_restart(agent, run):
    outcome = run("""
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
for _ in range(100):
    if os.fork() == 0:
        time.sleep(300)
        os._exit(0)
open('pid', 'w').write(str(os.getpgid(0)))
time.sleep(300)
""", timeout=1)
    assert (outcome.outcome, outcome.state_lost) == (TIMEOUT, 1)
    with open(os.path.join(agent.work, "pid")) as file:
        group = int(file.read())
    time.sleep(0.5)
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    assert run("1").text == "1"


def test_display_data_beyond_the_limit_is_dropped_with_a_note(connection):
    outcome = connection.run("""
from IPython.display import display
for i in range(6):
    display({'image/png': b'x' * (8 << 20)}, raw=True)
""")
    assert outcome.outcome == OK
    assert len(outcome.displays) == 3
    assert b"32 MiB" in outcome.stderr


def test_interpreter_is_warm_after_a_while(run):
    run("1")
    assert run("1").wait_us < 100_000


def test_interpreter_that_cannot_start_is_told(start_agent, tmp_path):
    agent = start_agent(tmp_path, python="/bin/false")
    try:
        connection = agent.connect()
        outcome = connection.run("1")
        assert (outcome.outcome, outcome.state_lost) == (LOST, 0)
        assert outcome.sentence == "the interpreter exited with status 1"
        assert connection.run("1 + 1", NODE).text == "2"
        connection.close()
    finally:
        agent.stop()


def test_agent_that_ends_takes_its_interpreters_with_it(start_agent, tmp_path):
    agent = start_agent(tmp_path)
    connection = agent.connect()
    connection.run("1")
    connection.run("1", NODE)
    children = agent.children()
    assert len(children) == 2
    agent.stop()
    time.sleep(0.5)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in children)


def test_what_is_written_between_executions_is_nobodys(connection):
    """A pipe that was read a moment ago rests, with what has come since still in it."""
    pid = int(connection.run("import os; os.getpid()").text)
    pipe = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY)
    for _ in range(50):
        time.sleep(0.02)
        os.write(pipe, b"read\n")
        time.sleep(0.0005)
        os.write(pipe, b"stale\n")
        assert connection.run("1").stdout == b""
    os.close(pipe)
