"""The host's side of the agent's protocol (common/agent_protocol.h), as much of it as running code needs.

For the peers that boot the same guest without hearthd: they are measured to the same result, by the same protocol.
"""

import socket
import struct
import time

AGENT_PORT, READY_PORT = 1024, 1025
HOST_CID = 2
PYTHON = 1
EXECUTE = 1
READY, STARTED, STDOUT, DONE = 16, 17, 18, 22
OUTCOME_OK = 0
BODY_MAX = 1 << 20
# What a restored guest missed is not sent again: Linux gives up after two seconds. Asking anew is quicker.
CONNECT_TIMEOUT_S = 0.1


class GuestError(Exception):
    pass


def receive_exactly(stream, size):
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise GuestError("the guest closed its connection")
        data += part
    return data


def receive_frame(stream):
    length, kind, _, _ = struct.unpack("<IHHQ", receive_exactly(stream, 16))
    if length > BODY_MAX:
        raise GuestError(f"a frame of {length} bytes")
    return kind, receive_exactly(stream, length)


class ReadyListener:
    """Where guests say that their agent listens. Only one can have the port: one guest of this kind at a time."""

    def __init__(self, timeout):
        self.socket = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        self.socket.bind((socket.VMADDR_CID_ANY, READY_PORT))
        self.socket.listen()
        self.socket.settimeout(timeout)

    def wait(self):
        """Waits for AGENT_READY; microseconds from the kernel's start to the agent's begin and to its listening."""
        try:
            connection, _ = self.socket.accept()
        except socket.timeout as error:
            raise GuestError("the guest's agent did not say that it is ready") from error
        with connection:
            connection.settimeout(self.socket.gettimeout())
            kind, body = receive_frame(connection)
        if kind != READY or len(body) < 20:
            raise GuestError(f"a frame of type {kind} instead of AGENT_READY")
        return struct.unpack_from("<QQ", body, 4)

    def close(self):
        self.socket.close()


def connect(cid, timeout):
    """A connection to the agent in the guest with this CID. A guest that has just been restored may need a moment."""
    deadline = time.monotonic() + timeout
    while True:
        stream = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        try:
            stream.settimeout(CONNECT_TIMEOUT_S)
            stream.connect((cid, AGENT_PORT))
            stream.settimeout(timeout)
            return stream
        except OSError as error:
            stream.close()
            if time.monotonic() > deadline:
                raise GuestError(f"cannot connect to the agent: {error}") from error
            time.sleep(0.002)


def print_one(stream):
    """Runs print(1) and checks what it printed; the milliseconds that it waited for its interpreter to be warm."""
    code = b"print(1)"
    body = struct.pack("<BBHIQ", PYTHON, 0, 0, 60000, 1 << 20) + code
    stream.sendall(struct.pack("<IHHQ", len(body), EXECUTE, 0, 1) + body)
    output, waited_us = b"", 0
    while True:
        kind, body = receive_frame(stream)
        if kind == STARTED:
            (waited_us,) = struct.unpack("<Q", body)
        elif kind == STDOUT:
            output += body
        elif kind == DONE:
            if body[0] != OUTCOME_OK or output != b"1\n":
                raise GuestError(f"print(1) printed {output[:100]!r}, outcome {body[0]}")
            return waited_us / 1000
