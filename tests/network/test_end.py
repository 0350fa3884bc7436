"""Nothing is left, whoever ends first."""

import os
import select
import signal
import struct
import time

import pytest

from lab import SERVER
from test_exfiltration import ACK, FIN, SYN, ethernet, ip, segment
from test_reach import echo, tcp


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def assert_gone(netd, pids):
    assert netd.wait_for(lambda: all(is_gone(pid) for pid in pids)), [pid for pid in pids if not is_gone(pid)]


def test_the_vmm_ends(lab, connect):
    netd = connect()
    pids = netd.pids()
    connection = tcp(lab, SERVER)
    netd.unplug()
    assert netd.process.wait(5) == 0
    assert_gone(netd, pids)
    netd.wait_for_log(protocol="tcp", port=7, verdict="allowed")  # what was open is in the log
    connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_netd_is_killed(lab, connect, number):
    netd = connect()
    pids = netd.pids()
    assert echo(lab, SERVER) == b"hello"
    os.kill(pids[0], number)
    netd.process.wait(5)
    assert_gone(netd, pids)


def test_passt_is_killed(lab, connect):
    netd = connect()
    pids = netd.pids()
    assert echo(lab, SERVER) == b"hello"
    os.kill(pids[1], signal.SIGKILL)
    assert netd.process.wait(5) == 3
    assert_gone(netd, pids)
    assert "passt has ended" in netd.messages()
    netd.wait_for_log(protocol="network", reason="passt-ended")


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)


def test_its_jail(connect):
    """What /proc says of both: no rights, a filter, no files, nobody else's user."""
    netd = connect()
    for pid in netd.pids():
        # passt may still be at its start.
        assert netd.wait_for(lambda: (status := status_of(pid)) and int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0 and
                             status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"), status_of(pid)
        assert os.listdir(f"/proc/{pid}/root/") == []


def sockets_of(pid):
    return sum(os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket") for fd in os.listdir(f"/proc/{pid}/fd"))


def receive_flags(netd, flags):
    """The sequence number behind the next segment that has all of them."""
    deadline = time.monotonic() + 5
    while select.select([netd.vmm], [], [], max(0, deadline - time.monotonic()))[0]:
        frame = netd.vmm.recv(65536)
        if frame[12:14] == b"\x08\0" and frame[23] == 6 and frame[47] & flags == flags:
            return struct.unpack_from(">I", frame, 38)[0] + 1
    raise AssertionError(netd.log())


def test_an_end_that_passt_does_not_see(connect):
    """A guest's FIN with an old number is none for passt: what the gate forgets must not stay open there."""
    netd = connect()
    netd.detach()
    passt = netd.pids()[1]
    before = sockets_of(passt)
    for port in range(20000, 20100):
        send = lambda flags, *numbers: netd.inject(ethernet(ip(segment(flags, 53, port, *numbers), 6)))  # noqa: B023, E731
        send(SYN, 1000)
        answer = receive_flags(netd, SYN | ACK)
        send(ACK, 1001, answer)
        answer = receive_flags(netd, FIN)  # nobody serves names by TCP
        send(ACK, 1001, answer)
        send(ACK | FIN, 1000, answer)
    assert sockets_of(passt) > before + 50, "some were there in advance"
    assert netd.wait_for(lambda: sockets_of(passt) <= before, 15), (before, sockets_of(passt))
    assert len([line for line in netd.log() if line["verdict"] == "allowed"]) == 100
