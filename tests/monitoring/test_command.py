"""Completion in a real bash, and the forms in which management commands answer."""

import json
import os
import pty
import subprocess

import pytest

from native import ROOT

HEARTH = os.path.join(ROOT, "build", "hearth")
ASK = r'''
source <("$HEARTH" completion bash) || exit 1
complete -p hearth | grep -q -- "-F _hearth hearth" || exit 2
COMP_WORDS=("$HEARTH" "$@")
COMP_CWORD=$#
_hearth
printf '%s\n' "${COMPREPLY[@]}"
'''


def complete(*words):
    result = subprocess.run(["bash", "-c", ASK, "bash", *words], env={**os.environ, "HEARTH": HEARTH}, text=True,
                            stdout=subprocess.PIPE, check=True, timeout=60)
    return result.stdout.split()


def test_bash_completes_commands():
    assert {"run", "sessionpool", "session", "logs", "completion"} <= set(complete(""))
    assert complete("session", "lo") == ["logs"] and complete("session", "logs", "--fo") == ["--follow"]
    assert complete("sessionp") == ["sessionpool"]
    assert complete("note") == ["notebook"] and complete("notebook", "") == ["run"]
    assert complete("sessionpool", "") == ["create", "update", "show", "list", "delete"]
    assert complete("session", "code-interpreter", "show-file-c") == ["show-file-content"]
    assert complete("cert", "") == ["init"] and complete("cert", "nonsense", "--") == []
    assert complete("completion", "") == ["bash", "zsh", "fish"]
    assert complete("nonsense", "") == [] == complete("sessionpool", "nonsense", "--")


def test_bash_completes_the_options_that_help_lists():
    for words in ("sessionpool", "create"), ("session", "code-interpreter", "execute"), ("key", "create"), ("usage",), \
            ("notebook", "run"):
        shown = subprocess.run([HEARTH, *words, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
        listed = {word for line in shown.splitlines() for word in line.split()[:2] if word.startswith("--")}
        assert listed == set(complete(*words, "--")) and len(listed) > 5
    shown = subprocess.run([HEARTH, "cert", "init", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert {f"--{name}" for name in ("directory", "hosts", "days", "help")} == set(complete("cert", "init", "--"))
    assert all(word in shown for word in complete("cert", "init", "--"))
    assert complete("cert", "init", "--directory", "") == []
    assert complete("run", "--ti") == ["--timeout"]


def test_bash_completes_values_and_leaves_files_to_bash():
    assert complete("session", "list", "-o", "js") == ["json", "jsonc"]
    assert complete("sessionpool", "create", "--container-type", "") == ["PythonLTS", "NodeLTS", "Shell", "CustomContainer"]
    assert complete("sessionpool", "update", "--snapshot", "B") == ["BeforeEntrypoint"]
    assert complete("session", "code-interpreter", "upload-file", "--filepath", "") == []
    assert complete("run", "exam") == complete("notebook", "run", "-o", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell):
    script = subprocess.run([HEARTH, "completion", shell], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "__complete" in script
    assert subprocess.run([HEARTH, "completion", "sh"], stderr=subprocess.DEVNULL).returncode == 2


# ---- help -------------------------------------------------------------------------------------------------------------

def said(*words):
    result = subprocess.run([HEARTH, *words], capture_output=True, text=True, timeout=60)
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize("words", [("run",), ("logs",), ("image",), ("session", "logs"), ("completion",),
                                   ("session", "code-interpreter"), ("session", "code-interpreter", "execute")])
def test_help_of_a_command_is_what_the_command_says(words):
    assert said("help", *words) == said(*words, "--help")
    assert said("help", *words)[0] == 0 and said("help", *words)[1].startswith(f"Usage: hearth {' '.join(words)}")


@pytest.mark.parametrize("words", [("frob",), ("help", "frob")])
def test_a_command_that_is_none_is_told(words):
    assert said(*words) == (2, "", "hearth: there is no such command: see hearth --help\n")


@pytest.mark.parametrize("words", [("session", "frob"), ("help", "session", "frob"), ("session", "frob", "--help")])
def test_a_command_that_its_group_has_not_is_told(words):
    assert said(*words) == (2, "", "hearth: there is no such command of session: see hearth session --help\n")


# ---- -o ---------------------------------------------------------------------------------------------------------------

@pytest.fixture
def service(hearthd):
    return hearthd.start()


def on_terminal(service, *arguments):
    environment = {**os.environ, "HEARTH_URL": service.url, "HEARTH_TOKEN": service.token}
    master, slave = pty.openpty()
    process = subprocess.Popen([HEARTH, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=slave)
    os.close(slave)
    output = b""
    try:
        while data := os.read(master, 65536):
            output += data
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(master)
    assert process.wait(60) == 0
    return output.decode()


def test_output_is_in_the_form_that_was_asked_for(service):
    shown = service.command("sessionpool", "show", "default").stdout
    assert shown == json.dumps(json.loads(shown), indent=2) + "\n"
    assert service.command("sessionpool", "show", "default", "-o", "jsonc").stdout == shown
    assert service.command("sessionpool", "list", "-o", "tsv").stdout.split("\t")[:3] == ["default", "PythonLTS", "100"]
    assert service.command("sessionpool", "list", "-o", "table").stdout.startswith("NAME ")
    assert service.command("sessionpool", "list", "--output", "none").stdout == ""
    refused = service.command("sessionpool", "list", "--query", "[].name")
    assert refused.returncode == 2 and "jq" in refused.stderr


def test_a_terminal_gets_tables_and_colours(service):
    assert on_terminal(service, "sessionpool", "list").startswith("NAME ")
    assert '\x1b[94m"name"\x1b[0m: \x1b[33m"default"\x1b[0m' in on_terminal(service, "sessionpool", "list", "-o", "jsonc")
    assert "\x1b" not in on_terminal(service, "sessionpool", "list", "-o", "json")


def test_execute_says_what_is_wrong(service):
    execute = ["session", "code-interpreter", "execute"]
    for arguments, part in ([], "--code"), (["--code", "1"], "--identifier"), \
            (["-i", "a", "--code", "@/not/there"], "/not/there"), (["-i", "a", "--code", "1", "-o", "xml"], "xml"), \
            (["-i", "a", "--code", "1", "--timeout-in-seconds", "0"], "from 1"):
        result = service.command(*execute, *arguments)
        assert result.returncode == 2 and part in result.stderr, (arguments, result.stderr)
    result = service.command(*execute, "-i", "a", "-n", "default", "-g", "any", "--code", "1")
    assert result.returncode == 3 and "could not be started" in result.stderr
