"""Answers the frames of hearth-agent on descriptor 3 by running code in one IPython shell.

docs/agent.md describes the protocol, common/agent_protocol.h the frames. This file is about the channel, the
standard streams, signals and forks; python_shell.py is about running code and showing values.
"""

import _signal
import contextlib
import fcntl
import gc
import io
import os
import site
import socket
import struct
import sys
import threading

import python_shell
import python_unique

EXECUTE = 1
INTERRUPT = 2
SETTLE = 3
ADOPT = 4
ENVIRONMENT = 13
READY = 16
DONE = 22
SETTLED = 23
OK = 0
ERROR = 1

HEADER = struct.Struct("<IHHQ")
DONE_BODY = struct.Struct("<BBHQQQ")
EXECUTE_PREFIX = 16  # bytes of the body before the code
FLAGS_AT = 1  # in it
# What a first request does, so that a copy finds it done: output, values, a traceback.
REHEARSALS = (b"print(1)", b"import sys\nprint(1, file=sys.stderr)", b"'1'", b"1 + 1", b"1 / 0")
REHEARSE_TIMES = 3
PRIVATE_FD_MIN = 512  # the driver's own descriptors stay clear of the numbers that user code gets


class Channel:
    """The control socket. Only the process that made it may send: a forked child is not the interpreter."""

    def __init__(self, fd):
        self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FD_MIN)
        os.close(fd)
        self.socket = socket.socket(fileno=self.fd)
        self.pid = os.getpid()
        self.request = 0
        self.lock = threading.Lock()
        self.main_is_sending = False
        self.interrupt_is_due = False

    def receive_exactly(self, size):
        parts = []
        while size:
            part = self.socket.recv(min(size, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive(self):
        """The type, request and body of the next frame."""
        length, kind, _, request = HEADER.unpack(self.receive_exactly(HEADER.size))
        return kind, request, self.receive_exactly(length)

    def interrupt_is_next(self):
        """True if the frame that has come but was not received yet interrupts the request."""
        try:
            header = self.socket.recv(HEADER.size, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return header == HEADER.pack(0, INTERRUPT, 0, self.request)

    def send(self, kind, body):
        """Sends a whole frame: an interrupt that comes meanwhile is raised after it."""
        if os.getpid() != self.pid:
            return
        is_main = threading.current_thread() is threading.main_thread()
        with self.lock:
            self.main_is_sending = is_main
            try:
                self.socket.sendall(HEADER.pack(len(body), kind, 0, self.request))
                self.socket.sendall(body)
            finally:
                self.main_is_sending = False
        if is_main and self.interrupt_is_due:
            self.interrupt_is_due = False
            raise KeyboardInterrupt


class Stream:
    """One of stdout and stderr: the pipe that the agent reads, and the text object over it."""

    def __init__(self, fd):
        self.fd = fd
        self.spare = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FD_MIN)
        self.identity = self.identify(self.spare)
        self.text = None

    @staticmethod
    def identify(fd):
        status = os.fstat(fd)
        return status.st_dev, status.st_ino

    def restore(self):
        """The text object, in working order whatever the code before did to it or to the descriptor."""
        try:
            intact = self.identify(self.fd) == self.identity
        except OSError:
            intact = False
        if not intact:
            os.dup2(self.spare, self.fd, inheritable=True)
        os.set_blocking(self.fd, True)
        if self.text is None or self.text.closed:
            raw = io.FileIO(self.fd, "w", closefd=False)
            # Line by line, as at a terminal.
            self.text = io.TextIOWrapper(
                io.BufferedWriter(raw, 1 << 16), encoding="utf-8", errors="backslashreplace", line_buffering=True
            )
        return self.text

    def flush(self):
        try:
            self.text.flush()
        except (OSError, ValueError):
            pass


class Driver:
    def __init__(self):
        self.channel = Channel(3)
        self.stdout = Stream(1)
        self.stderr = Stream(2)
        self.running = False
        self.interrupt_was_early = False  # or late: it came while no code ran
        self.code_ran = False  # the user's
        self.restore_streams()
        self.system_path = frozenset(path for path in sys.path if path)
        self.shell = python_shell.create(self.channel.send)

    def restore_streams(self):
        sys.stdout = sys.__stdout__ = self.stdout.restore()
        sys.stderr = sys.__stderr__ = self.stderr.restore()
        try:
            os.fstat(0)
        except OSError:
            os.open("/dev/null", os.O_RDONLY)

    def on_interrupt(self, _number, _frame):
        if os.getpid() != self.channel.pid:
            raise KeyboardInterrupt
        if not self.running:
            self.interrupt_was_early = True
            return
        if self.channel.main_is_sending:
            self.channel.interrupt_is_due = True
            return
        raise KeyboardInterrupt

    def prepare(self):
        """Undoes what the code before may have done to the process and this one does not expect.

        Before the first code there is nothing to undo, and a copy would write to memory that is still shared.
        """
        self.restore_streams()
        self.channel.interrupt_is_due = False
        _signal.signal(_signal.SIGINT, self.on_interrupt)  # signal's own makes enumerations of everything
        add_user_packages()
        self.forget_listings()

    def forget_listings(self):
        """
        Of the user's folders, what was listed for imports: a file that the last code made may be so young that the
        folder's time has not changed. The system's folders, of which there are many, can wait for their time.
        """
        for path in sys.path:
            finder = None if path in self.system_path else sys.path_importer_cache.get(path or os.getcwd())
            if finder is not None:
                finder.invalidate_caches()

    def run(self, code, flags):
        """True if the code ran to its end without an exception."""
        try:
            self.running = True
            if self.interrupt_was_early:
                self.interrupt_was_early = False
                # The agent sends its frame before the signal, which may also have been for the code before.
                if self.channel.interrupt_is_next():
                    raise KeyboardInterrupt
            succeeded = self.shell.run(code, flags)
            self.running = False
            return succeeded
        except BaseException as exception:  # an interrupt between two steps of IPython's own
            self.running = False
            print(f"{type(exception).__name__}: {exception}", file=sys.stderr)
            return False

    def execute(self, request, body):
        self.channel.request = request
        if self.code_ran:
            self.prepare()
        succeeded = self.run(body[EXECUTE_PREFIX:].decode("utf-8", "replace"), body[FLAGS_AT])
        for stream in sys.stdout, sys.stderr:
            try:
                stream.flush()
            except Exception:  # whatever the code put there
                pass
        self.stdout.flush()
        self.stderr.flush()
        if os.getpid() != self.channel.pid:
            # A child that the code forked came out of the cell: its parent is the one that answers.
            os._exit(0 if succeeded else 1)
        self.channel.send(DONE, DONE_BODY.pack(OK if succeeded else ERROR, 0, 0, 0, 0, 0))

    def settle(self):
        """Gets ready for being copied: a copy shall find warm whatever its first execution needs."""
        if self.code_ran:
            # What is there is the user's: it has to be collected once it is garbage, so it is not frozen.
            gc.collect()
        else:
            python_unique.reseed(os.urandom(64), False)
            with self.shell.leaving_no_trace():
                for code in REHEARSALS * REHEARSE_TIMES:
                    self.execute(0, bytes(EXECUTE_PREFIX) + code)
            freeze()
        self.channel.request = 0
        self.channel.send(SETTLED, b"")

    def serve(self):
        self.prepare()
        # What the first cell would load is loaded now.
        self.shell.run_cell("None", silent=True)
        freeze()
        self.channel.send(READY, b"")
        while True:
            kind, request, body = self.channel.receive()
            if kind == EXECUTE:
                self.execute(request, body)
                self.code_ran = True
            elif kind == SETTLE:
                self.settle()
            elif kind == ADOPT:
                python_unique.reseed(body, self.code_ran)
            elif kind == ENVIRONMENT:
                set_environment(body)


def freeze():
    """What exists now lives for ever; the collector need not look at it, nor touch its pages."""
    gc.collect()
    gc.freeze()


def set_environment(variables):
    """NAME=VALUE, each followed by NUL; those without a value go."""
    for variable in variables.split(b"\0")[:-1]:
        name, _, value = variable.partition(b"=")
        with contextlib.suppress(Exception):  # the code may have put anything in os.environ's place
            if value:
                os.environb[name] = value
            else:
                os.environb.pop(name, None)


def add_user_packages():
    """Makes packages that were installed with `pip install --user` importable, as a plain python3 does."""
    folder = site.getusersitepackages()
    if folder in sys.path or not os.path.isdir(folder):
        return
    before = list(sys.path)
    site.addsitedir(folder)
    added = [entry for entry in sys.path if entry not in before]
    at = next((i for i, entry in enumerate(before) if entry.endswith("-packages")), len(before))
    sys.path[:] = before[:at] + added + before[at:]
