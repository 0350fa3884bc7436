"""
A session at each of its limits (docs/limits.md): it gets an error that says which, it can be used afterwards where it should
be, and its neighbour answers meanwhile.
"""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service import Session

DISK_MIB = 32


def put_pool(client, name, limits, cpu=1):
    response = client.request("PUT", f"sessionPools/{name}", json={"properties": {
        "scaleConfiguration": {"maxConcurrentSessions": 4, "readySessionInstances": 0},
        "resources": {"cpu": cpu, "memory": "0.5Gi"}, "sessionLimits": limits}})
    assert response.status_code in (200, 201), response.text
    return response.json()["properties"]


@pytest.fixture(scope="module")
def pool_of(client):
    """Makes pools; a client of each."""
    names = []

    def make(limits, cpu=1):
        names.append(f"limits-{secrets.token_hex(4)}")
        put_pool(client, names[-1], limits, cpu)
        return names[-1]

    yield make
    for name in names:
        client.request("DELETE", f"sessionPools/{name}")


@pytest.fixture(scope="module")
def limited(service, pool_of):
    """A session with a small disk, few processes and little output."""
    pool = pool_of({"disk": f"{DISK_MIB}Mi", "processes": 100, "outputBytes": 2048})
    session = Session(service.client(pool), "limited")
    assert session.python("1 + 1").result == 2
    return session


@pytest.fixture(scope="module")
def neighbour(service):
    """Asks its own session again and again while something runs, and returns what that returned."""
    session = Session(service.client(), f"test-{secrets.token_hex(6)}")
    session.python("1")

    def watch(work, *arguments):
        n_answers = 0
        with ThreadPoolExecutor() as pool:
            future = pool.submit(work, *arguments)
            while n_answers == 0 or not future.done():
                assert session.python("6 * 7").result == 42
                n_answers += 1
                time.sleep(0.1)
            return future.result()

    yield watch
    session.end()


# ---- disk ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("folder", ["/mnt/data", "/tmp", "/home/hearth"])
def test_a_full_disk_is_an_error_and_room_comes_back(limited, neighbour, folder):
    answer = neighbour(limited.python, f"""
        with open('{folder}/large', 'wb', buffering=0) as file:
            for n in range(1000):
                file.write(bytes(1 << 20))
        """)
    assert not answer.ok and "No space left on device" in answer.stderr, answer
    size = limited.python(f"import os\nos.stat('{folder}/large').st_size").result
    assert (DISK_MIB - 8) << 20 < size <= DISK_MIB << 20
    assert limited.python(f"os.unlink('{folder}/large')\nopen('{folder}/small', 'w').write('x' * 100000)").result == 100000


def test_an_upload_that_does_not_fit_is_refused(limited):
    response = limited.client.request("POST", "files", identifier=limited.identifier,
                                      files={"file": ("large.bin", bytes((DISK_MIB + 1) << 20))})
    assert response.status_code in (413, 507), response.text
    assert "space" in response.text.lower() or "disk" in response.text.lower(), response.text
    assert limited.python("1 + 1").result == 2


# ---- processes -------------------------------------------------------------------------------------------------------

def test_processes_beyond_the_limit_are_an_error(limited, neighbour):
    answer = neighbour(limited.python, """
        import subprocess
        running = []
        try:
            while len(running) < 500:
                running.append(subprocess.Popen(['sleep', '1000']))
        except OSError as error:
            print(len(running), error)
        """)
    assert "Resource temporarily unavailable" in answer.stdout, answer
    assert 20 < int(answer.stdout.split()[0]) < 100
    assert "limit of processes" in answer.stderr
    # They were ended, but are processes until their parent has asked.
    answer = limited.python("[process.wait() for process in running]\nsubprocess.run(['echo', 'x'])")
    assert answer.stdout == "x\n", answer


def test_threads_of_node_have_the_same_limit(limited):
    answer = limited.node("require('child_process').execSync('for i in $(seq 300); do sleep 50 & done; echo all').toString()")
    assert not answer.ok or "all" not in answer.stdout, answer
    assert limited.node("6 * 7").result == 42


# ---- output and time -------------------------------------------------------------------------------------------------

def test_output_beyond_the_limit_is_cut_and_says_so(limited, neighbour):
    answer = neighbour(limited.python, "for n in range(100000):\n    print('x' * 99)")
    assert answer.stdout.startswith("x" * 99) and len(answer.stdout.encode()) < 2048 + 200
    assert "output cut; limit 2048" in answer.stdout, answer
    assert limited.python("print('short')").stdout == "short\n"


def test_an_execution_takes_no_longer_than_its_pool_allows(service, pool_of, neighbour, slowness):
    session = Session(service.client(pool_of({"executionTimeInSeconds": 4})), "slow")
    session.python("import time")
    answer = neighbour(session.python, "kept = 5\ntime.sleep(100)", 90)
    assert not answer.ok and "timed out" in answer.stderr.lower(), answer
    assert 4 <= answer.response.elapsed.total_seconds() < 8 + slowness
    assert session.python("kept").result == 5
    session.end()


# ---- memory ----------------------------------------------------------------------------------------------------------

def test_memory_that_runs_out_says_so(limited, neighbour):
    answer = neighbour(limited.python, """
        pieces = []
        while True:
            pieces.append(b'x' * (8 << 20))
        """)
    assert not answer.ok and "memory" in answer.stderr.lower(), answer
    assert limited.python("6 * 7").result == 42


# ---- CPU -------------------------------------------------------------------------------------------------------------

def test_a_session_gets_its_share_of_the_cpu(service, pool_of):
    """What a whole one does in a time takes a quarter at least twice as long, whatever the machine."""
    code = """
        import time
        def count():
            n, end = 0, time.monotonic() + 3
            while time.monotonic() < end:
                n += 1
            return n
        count()
        """
    counts = []
    for cpu in (1, 0.25):
        session = Session(service.client(pool_of({}, cpu)), "worker")
        session.python("1")
        counts.append(session.python(code).result)
        session.end()
    assert counts[1] < counts[0] / 2, counts


# ---- requests --------------------------------------------------------------------------------------------------------

def test_too_many_requests_to_a_session_are_refused_with_a_time(service, pool_of):
    client = service.client(pool_of({"sessionRequestsPerMinute": 6}))
    session = Session(client, "eager")
    assert session.python("1").result == 1  # makes it, which is not a request to it
    for _ in range(6):
        assert session.python("1").result == 1
    response = client.post("executions", {"code": "1"}, identifier="eager")
    assert response.status_code == 429, response.text
    assert response.json()["error"]["code"] == "TooManyRequests"
    assert "sessionRequestsPerMinute" in response.json()["error"]["message"]
    wait_s = int(response.headers["Retry-After"])
    assert 1 <= wait_s <= 10
    assert client.request("GET", "files", identifier="eager").status_code == 429
    assert Session(client, "patient").python("1").result == 1  # a session of the same pool is not concerned
    time.sleep(wait_s)
    assert session.python("6 * 7").result == 42


def test_too_many_requests_to_a_pool_are_refused(client, service, pool_of):
    pool = pool_of({"poolRequestsPerMinute": 2})
    limited = service.client(pool)
    assert limited.execute("one", "1").result == limited.execute("two", "1").result == 1
    response = limited.post("executions", {"code": "1"}, identifier="three")
    assert response.status_code == 429 and "poolRequestsPerMinute" in response.text, response.text
    assert client.execute("limits-other-pool", "6 * 7").result == 42
    client.end("limits-other-pool")
    put_pool(client, pool, {"poolRequestsPerMinute": 0})
    assert limited.execute("one", "1").result == 1
