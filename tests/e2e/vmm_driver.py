#!/usr/bin/python3
"""Plays hearthd's part towards one hearth-vmm: starts it with a control socket, gives orders, prints what comes back.

usage: vmm_driver.py ACTION… -- HEARTH-VMM FLAG…

Actions, in order: boot, pause, resume, stop, snapshot (without its descriptors), query, order:N (any number), short (a
packet too short for an order), close (the connection to the control socket), connect (again), term (SIGTERM), sleep:SECONDS, console (how many bytes the file after --console has), cpu (ticks that the
process has used), memory (KiB: own, guest). Prints one JSON object a line, and at last the exit status.
"""

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ORDERS = {"boot": 1, "pause": 2, "resume": 3, "stop": 4, "snapshot": 5, "query": 6}
ENDED = 33
LIMIT_S = 60


class Control:
    """The connection to the control socket; can be closed and made again, as by a hearthd that is restarted."""

    def __init__(self, path):
        self.path = path
        self.connect()

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(self.path)


def say(**values):
    print(json.dumps(values), flush=True)


def receive(control):
    """One message, said aloud; None if the other end has closed."""
    if not select.select([control.socket], [], [], LIMIT_S)[0]:
        say(event="no answer")
        return None
    packet = control.socket.recv(4096)
    if not packet:
        return None
    kind, status, sequence, time_us = struct.unpack("<HHIQ", packet[:16])
    say(event="ended" if kind == ENDED else "answer", status=status, sequence=sequence, time_us=time_us,
        text=packet[16:].decode())
    return kind


def memory(pid):
    """RSS in KiB of all mappings but the guest's RAM, which is the one above 64 MiB that is not reserved only."""
    own = guest = size = 0
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            words = line.split()
            if words[0] == "Size:":
                size = int(words[1])
            elif words[0] == "Rss:" and size > 65536:
                guest += int(words[1])
            elif words[0] == "Rss:":
                own += int(words[1])
    say(event="memory", own_kib=own, guest_kib=guest)


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def act(action, sequence, control, vmm, flags):
    name, _, value = action.partition(":")
    if name in ORDERS or name == "order":
        control.socket.send(struct.pack("<HHIQ", ORDERS.get(name) or int(value), 0, sequence, 0))
        receive(control)
    elif name == "short":
        control.socket.send(b"\1\0")
        receive(control)
    elif name == "close":
        control.socket.close()
    elif name == "connect":
        control.connect()
    elif name == "term":
        vmm.send_signal(signal.SIGTERM)
        receive(control)
    elif name == "sleep":
        time.sleep(float(value))
    elif name == "console":
        say(event="console", bytes=os.path.getsize(flags[flags.index("--console") + 1]))
    elif name == "cpu":
        say(event="cpu", ticks=cpu_ticks(vmm.pid))
    elif name == "memory":
        memory(vmm.pid)
    elif name == "wait":
        while receive(control) not in (None, ENDED):
            pass
    else:
        raise SystemExit(f"no such action: {action}")


def main():
    split = sys.argv.index("--")
    actions, command = sys.argv[1:split], sys.argv[split + 1:]
    folder = tempfile.mkdtemp(prefix="hearth-test-")
    path = os.path.join(folder, "control.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(1)
    vmm = subprocess.Popen([*command, "--control", str(listener.fileno())], pass_fds=[listener.fileno()])
    listener.close()
    control = Control(path)
    try:
        for sequence, action in enumerate(actions, 1):
            act(action, sequence, control, vmm, command)
        say(event="exit", status=vmm.wait(LIMIT_S))
    finally:
        vmm.kill()
        vmm.wait()
        shutil.rmtree(folder)


main()
