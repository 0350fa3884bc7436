"""What `hearth` makes of an execution's status, of code or of a command, against a service that is played."""

import json
import os
import subprocess

import pytest

from conftest import ROOT, environment_for
from container import Container


@pytest.fixture
def service(tmp_path):
    service = Container(tmp_path)
    yield service
    service.close()


def hearth(service, *words):
    return subprocess.run([os.path.join(ROOT, "build", "hearth"), *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30, env=environment_for(service.url, "t"))


@pytest.mark.parametrize("words", [("run", "-s", "a", "-c", "x"),
                                   ("session", "code-interpreter", "execute", "-i", "a", "--code", "x")], ids=["run", "execute"])
@pytest.mark.parametrize("status, code", [("Succeeded", 0), ("0", 0), ("Failed", 1), ("7", 1), ("-1", 1), ("00", 1), ("", 1)])
def test_a_status_is_a_word_or_an_exit_status(service, words, status, code):
    answer = json.dumps({"identifier": "a", "status": status, "result": {"stdout": "", "stderr": ""}})

    def serve(connection):
        _, headers = connection.read_head()
        connection.read(int(dict(headers)["Content-Length"]))
        event = f"event: done\ndata: {answer}\n\n".encode()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s" % (len(event), event))

    service.serve = serve
    result = hearth(service, *words)
    assert result.returncode == code, result.stderr
    assert result.stderr == ""
