"""
Things die at random moments while clients go on: microVMs, interpreters, networks, connections, hearthd itself. Whoever was hit is
told so in time, everybody else notices nothing, and afterwards nothing is left over. HEARTH_FAULT_ROUNDS=n makes more rounds
(`make test-faults`: 1,000).
"""

import os
import random
import secrets
import signal
import threading
import time

import pytest
import requests

from beside import Beside
from service import RUNTIME, Service

ROUNDS = int(os.environ.get("HEARTH_FAULT_ROUNDS") or 100)
OPTIONS = ("--session-memory-mib", "512", "--max-sessions", "8", "--ready-sessions", "2", "--min-cooldown-seconds", "1")
ANSWER_LIMIT_S = 30


@pytest.fixture(scope="module")
def robust(host, service):
    service.stop()
    robust = Service(host)
    robust.start(*OPTIONS)
    robust.client().wait_until_ready(1)
    made = robust.client().request("PUT", f"sessionPools/{NetworkedVictim.pool}", json={"properties": {
        "sessionNetworkConfiguration": {"status": "EgressEnabled"}, "resources": {"memory": "0.5Gi"},
        "scaleConfiguration": {"maxConcurrentSessions": 2, "readySessionInstances": 0}}})
    assert made.status_code in (200, 201), made.text
    robust.beside = Beside(host)
    yield robust
    robust.beside.close()
    robust.client().request("DELETE", f"sessionPools/{NetworkedVictim.pool}")
    robust.stop()
    service.start()


class Bystander(threading.Thread):
    """A client whose session nobody touches: each execution must see the state that the one before left."""

    def __init__(self, service):
        super().__init__(daemon=True)
        self.client = service.client()
        self.identifier = f"bystander-{secrets.token_hex(4)}"
        self.is_over = threading.Event()
        self.n, self.problem, self.slowest = 0, None, 0.0

    def run(self):
        while not self.is_over.is_set():
            began = time.monotonic()
            try:
                answer = self.client.execute(self.identifier, "n = globals().get('n', 0) + 1\nn", "python")
                if answer.result != self.n + 1:
                    self.problem = f"after {self.n} executions: {answer}"
            except (AssertionError, requests.RequestException) as error:
                self.problem = f"after {self.n} executions: {error}"
            if self.problem:
                return
            self.n += 1
            took = time.monotonic() - began
            self.slowest = max(self.slowest, took)
            time.sleep(max(0.1, 3 * took))  # the rounds need the lab's one CPU

    def end(self):
        self.is_over.set()
        self.join(60)
        assert not self.is_alive()
        self.client.end(self.identifier)


class Victim:
    """A session that is hit in the middle of something, again and again."""

    pool = "default"

    def __init__(self, service, chance):
        self.service, self.chance = service, chance
        self.client, self.identifier = service.client(self.pool), f"victim-{secrets.token_hex(4)}"

    def begin(self):
        assert self.client.execute(self.identifier, "x = 1").ok

    def pid(self):
        return self.service.beside.vmm_pid(RUNTIME, self.client.session(self.identifier)["vmId"])

    def signal(self, pid, number):
        assert self.service.beside.kill(pid, number), "there is no such process"

    def hit_while_running(self, code, hit):
        """The answer to the code, during which `hit` is called, at a random moment."""
        answers = []
        client = self.service.client(self.pool).connect()  # so that the code is there before the hit
        runner = threading.Thread(target=lambda: answers.append(client.execute(self.identifier, code)))
        runner.start()
        time.sleep(0.05 + self.chance.random() * 0.3)
        hit()
        runner.join(ANSWER_LIMIT_S)
        assert not runner.is_alive(), "the client still waits"
        assert answers, "the client got no answer"
        return answers[0]

    def vmm_is_killed(self):
        pid = self.pid()
        answer = self.hit_while_running("import time\ntime.sleep(20)", lambda: self.signal(pid, signal.SIGKILL))
        assert answer.status == "Failed" and "Execution aborted" in answer.stderr, answer
        # A fresh session; to write its first traceback would be most of a round's time.
        assert self.client.execute(self.identifier, "'x' in globals()").result is False

    def interpreter_is_killed(self):
        answer = self.client.execute(self.identifier, "import os\nos.kill(os.getpid(), 9)")
        assert answer.status == "Failed" and "Execution aborted" in answer.stderr, answer
        assert self.client.execute(self.identifier, "1 + 1").result == 2

    def client_goes(self):
        with pytest.raises(requests.RequestException):
            self.client.post("executions", {"code": "import time\nwhile True: time.sleep(0.01)"},
                             identifier=self.identifier, timeout=0.05 + self.chance.random() * 0.3)
        after = self.client.execute(self.identifier, "x")
        assert after.result == 1, after

    def vmm_is_stopped_for_a_while(self):
        pid = self.pid()

        def stop_and_go():
            self.signal(pid, signal.SIGSTOP)
            time.sleep(0.5)
            self.signal(pid, signal.SIGCONT)

        answer = self.hit_while_running("import time\ntime.sleep(0.3)\nx", stop_and_go)
        assert answer.result == 1, answer

    def session_is_ended(self):
        answer = self.hit_while_running("import time\ntime.sleep(20)", lambda: self.client.end(self.identifier))
        assert answer.status in ("Failed", "Canceled"), answer

    def end(self):
        """Of this session: the next is another one's."""
        self.client.end(self.identifier)
        self.identifier = f"victim-{secrets.token_hex(4)}"


class NetworkedVictim(Victim):
    """One with a network. That is not renewed: the session has to go on without it, and its end leaves nothing."""

    pool = "faults-online"

    def passt_is_killed(self):
        passt = self.service.beside.passt_pid(self.client.session(self.identifier)["vmId"])
        assert passt, "the session has no passt"
        code = "import time\ntime.sleep(0.4)\nx"
        answer = self.hit_while_running(code, lambda: self.signal(passt, signal.SIGKILL))
        assert answer.result == 1, answer
        assert self.client.execute(self.identifier, "import socket\nx + 1").result == 2
        self.end()


# The start of an interpreter takes long in the lab, so that its death is the rarest.
FAULTS = (8 * [Victim.vmm_is_killed] + [Victim.interpreter_is_killed] + 5 * [Victim.client_goes] +
          5 * [Victim.vmm_is_stopped_for_a_while] + 5 * [Victim.session_is_ended] + 2 * [NetworkedVictim.passt_is_killed])


def leftovers(service):
    """What is there more than the microVMs that hearthd knows of; None if nothing is."""
    vms = sum(pool["allocated"] - pool["suspended"] + pool["ready"] + pool["preparing"]
              for pool in service.client().all_health())
    there = service.beside.count(RUNTIME)
    n_cgroups = vms if there["cgroups"] is not None else None
    if there == {"processes": vms, "folders": vms, "cgroups": n_cgroups, "mounts": 0, "networks": 0}:
        return None
    return f"{vms} microVMs, and there are {there}"


def check_that_nothing_is_left(service):
    deadline = time.monotonic() + 20
    while (problem := leftovers(service)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not problem, problem


def test_who_is_hit_is_told_and_nobody_else_notices(robust):
    seed = int(os.environ.get("HEARTH_FAULT_SEED") or secrets.randbits(32))
    print(f"HEARTH_FAULT_SEED={seed}")
    chance = random.Random(seed)
    bystanders = [Bystander(robust) for _ in range(2)]
    for bystander in bystanders:
        bystander.start()
    victims, took = {kind.__name__: kind(robust, chance) for kind in (Victim, NetworkedVictim)}, {}
    try:
        for _ in range(ROUNDS):
            fault, began = chance.choice(FAULTS), time.monotonic()
            print(fault.__name__, flush=True)
            victim = victims[fault.__qualname__.partition(".")[0]]
            victim.begin()
            fault(victim)
            if chance.random() < 0.25:
                victim.end()
            check_that_nothing_is_left(robust)
            assert [b.problem for b in bystanders if b.problem] == []
            took.setdefault(fault.__name__, []).append(time.monotonic() - began)
        for victim in victims.values():
            victim.end()
    finally:
        for bystander in bystanders:
            bystander.end()
    assert [b.problem for b in bystanders if b.problem] == []
    for name, seconds in took.items():
        print(f"{name}: {len(seconds)} rounds, {sum(seconds) / len(seconds):.2f} s each, {max(seconds):.2f} s at most")
    print(f"{ROUNDS} rounds; bystanders: {[b.n for b in bystanders]} executions, "
          f"the slowest took {max(b.slowest for b in bystanders):.2f} s")


def test_hearthd_is_killed_again_and_again(robust):
    """Its sessions outlive it, and its next life takes them over."""
    names = [f"kept-{i}" for i in range(3)]
    client = robust.client()
    for i, name in enumerate(names):
        assert client.execute(name, f"x = {i}").ok
    for _ in range(max(2, ROUNDS // 50)):
        time.sleep(random.random())
        robust.kill()
        robust.start(*OPTIONS)
        client = robust.client()
        assert [client.execute(name, "x").result for name in names] == [0, 1, 2]
        check_that_nothing_is_left(robust)
    for name in names:
        client.end(name)
    check_that_nothing_is_left(robust)


def test_a_clock_that_is_set_back_ends_nobody(robust):
    if not robust.host.is_lab:
        pytest.skip("the clock of this machine is not the tests' to set")
    client = robust.client()
    assert client.execute("clock", "x = 1").ok
    before = client.session("clock")["expireAt"]
    robust.host.run("date", "-s", "-1 hour")
    try:
        assert client.execute("clock", "x").result == 1
        time.sleep(2)
        assert client.execute("clock", "x").result == 1
        assert client.session("clock")["expireAt"] < before
    finally:
        robust.host.run("date", "-s", "+1 hour")
    assert client.execute("clock", "x").result == 1
    assert client.end("clock").status_code == 204
    check_that_nothing_is_left(robust)
