#!/usr/bin/python3
"""An internet of its own for sessions: a network namespace with servers. Runs beside hearthd, as root; SIGTERM ends it.

usage: network_peer.py READY-FILE

ALLOWED and OTHER serve HTTP (port 80) and echo UDP (port 7); ALLOWED answers questions for names below hearth.test
(port 53), and is this machine's resolver as long as this runs. READY-FILE has its process ID
when all that is so.
"""

import ctypes
import http.server
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading

HOST, ALLOWED, OTHER = "198.18.7.1", "198.18.7.2", "198.18.8.2"
CLONE_NEWNET = 0x40000000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"hello from outside"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def echo(address):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 7))
    while True:
        data, peer = server.recvfrom(4096)
        server.sendto(data, peer)


def resolve():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((ALLOWED, 53))
    while True:
        question, peer = server.recvfrom(4096)
        end = question.index(b"\0", 12) + 5
        is_known = question[12:end].lower().endswith(b"\6hearth\4test\0\0\1\0\1")
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(ALLOWED) if is_known else b""
        flags = b"\x81\x80" if is_known else b"\x81\x83"
        server.sendto(question[:2] + flags + b"\0\1\0" + bytes([is_known]) + b"\0\0\0\0" + question[12:end] + answer, peer)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def serve(go, done):
    """In the child: the namespace, then its cable, then its servers."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    os.write(done, b"1")
    os.read(go, 1)
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{ALLOWED}/24", "dev", "hearth-peer")
    ip("address", "add", f"{OTHER}/32", "dev", "lo")
    ip("link", "set", "hearth-peer", "up")
    for address in ALLOWED, OTHER:
        server = http.server.ThreadingHTTPServer((address, 80), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=echo, args=[address], daemon=True).start()
    threading.Thread(target=resolve, daemon=True).start()
    os.write(done, b"2")
    signal.pause()


def main():
    child_go, go = os.pipe()
    done, child_done = os.pipe()
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        serve(child_go, child_done)
    os.close(child_done)
    assert os.read(done, 1) == b"1"
    ip("link", "add", "hearth-host", "type", "veth", "peer", "name", "hearth-peer", "netns", str(child))
    ip("address", "add", f"{HOST}/24", "dev", "hearth-host")
    ip("link", "set", "hearth-host", "up")
    os.write(go, b"1")
    assert os.read(done, 1) == b"2"
    ip("route", "add", f"{OTHER}/32", "via", ALLOWED)
    with tempfile.NamedTemporaryFile("w", prefix="hearth-resolv-") as resolvers:
        resolvers.write(f"nameserver {ALLOWED}\n")
        resolvers.flush()
        subprocess.run(["mount", "--bind", resolvers.name, "/etc/resolv.conf"], check=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            with open(sys.argv[1], "w") as ready:
                ready.write(str(os.getpid()))
            signal.pause()
        finally:
            subprocess.run(["umount", "/etc/resolv.conf"], check=True)
            os.kill(child, signal.SIGKILL)
            subprocess.run(["ip", "link", "delete", "hearth-host"], check=False)


main()
