#!/usr/bin/python3
"""Runs a command with a network that repeats all that it hears. Runs beside KVM.

usage: with_network.py COMMAND…

The command gets --net FD as its last flag, and the first frame before it has begun; each frame that it sends comes back.
The exit status is its own.
"""

import socket
import subprocess
import sys
import threading


def repeat(network):
    """Frames that cannot be sent at once are dropped, as in any network; an end that closes is the end."""
    while frame := network.recv(1 << 17):
        try:
            network.send(frame, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass


def main():
    guest, network = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    network.send(bytes(range(200)))
    command = subprocess.Popen([*sys.argv[1:], "--net", str(guest.fileno())], pass_fds=[guest.fileno()])
    guest.close()
    threading.Thread(target=repeat, args=[network], daemon=True).start()
    status = command.wait()
    sys.exit(status if status >= 0 else 128 - status)


main()
