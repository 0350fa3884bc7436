"""Bytes a second between a session with a network and a server outside, beside the same passt without a VM.

The server is in a network namespace of its own. `pasta` is passt under another name: it does for a process of this machine
what passt does for a guest.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

import measure
import rest
from workloads import common

POOL = "bench-network"
NAMESPACE, HOST, SERVER, PORT = "hearth-bench", "198.18.9.1", "198.18.9.2", 5001
MIB = 32
RUNS = 3
SERVE = """
import socket, threading
def serve(peer):
    with peer:
        way = peer.recv(1)
        if way == b'd':
            for _ in range(%d): peer.sendall(b'x' * (1 << 20))
        else:
            left = %d << 20
            while left: left -= len(peer.recv(min(left, 1 << 20)))
            peer.sendall(b'.')
listener = socket.create_server(('%s', %d))
print('up', flush=True)
while True: threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
""" % (MIB, MIB, SERVER, PORT)
# Seconds for MIB mebibytes there and back; the same code inside the session and beside it.
CODE = """
import socket, time
def once(way):
    with socket.create_connection(('%s', %d), 30) as s:
        s.settimeout(60)
        began, left = time.monotonic(), %d << 20
        s.sendall(way)
        if way == b'd':
            while left: left -= len(s.recv(min(left, 1 << 20)))
        else:
            for _ in range(%d): s.sendall(b'x' * (1 << 20))
            s.recv(1)
        return time.monotonic() - began
print(*(once(way) for way in (b'd', b'u') for _ in range(%d)))
""" % (SERVER, PORT, MIB, MIB, RUNS)


def ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Server:
    def __enter__(self):
        ip("netns", "add", NAMESPACE)
        ip("link", "add", "hearth-bench", "type", "veth", "peer", "name", "peer", "netns", NAMESPACE)
        ip("address", "add", f"{HOST}/24", "dev", "hearth-bench")
        ip("link", "set", "hearth-bench", "up")
        for words in (("address", "add", f"{SERVER}/24", "dev", "peer"), ("link", "set", "peer", "up")):
            ip("-n", NAMESPACE, *words)
        self.process = subprocess.Popen(["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", SERVE],
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.process.stdout.readline()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        ip("link", "delete", "hearth-bench")
        ip("netns", "delete", NAMESPACE)


def tell(say, where, output):
    seconds = [float(word) for word in output.split()]
    for name, part in ("download", seconds[:RUNS]), ("upload", seconds[RUNS:]):
        say(number=f"{where}_{name}_mib_per_second", value=measure.per_second(MIB, measure.median(part)))


def by_pasta(passt):
    """passt goes by the name under which it was started."""
    folder = tempfile.mkdtemp()
    try:
        os.symlink(os.path.realpath(passt), os.path.join(folder, "pasta"))
        return subprocess.run([os.path.join(folder, "pasta"), "--quiet", "--runas", "0", "--config-net", "--", sys.executable, "-c", CODE],
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=True).stdout
    finally:
        shutil.rmtree(folder)


def by_session(settings):
    api, identifier = common.client(settings), common.new_identifier()
    network = {"status": "EgressEnabled", "egressPolicy": {"defaultAction": "Deny", "allow": [f"{SERVER}/32"]}}
    made = api.request("PUT", f"sessionPools/{POOL}", {"properties": {
        "sessionNetworkConfiguration": network, "scaleConfiguration": {"maxConcurrentSessions": 2,
                                                                       "readySessionInstances": 0}}})
    if made.status not in (200, 201):
        raise rest.RestError(f"no pool with a network: {made.body[:300].decode(errors='replace')}")
    try:
        answer = api.request("POST", f"sessionPools/{POOL}/executions", {"code": CODE, "timeoutInSeconds": 120},
                             identifier=identifier)
        result = answer.json()["result"]
        if not result["stdout"]:
            raise rest.RestError(f"the session reached nothing: {result['stderr'][-300:]}")
        return result["stdout"]
    finally:
        api.request("DELETE", f"sessionPools/{POOL}")
        api.close()


def network(settings, say):
    with Server():
        tell(say, "session", by_session(settings))
        tell(say, "pasta", by_pasta(settings["passt"]))
    time.sleep(1)  # until hearthd has cleared away
