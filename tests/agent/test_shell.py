"""Commands of a shell: what they see, how they end, what they leave behind."""

import os
import struct
import time

import pytest

from agent import ERROR, INTERRUPTED, OK, PYTHON, REFUSED, SHELL, TIMEOUT, TIMEOUT_SENTENCE, shell_code


def test_command_runs_in_a_login_bash(shell, agent):
    outcome = shell("shopt -q login_shell && echo login; echo $0 $#; pwd; echo $HOME; echo problem >&2")
    assert outcome.outcome == OK and outcome.status == 0 and not outcome.state_lost and outcome.sentence == ""
    assert outcome.stdout.decode().splitlines() == ["login", "/bin/bash 0", agent.work, os.path.join(agent.folder, "home")]
    assert outcome.stderr == b"problem\n"
    assert outcome.stdout_cut == outcome.stderr_cut == 0
    assert 0 < outcome.ran_us < 20_000_000


@pytest.mark.parametrize("command, status", [("exit 7", 7), ("false", 1), ("exit 255", 255), ("nothing_of_that_name", 127),
                                             ("kill -9 $$", 137), ("kill -TERM $$", 143), ("if", 2), ("true", 0), ("", 0)])
def test_status_is_that_of_the_command(shell, command, status):
    outcome = shell(command)
    assert outcome.status == status and outcome.outcome == (ERROR if status else OK)


def test_message_tells_the_line_of_the_command(shell):
    assert shell("\n\nnothing_of_that_name").stderr == b"/bin/bash: line 3: nothing_of_that_name: command not found\n"


def test_arguments_reach_a_program_as_they_are(shell):
    outcome = shell(["printf", "[%s]", "a b", "$HOME", "*", "", "é\n"])
    assert outcome.outcome == OK and outcome.stdout.decode() == "[a b][$HOME][*][][é\n]"
    assert shell(["/bin/echo", "x"]).stdout == b"x\n"


def test_program_that_cannot_be_run_tells_why(shell, agent):
    outcome = shell(["nothing-of-that-name"])
    assert outcome.status == 127 and b"cannot run nothing-of-that-name: No such file" in outcome.stderr
    with open(os.path.join(agent.work, "plain"), "w"):
        pass
    outcome = shell(["./plain"])
    assert outcome.status == 126 and b"Permission denied" in outcome.stderr


@pytest.mark.parametrize("command", ["cat; echo end", ["cat"]])
def test_stdin_is_read_to_its_end(shell, command):
    data = b"first\n\0\xff" + b"x" * 300_000
    outcome = shell(command, stdin=data)
    assert outcome.outcome == OK and outcome.stdout == data + (b"end\n" if isinstance(command, str) else b"")


def test_without_stdin_there_is_nothing_to_read(shell):
    assert shell("cat; echo end").stdout == b"end\n"
    assert shell(["cat"], timeout=10).outcome == OK


@pytest.mark.parametrize("size", [131_070, 131_071, 131_072, 131_073, 900_000])
def test_command_may_be_larger_than_an_argument(shell, size):
    """The kernel takes 128 KiB in one argument; what is larger takes another way and behaves alike."""
    begin, end = "# \ncat > /dev/null <<'END'\n", "\nEND\necho $0 $# ${hearth-unset}; cat; { echo >&3; } 2> /dev/null || exit 9"
    line = "é" * 39 + "\n"
    filler = line * ((size - len(begin.encode()) - len(end)) // len(line.encode()))
    filler += "x" * (size - len((begin + filler + end).encode()))
    command = begin + filler + end
    assert len(command.encode()) == size
    outcome = shell(command, stdin="given")
    assert outcome.stdout == b"/bin/bash 0 unset\ngiven" and outcome.stderr == b"" and outcome.status == 9
    outcome = shell("#" + "x" * size + "\nnothing_of_that_name")
    assert outcome.stderr == b"/bin/bash: line 2: nothing_of_that_name: command not found\n" and outcome.status == 127


def test_large_command_writes_a_file(shell, agent):
    """As deepagents' backend does: base64 within the command."""
    import base64
    data = os.urandom(600_000)
    text = base64.b64encode(data).decode()
    assert shell(f"printf '%s' '{text}' | base64 -d > written").status == 0
    with open(os.path.join(agent.work, "written"), "rb") as file:
        assert file.read() == data


def test_files_persist_and_variables_do_not(shell):
    assert shell("x=1; export Y=2; cd /; echo kept > \"$OLDPWD/kept\"").outcome == OK
    assert shell("echo \"[$x$Y]\"; cat kept").stdout == b"[]\nkept\n"


def test_commands_share_the_folder_with_interpreters(shell, run):
    assert run("open('of_python', 'w').write('p')").outcome == OK
    assert shell("cat of_python; echo s > of_shell").stdout == b"p"
    assert run("print(open('of_shell').read())", PYTHON).stdout == b"s\n\n"


def test_matplotlib_of_a_script_is_not_told_that_it_is_in_a_notebook(shell):
    assert shell("echo \"[$MPLBACKEND]\"").stdout == b"[]\n"


def test_background_process_holds_nothing_up_and_lives_on(shell):
    began = time.monotonic()
    outcome = shell("sleep 300 & echo $!")
    pid = int(outcome.stdout)
    assert outcome.outcome == OK and time.monotonic() - began < 10
    assert shell(f"kill -0 {pid} && echo alive").stdout == b"alive\n"
    assert shell(f"kill {pid}").outcome == OK


def test_what_a_background_process_writes_later_reaches_nobody_and_does_not_end_it(shell):
    assert shell("(for i in $(seq 20); do sleep 0.1; echo late; echo late >&2; done; echo done > done) &").stdout == b""
    outcome = shell("for i in $(seq 100); do [ -e done ] && break; sleep 0.1; done; cat done")
    assert outcome.stdout == b"done\n" and outcome.stderr == b""


def test_background_process_that_floods_its_pipe_goes_on(shell):
    shell("(head -c 3000000 /dev/zero; echo ended > flooded) &")
    assert shell("for i in $(seq 100); do [ -e flooded ] && break; sleep 0.1; done; cat flooded").stdout == b"ended\n"


def test_command_that_closed_its_streams_ends_well(shell):
    began = time.monotonic()
    assert shell("exec >&- 2>&-; sleep 0.5; exit 3").status == 3
    assert time.monotonic() - began >= 0.5


def test_many_commands_leave_no_descriptor_and_no_process_behind(shell, agent):
    folder = f"/proc/{agent.process.pid}/fd"
    shell("true")
    before, children = len(os.listdir(folder)), len(agent.children())
    for _ in range(50):
        assert shell("echo x; echo y >&2").outcome == OK
    time.sleep(0.2)
    assert len(os.listdir(folder)) <= before + 2 and len(agent.children()) <= children


def test_more_background_processes_than_are_listened_to(shell, agent):
    for _ in range(80):
        assert shell("sleep 5 &").outcome == OK
    assert len(os.listdir(f"/proc/{agent.process.pid}/fd")) < 200
    assert shell("echo fine").stdout == b"fine\n"


def test_output_is_cut_at_its_limit(shell):
    outcome = shell("head -c 5000 /dev/zero; head -c 70 /dev/zero >&2; exit 4", limit=100)
    assert outcome.stdout == bytes(100) and outcome.stdout_cut == 4900
    assert outcome.stderr == bytes(70) and outcome.stderr_cut == 0 and outcome.status == 4


def test_all_output_of_a_command_that_ends_at_once_is_there(shell):
    for size in 1, 200_000:
        assert len(shell(f"head -c {size} /dev/zero").stdout) == size


def test_output_comes_while_the_command_runs(connection):
    outcome = connection.shell("echo early; sleep 1; echo late")
    moments = [seconds for seconds, _, body in outcome.chunks if body in (b"early\n", b"late\n")]
    assert len(moments) == 2 and moments[1] - moments[0] > 0.5


def test_time_limit_interrupts(shell):
    began = time.monotonic()
    outcome = shell("echo before; sleep 60", timeout=1)
    assert outcome.outcome == TIMEOUT and outcome.sentence == TIMEOUT_SENTENCE and not outcome.state_lost
    assert outcome.status == 0 and outcome.stdout == b"before\n"
    assert 1 <= time.monotonic() - began < 2.5
    assert shell(["sleep", "60"], timeout=0.5).outcome == TIMEOUT


def test_time_limit_kills_what_ignores_the_interrupt(shell):
    began = time.monotonic()
    outcome = shell("trap '' INT; while :; do :; done", timeout=0.5)
    assert outcome.outcome == TIMEOUT and time.monotonic() - began < 6
    assert shell("echo usable").stdout == b"usable\n"


def test_command_may_tidy_up_when_its_time_is_over(shell):
    outcome = shell("trap 'echo tidied; exit 5' INT; sleep 60", timeout=0.5)
    assert outcome.outcome == TIMEOUT and outcome.stdout == b"tidied\n"


def test_interrupt_ends_a_command_at_any_moment(connection):
    for pause in 0, 0, 0, 0.001, 0.01, 0.5:
        request = connection.start(shell_code("sleep 60"), SHELL)
        time.sleep(pause)
        connection.interrupt(request)
        began = time.monotonic()
        assert connection.finish(request).outcome == INTERRUPTED
        assert time.monotonic() - began < 5
    assert connection.shell("echo next").stdout == b"next\n"


def test_command_whose_host_is_gone_is_ended(agent):
    first = agent.connect()
    first.start(shell_code("echo $$ > pid; sleep 60"), SHELL)
    path = os.path.join(agent.work, "pid")
    while not os.path.exists(path) or not os.path.getsize(path):
        time.sleep(0.05)
    first.close()
    second = agent.connect()
    with open(path) as file:
        assert second.shell(f"kill -0 {file.read().strip()} 2>/dev/null || echo gone").stdout == b"gone\n"
    second.close()


def test_100_mb_of_output_neither_hang_nor_kill(shell):
    outcome = shell("head -c 100000000 /dev/zero", limit=1 << 20, timeout=60)
    assert outcome.outcome == OK and len(outcome.stdout) == 1 << 20 and outcome.stdout_cut == 100_000_000 - (1 << 20)


def test_one_execution_at_a_time(agent):
    one, two = agent.connect(), agent.connect()
    one.start(shell_code("sleep 1; echo one"), SHELL)
    time.sleep(0.2)
    assert two.shell("echo two").outcome == REFUSED
    assert two.run("1").outcome == REFUSED
    assert one.finish().stdout == b"one\n"
    one.close()
    two.close()


@pytest.mark.parametrize("code", [
    b"", b"\1\0\0\0\0\0\0\0", b"\1\0\0\0\1\0\0\0", b"\1\0\0\0\xff\xff\xff\xffx\0", b"\1\0\0\0\0\0\0\0unfinished",
    b"\0\0\0\0\0\0\0\0x\0", b"\3\0\0\0\0\0\0\0x\0", b"\1\0\0\0\0\0\0\0two\0texts\0", b"\2\0\0\0\0\0\0\0\0",
    b"\2\0\0\0\0\0\0\0" + b"x\0" * 1025,
    struct.pack("<BxxxI", 1, 5) + b"abcde",
])
def test_code_that_makes_no_sense_is_refused(connection, code):
    outcome = connection.run(code, SHELL)
    assert outcome.outcome == REFUSED and outcome.sentence and outcome.wait_us is None
    assert connection.shell("echo fine").stdout == b"fine\n"


def test_as_many_arguments_as_are_taken(shell):
    assert shell(["printf", "%s"] + ["x"] * 1022).stdout == b"x" * 1022


def test_argument_that_is_too_long_for_the_kernel_tells_so(shell):
    outcome = shell(["echo", "x" * 200_000])
    assert outcome.status == 126 and b"Argument list too long" in outcome.stderr


def test_tokens_are_in_the_environment(agent):
    connection = agent.connect()
    connection.send_frame(12, 0, b"s" * 64)
    assert connection.shell("echo $IDENTITY_HEADER").stdout == b"s" * 64 + b"\n"
    connection.close()
