"""langchain-azure-dynamic-sessions: SessionsBashBackend, the sandbox of agents made with deepagents."""

import os

import pytest
from langchain_azure_dynamic_sessions.backends import SessionsBashBackend


@pytest.fixture(scope="module")
def backend(shell_endpoint, identifier):
    return SessionsBashBackend(shell_endpoint, session_id=identifier, timeout=300)


def test_a_command(backend):
    answer = backend.execute("echo out; echo err >&2; exit 5")
    assert (answer.output, answer.exit_code, answer.truncated) == ("out\nerr\n", 5, False)


def test_files_by_commands(backend):
    assert backend.write("/mnt/data/notes/a.txt", "eins\nzwei ü\n").error is None
    assert "already exists" in backend.write("/mnt/data/notes/a.txt", "x").error
    assert [line.split() for line in backend.read("/mnt/data/notes/a.txt").splitlines()] == [["1", "eins"], ["2", "zwei", "ü"]]
    assert backend.edit("/mnt/data/notes/a.txt", "eins", "one").occurrences == 1
    assert "not found" in backend.edit("/mnt/data/notes/a.txt", "drei", "three").error
    assert "one" in backend.read("/mnt/data/notes/a.txt")
    assert backend.ls_info("/mnt/data") == [{"path": "notes", "is_dir": True}]
    assert backend.glob_info("*.txt", "/mnt/data/notes") == [{"path": "a.txt", "is_dir": False}]


def test_a_file_of_a_megabyte_in_one_command(backend):
    text = os.urandom(400_000).hex()
    assert backend.write("/mnt/data/large", text).error is None
    assert backend.execute("wc -c < /mnt/data/large").output.strip() == "800000"


def test_files_by_the_rest_api(backend):
    data = bytes(range(256))
    assert [answer.error for answer in backend.upload_files([("/mnt/data/all.bin", data)])] == [None]
    assert backend.execute("wc -c < all.bin").output.strip() == "256"
    [answer] = backend.download_files(["/mnt/data/all.bin"])
    assert answer.error is None and answer.content == data
