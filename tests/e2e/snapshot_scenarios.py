#!/usr/bin/python3
"""Snapshots of real microVMs, one scenario a run: it prints what it found, or fails. Runs beside KVM.

usage: snapshot_scenarios.py SCENARIO FOLDER

FOLDER keeps the template that the scenarios share; the first one makes it.
"""

import os
import random
import shutil
import statistics
import sys
import threading
import time
import zlib

from microvm import IDENTITY_KEEP, PAUSE, RESUME, SNAPSHOT, Ended, Vm

FAILURE = 1


def make_template(folder, vcpus=1):
    """State, memory and working set of a settled guest."""
    names = [os.path.join(folder, f"{vcpus}.{kind}") for kind in ("state", "memory", "working-set")]
    if all(map(os.path.exists, names)):
        return names
    with Vm.boot(vcpus=vcpus) as vm:
        guest = vm.guest()
        guest.settle()
        guest.close()
        vm.wait_until_unconnected()
        for source, target in zip(vm.snapshot("template"), names):
            shutil.move(source, target)
    with Vm.restore(*names[:2], flags=["--record-working-set", names[2]]) as vm:
        guest = vm.guest()
        guest.adopt()
        assert guest.run("print(1)").stdout == b"1\n"
    return names


def clone(names, **options):
    state, memory, working_set = names
    return Vm.restore(state, memory, flags=["--working-set", working_set], **options)


def take(vm, name, folder):
    """A snapshot in FOLDER, of a VM without connections, which runs on after it."""
    vm.wait_until_unconnected()
    paths = [shutil.move(path, os.path.join(folder, f"{name}{os.path.splitext(path)[1]}")) for path in vm.snapshot(name)]
    vm.do(RESUME)
    return paths


def value(vm, code):
    guest = vm.guest()
    try:
        return guest.run(code).text
    finally:
        guest.close()


def clones(folder):
    """Clones run, have what the template had, and do not see each other."""
    names = make_template(folder)
    with clone(names) as one, clone(names) as two:
        for vm, name in (one, "one"), (two, "two"):
            guest = vm.guest()
            guest.adopt(name)
            guest.run(f"x = {name!r}; open('/mnt/data/file', 'w').write(x)")
            guest.close()
        assert value(one, "x + open('/mnt/data/file').read()") == "'oneone'"
        assert value(two, "x + open('/mnt/data/file').read()") == "'twotwo'"
        assert value(one, "open('/proc/sys/kernel/hostname').read()") == r"'one\n'"
        guest = one.guest()
        assert guest.run("const y = 41; y + 1", language=2).scalar == "42"
        guest.close()


def smp(folder):
    """A guest of four processors goes on on all of them."""
    names = make_template(folder, vcpus=4)
    with clone(names) as vm:
        assert vm.query()["vcpus"] == "4"
        guest = vm.guest()
        guest.adopt()
        code = ("import os, threading, time\n"
                "seen = {}\n"
                "def work(cpu):\n"
                "    os.sched_setaffinity(0, [cpu])\n"
                "    began = time.monotonic()\n"
                "    time.sleep(0.1)\n"
                "    seen[cpu] = 0.1 <= time.monotonic() - began < 5\n"
                "threads = [threading.Thread(target=work, args=[cpu]) for cpu in range(4)]\n"
                "[t.start() for t in threads]; [t.join() for t in threads]\n"
                "sorted(seen.items())")
        result = guest.run(code)
        assert result.text == "[(0, True), (1, True), (2, True), (3, True)]", result


def layers(folder):
    """A session that is saved again and again: each file has what is new, and the chain brings all of it back."""
    state, base, _ = make_template(folder)
    files, sizes = [base], []
    for round_ in range(1, 5):
        with Vm.restore(state, *files) as vm:
            guest = vm.guest()
            guest.adopt()
            guest.run("l = []" if round_ == 1 else "0")
            assert guest.run(f"l.append({round_}); l").text == repr(list(range(1, round_ + 1)))
            guest.close()
            state, layer = take(vm, f"layer{round_}", folder)
            files.append(layer)
            sizes.append(os.stat(layer).st_blocks // 2)
    base_kib = os.stat(base).st_blocks // 2
    print(f"base {base_kib} KiB, layers {sizes} KiB")
    assert max(sizes) < base_kib / 4
    with Vm.restore(state, *files) as vm:
        assert value(vm, "l") == "[1, 2, 3, 4]"
    refuse(state, files[:-1], "stands on 5 memory files, 4 were given")
    refuse(state, [files[0], files[2], files[1], *files[3:]], "does not belong at place 2")
    for path in files[1:]:
        os.unlink(path)


def refuse(state, files, words):
    """It ends before it runs, in order, and says why."""
    vm = Vm.restore(state, *files, resume=False)
    try:
        vm.query()
    except Ended as ended:
        assert words in str(ended), str(ended)
    else:
        raise AssertionError(f"not refused: {words}")
    finally:
        vm.close()
    assert vm.status == FAILURE, vm.status


def live(folder):
    """
    A snapshot with connections open: they end in the clone, and new ones work at once, in the clone and in the VM that
    was saved.
    """
    names = make_template(folder)
    with clone(names) as vm:
        guest = vm.guest()
        guest.adopt()
        guest.run("x = 7")
        paths = vm.snapshot("live")
        vm.do(RESUME)
        assert guest.run("x").text == "7"  # on the old connection
        with Vm.restore(paths[0], names[1], paths[1]) as copy:
            began = time.monotonic()
            other = copy.guest()
            assert other.run("x += 1; x").text == "8"
            print(f"first execution on a new connection after {1000 * (time.monotonic() - began):.0f} ms")
            other.close()
            copy.wait_until_unconnected()
        assert guest.run("x").text == "7"
        for path in paths:
            os.unlink(path)


def running(folder):
    """A snapshot while code runs: the clone's code was interrupted by the lost connection, its interpreter lives."""
    names = make_template(folder)
    with clone(names) as vm:
        guest = vm.guest()
        guest.adopt()
        guest.run("import time; n = 0")
        guest.start("while True: n += 1; time.sleep(0.001)")
        guest.frame()  # it has started
        time.sleep(2)
        paths = vm.snapshot("running")
        with Vm.restore(paths[0], names[1], paths[1]) as copy:
            assert int(value(copy, "n")) > 0
        for path in paths:
            os.unlink(path)


def clock(folder):
    """The clock is what the host says, and monotonic time goes on, however old the snapshot is."""
    names = make_template(folder)
    with clone(names) as vm:
        guest = vm.guest()
        guest.run("import time; m = time.monotonic()")
        day = 86400
        error = []
        for _ in range(3):
            guest.adopt(identity=IDENTITY_KEEP, ahead_s=day)
            sent = time.time() + day
            answer = guest.run("time.time(), time.monotonic() - m")
            now, passed = eval(answer.text)
            assert sent - 0.05 <= now <= time.time() + day + 0.05, (sent, now, time.time() + day)
            assert 0 <= passed < 60
            error.append(now - sent)
        print(f"clock read {statistics.median(error) * 1000:.0f} ms after it was set")


def damage(folder):
    """Damaged files end the VM in order, whatever is in them."""
    state, memory, _ = make_template(folder)
    broken = os.path.join(folder, "broken")
    with open(state, "rb") as file:
        whole = file.read()

    def write(data):
        with open(broken, "wb") as file:
            file.write(data)

    write(whole[:5000])
    refuse(broken, [memory], "truncated")
    write(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    refuse(broken, [memory], "its checksum is wrong")
    for version, words in (whole[8] + 1, "made by a newer hearth-vmm"), (whole[8] - 1, "made by an older hearth-vmm"):
        write(whole[:8] + bytes([version]) + whole[9:])
        refuse(broken, [memory], words)
    refuse(memory, [memory], "not a state file")
    refuse("/no/such/state", [memory], "cannot open it")
    refuse(state, [state], "truncated, or of a smaller guest")
    refuse(state, ["/no/such/memory"], "cannot be opened")
    # Right checksums, and anything in the sections. KVM may take it; then the guest may do anything but harm.
    source = random.Random(7)
    endings = {}
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(source.choice([1, 4, 40])):
            data[source.randrange(36, len(data))] = source.randrange(256)
        data[32:36] = zlib.crc32(bytes(data[36:])).to_bytes(4, "little")
        write(data)
        vm = Vm.restore(broken, memory, resume=False)
        try:
            vm.do(RESUME)
            time.sleep(0.05)
        except (Ended, AssertionError, OSError):
            pass
        vm.close()
        assert vm.status >= 0, f"hearth-vmm died of signal {-vm.status}\n{vm.log_text()}"
        endings[vm.status] = endings.get(vm.status, 0) + 1
    print(f"exit statuses of 40 damaged snapshots: {endings}")
    assert endings.get(FAILURE, 0) > 0
    os.unlink(broken)


def orders(folder):
    """What cannot be done is refused with a sentence, and the VM is none the worse for it."""
    names = make_template(folder)
    with clone(names) as vm:
        status, text = vm.order(SNAPSHOT)
        assert status and "two descriptors" in text, text
        with open("/dev/null", "wb") as null:
            status, text = vm.order(SNAPSHOT, [null.fileno(), null.fileno()])
            assert status and "the VM runs" in text, text
        vm.do(PAUSE)
        with open("/dev/null", "rb") as null:  # not writable
            status, text = vm.order(SNAPSHOT, [null.fileno(), null.fileno()])
            assert status and "cannot write" in text, text
        status, text = vm.order(1)  # boot
        assert status and "booted before" in text, text
        vm.do(RESUME)
        guest = vm.guest()
        guest.adopt()
        assert guest.run("1 + 1").text == "2"


def costs(folder):
    """What a clone costs, in counts that do not depend on the machine's speed. A second one shares what can be shared."""
    names = make_template(folder)
    with clone(names, resume=False), clone(names, resume=False) as vm:
        restored = vm.query()
        vm.do(RESUME)
        guest = vm.guest()
        guest.adopt()
        vm.do(PAUSE)
        ready, ready_kib = vm.query(), vm.private_kib()
        vm.do(RESUME)
        guest.run("print(1)")
        vm.do(PAUSE)
        used, used_kib = vm.query(), vm.private_kib()
    print(f"restored: {restored}\nready: {ready}, private KiB of guest and VMM {ready_kib}\nused: {used}, {used_kib}")
    assert int(restored["ioctls"]) <= 60
    assert int(ready["exits"]) <= 400 and int(ready["faults"]) - int(restored["faults"]) <= 200
    assert int(used["exits"]) - int(ready["exits"]) <= 1500 and int(used["faults"]) - int(ready["faults"]) <= 500
    assert sum(ready_kib) <= 2048, ready_kib
    assert sum(used_kib) <= 16384, used_kib


def parallel(folder):
    """Many at a time."""
    names = make_template(folder)
    found, failures = [], []

    def work(number):
        try:
            with clone(names) as vm:
                guest = vm.guest()
                guest.adopt(f"clone-{number}")
                answer = guest.run("import uuid, random; f'{uuid.uuid4()} {random.random()}'", timeout=100)
                assert answer.text, answer
                found.append(answer.text)
                guest.close()
        except BaseException as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=work, args=[number]) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert len(set(found)) == 12, found


if __name__ == "__main__":
    os.makedirs(sys.argv[2], exist_ok=True)
    {f.__name__: f for f in (clones, smp, layers, live, running, clock, damage, orders, costs, parallel)}[sys.argv[1]](sys.argv[2])
