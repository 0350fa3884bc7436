"""A running hearth-agent on this machine, and a client of its protocol (common/agent_protocol.h)."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time

PYTHON, NODE, SHELL = 1, 2, 3
OK, ERROR, TIMEOUT, INTERRUPTED, LOST, REFUSED = range(6)
EXECUTE, INTERRUPT, SETTLE, ADOPT, FILE_LIST = 1, 2, 3, 4, 5
OFFER_TOKENS = 12
LIMIT = 14
READY, STARTED, STDOUT, STDERR, DISPLAY, RESULT, DONE, SETTLED, ADOPTED = range(16, 25)

FRESH, NO_TRACE, ERROR_DATA = 1, 2, 4

SCALAR = "application/vnd.hearth.scalar+json"
ERROR_TYPE = "application/vnd.hearth.error+json"
TABLE = "application/vnd.dataresource+json"
TIMEOUT_SENTENCE = "Request timed out waiting for code execution to complete"


def parse_bundle(body):
    (count,) = struct.unpack_from("<H", body)
    at, bundle = 2, {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", body, at)
        name = body[at + 2:at + 2 + length].decode("ascii")
        at += 2 + length
        (length,) = struct.unpack_from("<I", body, at)
        bundle[name] = body[at + 4:at + 4 + length]
        at += 4 + length
    assert at == len(body)
    return bundle


def shell_code(command, stdin=b""):
    """The code of an AGENT_EXECUTE in SHELL: a text for bash -lc, or a list of a program and its arguments."""
    texts = [command] if isinstance(command, (str, bytes)) else command
    texts = [text.encode() if isinstance(text, str) else text for text in texts]
    stdin = stdin.encode() if isinstance(stdin, str) else stdin
    form = 1 if isinstance(command, (str, bytes)) else 2
    return struct.pack("<BxxxI", form, len(stdin)) + stdin + b"".join(text + b"\0" for text in texts)


class Outcome:
    """All that came for one execution."""

    def __init__(self):
        self.stdout = self.stderr = b""
        self.displays = []
        self.result = self.wait_us = self.outcome = None
        self.chunks = []  # (seconds since the request, type, bytes)

    @property
    def text(self):
        return self.result and self.result["text/plain"].decode()

    @property
    def scalar(self):
        return self.result and self.result.get(SCALAR, b"").decode()

    def __repr__(self):
        return (f"<outcome {self.outcome} lost={self.state_lost} {self.sentence!r} stdout={self.stdout[-500:]!r} "
                f"stderr={self.stderr[-1500:]!r} result={self.result}>")


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        # The agent accepts one at a time, and keeps few waiting.
        for _ in range(100):
            with contextlib.suppress(BlockingIOError):
                self.socket.connect(path)
                break
            time.sleep(0.05)
        self.request = 0

    def close(self):
        self.socket.close()

    def send_frame(self, kind, request, body=b"", length=None, flags=0):
        length = len(body) if length is None else length
        self.socket.sendall(struct.pack("<IHHQ", length, kind, flags, request) + body)

    def start(self, code, language=PYTHON, timeout=20, limit=1 << 20, flags=0):
        self.request += 1
        code = code.encode() if isinstance(code, str) else code
        self.send_frame(EXECUTE, self.request,
                        struct.pack("<BBHIQ", language, flags, 0, int(timeout * 1000), limit) + code)
        return self.request

    def interrupt(self, request=None):
        self.send_frame(INTERRUPT, request or self.request)

    def adopt(self):
        self.send_frame(ADOPT, 9, struct.pack("<QB7x", time.time_ns(), 1) + os.urandom(64) + b"hearth-1")
        assert self.frame() == (ADOPTED, 9, b"")

    def receive_exactly(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def frame(self):
        length, kind, flags, request = struct.unpack("<IHHQ", self.receive_exactly(16))
        assert flags == 0
        return kind, request, self.receive_exactly(length)

    def finish(self, request=None):
        """Everything up to AGENT_DONE."""
        request = request or self.request
        outcome = Outcome()
        began = time.monotonic()
        while True:
            kind, about, body = self.frame()
            assert about == request
            outcome.chunks.append((time.monotonic() - began, kind, body))
            if kind == STARTED:
                (outcome.wait_us,) = struct.unpack("<Q", body)
            elif kind == STDOUT:
                outcome.stdout += body
            elif kind == STDERR:
                outcome.stderr += body
            elif kind == DISPLAY:
                outcome.displays.append(parse_bundle(body))
            elif kind == RESULT:
                assert outcome.result is None
                outcome.result = parse_bundle(body)
            else:
                assert kind == DONE
                (outcome.outcome, outcome.state_lost, outcome.status, outcome.ran_us, outcome.stdout_cut,
                 outcome.stderr_cut) = struct.unpack_from("<BBHQQQ", body)
                outcome.sentence = body[28:].decode()
                return outcome

    def run(self, code, language=PYTHON, **options):
        return self.finish(self.start(code, language, **options))

    def shell(self, command, stdin=b"", **options):
        return self.run(shell_code(command, stdin), SHELL, **options)


class AgentProcess:
    """A hearth-agent that has said that it is ready: by `command`, whose options this adds to."""

    def __init__(self, folder, command):
        self.folder = str(folder)
        self.path = os.path.join(self.folder, "agent.sock")
        self.token_path = os.path.join(self.folder, "token.sock")  # where code is connected to that asks for tokens
        ready_path = os.path.join(self.folder, "ready.sock")
        with socket.socket(socket.AF_UNIX) as ready:
            ready.bind(ready_path)
            ready.listen()
            ready.settimeout(20)
            self.log = open(os.path.join(self.folder, "agent.log"), "w+b")
            self.process = subprocess.Popen(
                [*command, "--listen-unix", self.path, "--ready-unix", ready_path, "--token-unix", self.token_path],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
            connection, _ = ready.accept()
        with connection, connection.makefile("rb") as stream:
            self.ready = stream.read()

    def children(self):
        """The process ids of the agent's children, interpreters first."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) * 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(10) == 0
        finally:
            self.process.kill()
            self.log.close()


class Agent(AgentProcess):
    """One with interpreters."""

    def __init__(self, folder, binary, drivers, python, node):
        self.work = os.path.join(str(folder), "work")
        home = os.path.join(str(folder), "home")
        os.mkdir(self.work)
        os.mkdir(home)
        super().__init__(folder, [binary, "--driver-dir", drivers, "--python", python, "--node", node,
                                  "--work-dir", self.work, "--home", home])

    def connect(self):
        return Connection(self.path)
