"""More than is comfortable: many executions at once, and a file larger than the guest's disk."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service import Service

N_SESSIONS, N_EXECUTIONS = 50, 500
GIB = 1 << 30


@pytest.fixture(scope="module")
def roomy(host, service):
    """A service with room for all of them, in the place of the shared one."""
    service.stop()
    roomy = Service(host)
    roomy.start("--session-memory-mib", "512", "--max-sessions", str(N_SESSIONS + 2), "--max-file-mib", "2048",
                "--idle-timeout-seconds", "600")
    yield roomy
    roomy.stop()
    service.start()


def resident_kib(service):
    pid = service.hearthd_pid()
    return int(service.host.shell(f"awk '/^VmRSS/ {{ print $2 }}' /proc/{pid}/status"))


def descriptors(service):
    return len(service.host.shell(f"ls /proc/{service.hearthd_pid()}/fd").split())


def test_500_executions_over_50_sessions(roomy):
    """All at once, ten for each session, which is a queue: each sees the state that the one before left."""
    client = roomy.client()
    client.wait_until_ready(1)
    names = [f"load-{i}-{secrets.token_hex(4)}" for i in range(N_SESSIONS)]
    before, memory = descriptors(roomy), resident_kib(roomy)

    clients = [roomy.client().connect() for _ in range(N_EXECUTIONS)]

    def execute(i):
        own = clients[i]
        answer = own.execute(names[i % N_SESSIONS], "n = globals().get('n', 0) + 1\nn", timeout=1200)
        own.http.close()
        return i % N_SESSIONS, answer.result

    with ThreadPoolExecutor(N_EXECUTIONS) as pool:
        results = list(pool.map(execute, range(N_EXECUTIONS)))
    for session in range(N_SESSIONS):
        seen = sorted(result for of, result in results if of == session)
        assert seen == list(range(1, N_EXECUTIONS // N_SESSIONS + 1)), session
    for name in names:
        assert client.end(name).status_code == 204
    assert resident_kib(roomy) - memory < 32 << 10
    deadline = time.monotonic() + 60  # the lab's network takes its time to say that a client has closed
    while descriptors(roomy) > before + 16 and time.monotonic() < deadline:  # the stock may have grown meanwhile
        time.sleep(0.5)
    assert descriptors(roomy) <= before + 16
    assert client.execute("after", "1 + 1").result == 2
    assert client.end("after").status_code == 204


class Zeros:
    """A body of that many zeros, which nobody holds in memory."""

    def __init__(self, size):
        self.left = size

    def __iter__(self):
        while self.left > 0:
            piece = bytes(min(self.left, 1 << 20))
            self.left -= len(piece)
            yield piece


def multipart(size):
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="huge"\r\n\r\n'
    yield from Zeros(size)
    yield b"\r\n--b--\r\n"


def test_a_file_larger_than_the_disk(roomy):
    client = roomy.client()
    name = f"disk-{secrets.token_hex(4)}"
    assert client.execute(name, "open('/mnt/data/kept', 'w').write('x' * 1000)").ok
    memory = resident_kib(roomy)
    response = client.request("POST", "files", identifier=name, data=multipart(GIB), timeout=1200,
                              headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (response.status_code, response.json()["error"]["code"]) == (507, "InsufficientStorage")
    assert resident_kib(roomy) - memory < 8 << 10
    files = client.request("GET", "files", identifier=name).json()["value"]
    assert [(file["name"], file["sizeInBytes"]) for file in files] == [("kept", 1000)]
    assert client.execute(name, "len(open('/mnt/data/kept').read())").result == 1000
    assert client.end(name).status_code == 204
