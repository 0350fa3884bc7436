"""
One thing at a time is taken from a running hearthd: its template is damaged, its disk fills up, a microVM's memory or time
is gone. Whoever was hit is told so, everybody else goes on, and nothing is left over. What needs no microVM is in
tests/service/test_faults.py, random moments are in test_z_faults.py.
"""

import threading
import time

import pytest
import requests

from beside import Beside
from service import Service
from test_z_faults import check_that_nothing_is_left

TEMPLATES = "/tmp/hearth-e2e-small"
LAB_TEMPLATES = "/run/hearth-templates"  # of scripts/serve
PYTHON = 1  # enum agent_language
OPTIONS = ("--session-memory-mib", "512", "--max-sessions", "6", "--ready-sessions", "0",
           "--min-cooldown-seconds", "1", "--template-dir", TEMPLATES)


def wait_for_template(service):
    """It is built when a session wants it first."""
    client = service.client()
    deadline = time.monotonic() + 240
    while client.health()["template"] != "ready":
        if client.health()["template"] == "absent":
            assert client.execute("wanting", "1").ok
            client.end("wanting")
        assert time.monotonic() < deadline, client.health()
        time.sleep(0.5)


def template_of(service, identifier):
    """The folder of the template that the session came from, among those of other shapes."""
    [pid] = service.session_vmm_pids(service.client(), identifier)
    return service.host.shell(f"for memory in {TEMPLATES}/*/memory; do for mapped in /proc/{pid}/map_files/*; do "
                              "[ $mapped -ef $memory ] && dirname $memory && exit; done; done").strip()


@pytest.fixture(scope="module")
def alone(host, service):
    """hearthd with its snapshots on a file system of their own, and a session whose state must last."""
    if not host.is_lab:
        pytest.skip("mounts a small file system, and writes in control groups")
    service.stop()
    host.shell(f"mkdir -p {TEMPLATES} && mount -t tmpfs -o size=900m none {TEMPLATES}")
    # That of the tests before is the same, which saves building one; else it is built. Those of others take room.
    host.shell(f"cd {LAB_TEMPLATES} && for key in $(ls | grep -xE '[0-9a-f]{{32}}'); do "
               f"grep -qx language={PYTHON} $key/inputs && ! grep -qE '^network=1|^container_' $key/inputs && "
               f"cp -a $key {TEMPLATES}; done")
    alone = Service(host)
    alone.start(*OPTIONS)
    wait_for_template(alone)
    assert alone.client().execute("other", "n = 0").ok
    alone.n = 0
    alone.template = template_of(alone, "other")
    alone.beside = Beside(host)
    yield alone
    alone.beside.close()
    alone.stop()
    left = host.shell(f"ls {TEMPLATES}/instance-* 2>/dev/null; umount {TEMPLATES}; rmdir {TEMPLATES}")
    service.start()
    assert left == "", left


@pytest.fixture
def alone_and_well(alone):
    yield alone
    alone.n += 1
    answer = alone.client().execute("other", "n += 1\nn")
    assert answer.result == alone.n, answer
    check_that_nothing_is_left(alone)


def log_mark(service):
    return len(service.log().encode())


def change_template(service, name, script):
    """Puts a changed copy, $new, in the place of one of its files; who has the old one mapped keeps it."""
    service.host.shell(f"set -e; cd {service.template}; new={name}.new; cp {name} $new; {script}; "
                       f"mv $new {name}")


def begin(service, identifier, code, **options):
    """Runs code meanwhile. What it returns waits so many seconds for the answer."""
    answers = []
    runner = threading.Thread(target=lambda: answers.append(service.client().execute(identifier, code, **options)))
    runner.start()

    def wait(seconds):
        runner.join(seconds)
        assert answers, "the client got no answer"
        return answers[0]

    return wait


FLIP = r"byte=$(od -An -tu1 -j {at} -N1 $new | tr -d ' '); printf \\$(printf %03o $((byte ^ 1))) | dd of=$new bs=1 seek={at} conv=notrunc status=none"


def test_a_flipped_byte_of_memory_is_its_guests_loss_alone(alone_and_well):
    client = alone_and_well.client()
    change_template(alone_and_well, "memory", FLIP.format(at=200 << 20))
    response = client.post("executions", {"code": "1 + 1"}, identifier="flipped", timeout=120)
    assert response.status_code in (200, 500), response.text
    print("one byte of the template's memory was flipped:", response.text)
    client.end("flipped")
    change_template(alone_and_well, "memory", FLIP.format(at=200 << 20))


def test_the_agent_is_killed(alone_and_well):
    service, client = alone_and_well, alone_and_well.client()
    assert client.execute("orphan", "x = 1").ok
    [pid] = service.session_vmm_pids(client, "orphan")
    answer_within = begin(service, "orphan", "import time\nwhile True: print(1); time.sleep(0.1)", timeout=120)
    time.sleep(0.5)
    assert "pages" in service.host.run("tests/e2e/kill_agent.py", str(pid))
    began = time.monotonic()
    answer = answer_within(60)
    assert answer.status == "Failed", answer
    assert "Execution aborted: the guest's kernel panicked, it says: " in answer.stderr, answer
    assert "Attempted to kill init" in answer.stderr, answer
    print(f"the agent was killed: {time.monotonic() - began:.1f} s later: {answer.stderr}")
    assert client.execute("orphan", "'x' in globals()").result is False
    client.end("orphan")


def test_a_microvm_that_stands_still_for_ten_seconds(alone_and_well):
    service, client = alone_and_well, alone_and_well.client()
    assert client.execute("still", "x = 1").ok
    [pid] = service.session_vmm_pids(client, "still")
    answer_within = begin(service, "still", "import time\ntime.sleep(1)\nx", timeout=30)
    time.sleep(0.5)
    began = time.monotonic()
    service.host.run("kill", "-STOP", str(pid))
    assert client.execute("other", "n").result == service.n
    time.sleep(10)
    service.host.run("kill", "-CONT", str(pid))
    answer = answer_within(30)
    assert answer.result == 1, answer
    assert time.monotonic() - began < 25
    client.end("still")


def test_a_microvm_that_stands_still_beyond_its_executions_time(alone_and_well):
    service, client = alone_and_well, alone_and_well.client()
    assert client.execute("stuck", "x = 1").ok
    [pid] = service.session_vmm_pids(client, "stuck")
    service.host.run("kill", "-STOP", str(pid))
    began = time.monotonic()
    answer = client.execute("stuck", "x", timeout=5)
    assert answer.status == "Failed" and "Execution aborted" in answer.stderr, answer
    print(f"the answer came after {time.monotonic() - began:.1f} s: {answer.stderr!r}")
    assert client.execute("stuck", "'x' in globals()").result is False, "it is a fresh session"
    client.end("stuck")


def test_a_microvm_out_of_memory(alone_and_well):
    """Of its control group, which holds more than the guest's; here it is made smaller than what it has."""
    service, client = alone_and_well, alone_and_well.client()
    assert client.execute("large", "x = 1").ok
    vm = client.session("large")["vmId"]
    group = service.host.shell(f"find /sys/fs/cgroup -type d -name {vm}").split()
    if not group:
        pytest.skip("there are no control groups")
    answer_within = begin(service, "large", "import time\ntime.sleep(3)\nx = bytearray(64 << 20)\ntime.sleep(20)")
    time.sleep(1)
    service.host.shell(f"for g in {' '.join(group)}; do [ -e $g/memory.max ] && echo 8M >$g/memory.max; done; true")
    answer = answer_within(30)
    assert answer.status == "Failed" and "hearth-vmm was killed by signal 9" in answer.stderr, answer
    client.end("large")


def test_hearthd_out_of_memory(alone_and_well):
    """Of a control group of its own, where the kernel kills it at its next page; its sessions live on for the next one."""
    service, client = alone_and_well, alone_and_well.client()
    group = "/sys/fs/cgroup/hearth-e2e-no-memory"
    if "memory" not in service.host.shell("cat /sys/fs/cgroup/cgroup.subtree_control"):
        pytest.skip("there are no control groups of memory")
    service.host.shell(f"mkdir {group} && echo {service.hearthd_pid()} >{group}/cgroup.procs && echo 0 >{group}/memory.max")
    began = time.monotonic()
    with pytest.raises(requests.RequestException) as told:
        for n in range(100):
            client.execute("other", f"{'#' * (n << 16)}\nn")
    print(f"told after {time.monotonic() - began:.1f} s: {told.value}")
    service.process.wait(60)
    service.process = None
    events = service.host.shell(f"cat {group}/memory.events; rmdir {group}")
    assert "oom_kill 1" in events, events
    service.start(*OPTIONS)


def test_a_full_disk_refuses_what_must_be_saved(alone_and_well):
    service, client = alone_and_well, alone_and_well.client()
    assert client.execute("saved", "x = 41; big = bytearray(range(256)) * (1 << 17)").ok
    # In a tmpfs even a page that was never written needs room when a guest first reads it: a little is left for these.
    service.host.shell(f"free=$(df -m --output=avail {TEMPLATES} | tail -1); fallocate -l $((free - 16))M {TEMPLATES}/ballast")
    response = client.post("session/suspend", {}, identifier="saved")
    assert response.status_code == 500 and "No space left" in response.text, (response.status_code, response.text)
    assert client.execute("saved", "x + 1").result == 42
    assert client.execute("new", "1 + 1").result == 2, "sessions start from the template that is there"
    client.end("new")
    service.host.shell(f"rm {TEMPLATES}/ballast")
    assert client.post("session/suspend", {}, identifier="saved").status_code == 200
    assert client.execute("saved", "x + 1").result == 42
    client.end("saved")


def test_a_truncated_template_costs_time_alone(alone_and_well):
    service, client = alone_and_well, alone_and_well.client()
    mark = log_mark(service)
    change_template(service, "memory", "cp -l memory kept; truncate -s -4096 $new")
    assert client.execute("short", "6 * 7").result == 42
    client.end("short")
    log = service.log(mark)
    assert "is booted instead of restored" in log and "truncated, or of a smaller guest" in log, log
    change_template(service, "memory", "mv kept $new")
    assert client.execute("whole", "1 + 1").result == 2
    client.end("whole")
    assert "source=restore" in service.log(mark + len(log.encode()))


def test_a_template_that_fails_again_and_again_is_built_anew(alone_and_well):
    """Even one that worked before: three times in a row is no accident of the host's."""
    service, client = alone_and_well, alone_and_well.client()
    mark = log_mark(service)
    change_template(service, "state", FLIP.format(at=1000))
    for i in range(3):
        assert client.execute(f"damaged-{i}", "6 * 7").result == 42
        client.end(f"damaged-{i}")
    log = service.log(mark)
    assert "its checksum is wrong" in log and "cannot be restored and is built anew" in log, log
    wait_for_template(service)
    assert client.execute("anew", "1 + 1").result == 2
    client.end("anew")
    assert "source=restore pool=default identifier=anew" in service.log(mark)
