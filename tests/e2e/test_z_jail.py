"""
VMMs that were taken over, with guests that run: the tests of tests/jail beside KVM, and a session next to one that attacks.
These start a service of their own in the place of the one that the other files share.
"""

import subprocess

import pytest

from service import MAX_SESSIONS, ROOT, RUNTIME, SESSION_MEMORY_MIB, Service

ATTACK = """
import sys
sys.path.insert(0, "tests/jail")
from taken_vmm import Gone, Orders
orders = Orders(sys.argv[1])
assert orders.call("getpid") == 1
try:
    orders.call("openat", -100, b"/etc/shadow", 0, 0)
except Gone:
    print("gone")
"""


@pytest.fixture(scope="module")
def place(host, service):
    """The host without the shared service."""
    subprocess.run(["make", "-s", "guests", "compromised", "build/hearth-vmm"], cwd=ROOT, check=True)
    service.stop()
    yield host
    service.start()


@pytest.fixture
def taken(place):
    """A service all of whose VMMs do what they are told."""
    service = Service(place)
    service.start("--vmm", "build/hearth-vmm-compromised", "--boot-always", "true", "--ready-sessions", "0",
                  "--session-memory-mib", str(SESSION_MEMORY_MIB), "--max-sessions", str(MAX_SESSIONS))
    yield service
    service.stop()


@pytest.mark.parametrize("file", ["test_taken_vmm", "test_siblings", "test_hearthd"])
def test_taken_vmms_are_held(place, file):
    output = place.run("/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/jail/{file}.py",
                       timeout=600)
    assert " passed" in output and "failed" not in output and "error" not in output and "skipped" not in output, output


def test_a_session_goes_on_while_its_neighbours_vmm_attacks(taken):
    client = taken.client()
    assert client.execute("victim", "x = 41\nx").result == 41
    assert client.execute("neighbour", "y = 6\ny").result == 6
    vm = client.session("victim")["vmId"]
    assert taken.host.run("/usr/bin/python3", "-c", ATTACK, f"{RUNTIME}/{vm}/vsock/sock.orders") == "gone\n"
    assert client.execute("neighbour", "y * 7").result == 42
    # The session whose VMM was taken is gone with it; its name begins anew.
    answer = client.execute("victim", "'x' in dir()")
    assert answer.result is False
    log = taken.log()
    assert f"vm={vm} lost: hearth-vmm broke its jail's rules" in log and "system call 257" in log
