"""What would hold up executions for ever: an end, a wake-up or an answer that does not come."""

import os
import signal
import struct
import time

import pytest

from agent import DONE, FILE_LIST, LOST, NODE, OK, SETTLE, SETTLED, TIMEOUT


@pytest.fixture
def agent(start_agent, tmp_path):
    agent = start_agent(tmp_path)
    yield agent
    agent.process.kill()
    agent.process.wait()


@pytest.fixture
def connection(agent):
    connection = agent.connect()
    connection.socket.settimeout(30)
    return connection


# ---- a host that is slow for a moment ----


def run_and_drop(connection, code):
    """The outcome, and the longest silence before it in seconds."""
    connection.start(code, timeout=10, limit=1 << 40)
    silence, last = 0, time.monotonic()
    while True:
        kind, _, body = connection.frame()
        now = time.monotonic()
        silence, last = max(silence, now - last), now
        if kind == DONE:
            return body[0], silence


def test_a_host_that_takes_all_at_once_is_not_waited_for(connection):
    """Several frames go out before the loop turns: the host may have taken all of them by then. Seen in one of 20 runs."""
    connection.run("import os; from IPython.display import display")
    code = "for i in range(100):\n    os.write(1, b'x' * 240000)\n    os.write(2, b'y' * 240000)\n    display(i)"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        outcome, silence = run_and_drop(connection, code)
        assert outcome == OK and silence < 5


# ---- settling ----


def test_an_execution_after_a_settling_that_failed(connection):
    """Node is still being settled when Python dies, which was: code may come, and Node is ready some time."""
    pid = int(connection.run("import os; os.getpid()").text)
    busy = "setTimeout(() => { const began = Date.now(); while (Date.now() - began < 3000); }, 300).unref(); 1"
    assert connection.run(busy, NODE).outcome == OK
    time.sleep(0.4)
    connection.send_frame(SETTLE, 77)
    time.sleep(0.7)
    os.kill(pid, signal.SIGKILL)
    kind, request, sentence = connection.frame()
    assert (kind, request) == (SETTLED, 77) and sentence
    assert connection.run("1 + 1", NODE, timeout=5).outcome == OK


def test_settling_one_that_closed_its_channel(connection):
    """Its limit is that of one that ends, not that of one that answers."""
    assert connection.run(
        "import os, socket, threading, time\n"
        "os._exit = lambda status: time.sleep(60)\n"
        "links = ((int(fd), os.readlink('/proc/self/fd/' + fd)) for fd in os.listdir('/proc/self/fd') if int(fd) >= 512)\n"
        "channel = next(fd for fd, link in links if link.startswith('socket'))\n"
        "def late():\n"
        "    time.sleep(0.5)\n"
        "    socket.socket(fileno=os.dup(channel)).shutdown(socket.SHUT_RDWR)\n"
        "threading.Thread(target=late, daemon=True).start()").outcome == OK
    time.sleep(1)
    connection.send_frame(SETTLE, 77)
    kind, request, sentence = connection.frame()
    assert (kind, request) == (SETTLED, 77) and sentence


# ---- what is traced: nobody but the tracer hears of its end ----


TRACER = """
import ctypes, os, time
while not os.path.exists({path!r}) or not open({path!r}).read():
    time.sleep(0.05)
result = ctypes.CDLL(None).ptrace(0x4206, int(open({path!r}).read()), None, None)
open({path!r} + ".traced", "w").write(str(result))
time.sleep(60)
"""


def wait_for_tracer(path):
    deadline = time.monotonic() + 10
    while not os.path.exists(f"{path}.traced"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with open(f"{path}.traced") as file:
        if file.read() != "0":
            pytest.skip("no process may trace another here")


def test_a_traced_interpreter_is_replaced(connection, python, tmp_path):
    path = str(tmp_path / "pid")
    connection.run(f"import os; open({path!r}, 'w').write(str(os.getpid()))")
    assert connection.shell([python, "-c", f"import subprocess; subprocess.Popen([{python!r}, '-c', {TRACER.format(path=path)!r}])"]
                            ).outcome == OK
    wait_for_tracer(path)
    assert connection.run("os._exit(3)", timeout=3).outcome in (LOST, TIMEOUT)
    assert connection.run("1 + 1").text == "2"


def test_a_traced_command_ends(connection, python, tmp_path):
    path = str(tmp_path / "pid")
    connection.run(f"import subprocess; subprocess.Popen([{python!r}, '-c', {TRACER.format(path=path)!r}]); 1")
    assert connection.shell(f"echo $$ >{path}; sleep 1000", timeout=3).outcome == TIMEOUT
    wait_for_tracer(path)


# ---- files ----


def test_a_list_that_takes_long_is_cut(agent, connection):
    """What is not told counts for nothing: links to nothing that the kernel follows for long."""
    way = "d/../" * 800
    os.makedirs(os.path.join(agent.work, "d"))
    os.makedirs(os.path.join(agent.work, "many"))
    os.symlink(way + "nothing", os.path.join(agent.work, "link0"))
    for number in range(1, 39):
        os.symlink(f"{way}link{number - 1}", os.path.join(agent.work, f"link{number}"))
    os.symlink("../link38", os.path.join(agent.work, "many", "0"))
    for number in range(1, 12000):
        os.link(os.path.join(agent.work, "many", "0"), os.path.join(agent.work, "many", str(number)), follow_symlinks=False)
    other = agent.connect()
    connection.run("1")
    began = time.monotonic()
    other.send_frame(FILE_LIST, 1, struct.pack("<Q", 0) + b"many")
    connection.run("1")
    assert time.monotonic() - began < 6
