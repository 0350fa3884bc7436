# SPDX-License-Identifier: Apache-2.0
"""Running a command in a lab that is up: streams, signals and the exit status pass through one TCP connection."""

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import time
import tty

# The frame letters of protocol.h.
TOKEN, DIRECTORY, ENVIRON, ARGUMENT, PTY, RUN, STDIN, SIGNAL, WINDOW, CLOSE, TERMINATE = b"tdeaprisw" b"ck"
BEGUN, STDOUT, STDERR, CREDIT, EXIT, FAILED = b"goxkqf"
HEADER = struct.Struct("<BI")
CHUNK = 65536
STDIN_WINDOW = 4 * CHUNK
# After the time limit the command gets SIGTERM, ten seconds later (session.c) SIGKILL; then we stop waiting.
TIMEOUT_GRACE_SECONDS = 17
PASSED_VARIABLES = ("TERM", "TZ", "LANG", "COLUMNS", "LINES", "NO_COLOR")
PASSED_PREFIXES = ("HEARTH_", "LC_")
# To the whole process group, as a terminal would.
GROUP_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
PASSED_SIGNALS = GROUP_SIGNALS + (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class ConnectionLost(Exception):
    """The lab ended. begun tells whether the command had been started."""

    def __init__(self, begun):
        super().__init__("the lab's machine went away")
        self.begun = begun


class Refused(Exception):
    """The command could not be started inside."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class TimedOut(Exception):
    pass


def environment():
    values = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": os.path.expanduser("~"),
        "USER": "root", "LOGNAME": "root", "SHELL": "/bin/bash", "LANG": "C.UTF-8", "HEARTH_IN_LAB": "1"}
    for name, value in os.environ.items():
        if name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES):
            values[name] = value
    return values


def window_size():
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        rows, columns = 24, 80
    return struct.pack("<HH", rows, columns)


class Client:
    def __init__(self, state, timeout_seconds):
        self.deadline = time.monotonic() + timeout_seconds if timeout_seconds else None
        self.timed_out = False
        self.begun = False
        self.socket = socket.create_connection(("127.0.0.1", state["command_port"]), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.outgoing = bytearray()
        self.incoming = bytearray()
        self.stdin_credit = STDIN_WINDOW
        self.stdin_open = True
        self.interrupts = 0
        self.queue(TOKEN, state["token"].encode())

    def queue(self, kind, payload=b""):
        self.outgoing += HEADER.pack(kind, len(payload)) + payload

    def request(self, arguments, pty):
        self.queue(DIRECTORY, os.fsencode(os.getcwd()))
        for name, value in environment().items():
            self.queue(ENVIRON, os.fsencode(f"{name}={value}"))
        for argument in arguments:
            self.queue(ARGUMENT, os.fsencode(argument))
        if pty:
            self.queue(PTY, window_size())
        self.queue(RUN)

    # ---- events ------------------------------------------------------------------------------------------------

    def on_signal(self, number):
        if number == signal.SIGWINCH:
            self.queue(WINDOW, window_size())
            return
        if number == signal.SIGCHLD or number not in PASSED_SIGNALS:
            return
        if number == signal.SIGINT:
            self.interrupts += 1
            if self.interrupts == 3:
                print("lab: ending the command (it did not end on Ctrl-C)", file=sys.stderr)
                self.queue(TERMINATE)
        self.queue(SIGNAL, bytes([number, 1 if number in GROUP_SIGNALS else 0]))

    def read_stdin(self):
        try:
            data = os.read(0, min(CHUNK, self.stdin_credit))
        except OSError:  # closed, or a terminal that belongs to another job
            data = b""
        self.queue(STDIN, data)
        self.stdin_credit -= len(data)
        self.stdin_open = bool(data)

    def write_out(self, stream, data):
        while data:
            try:
                data = data[os.write(stream, data):]
            except BlockingIOError:
                select.select([], [stream], [])
            except OSError:  # nobody reads it any more; the command shall learn of it as it would in a pipeline
                self.queue(CLOSE, bytes([stream]))
                return

    def take_frame(self, kind, payload):
        """The exit status, when this frame brings it."""
        if kind == BEGUN:
            self.begun = True
        elif kind == STDOUT:
            self.write_out(1, payload)
        elif kind == STDERR:
            self.write_out(2, payload)
        elif kind == CREDIT:
            self.stdin_credit += struct.unpack("<I", payload)[0]
        elif kind == EXIT:
            return payload[0]
        elif kind == FAILED:
            raise Refused(payload[0], payload[1:].decode(errors="replace"))
        return None

    def take_frames(self):
        position = 0
        status = None
        while status is None and len(self.incoming) - position >= HEADER.size:
            kind, length = HEADER.unpack_from(self.incoming, position)
            if len(self.incoming) - position < HEADER.size + length:
                break
            start = position + HEADER.size
            status = self.take_frame(kind, bytes(self.incoming[start:start + length]))
            position = start + length
        del self.incoming[:position]
        return status

    def receive(self):
        try:
            data = self.socket.recv(262144)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            raise ConnectionLost(self.begun)
        self.incoming += data
        return self.take_frames()

    def send(self):
        try:
            sent = self.socket.send(self.outgoing)
            del self.outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.outgoing.clear()  # what was received before the end still counts: receive() finds the end

    def check_deadline(self):
        if self.deadline is None or time.monotonic() < self.deadline:
            return
        if self.timed_out:
            raise TimedOut()
        self.timed_out = True
        self.deadline = time.monotonic() + TIMEOUT_GRACE_SECONDS
        self.queue(TERMINATE)

    def loop(self, wakeup):
        self.socket.setblocking(False)
        poll = select.poll()
        while True:
            poll.register(self.socket, select.POLLIN | (select.POLLOUT if self.outgoing else 0))
            poll.register(wakeup, select.POLLIN)
            if self.stdin_open and self.stdin_credit > 0 and len(self.outgoing) < CHUNK:
                poll.register(0, select.POLLIN)
            else:
                try:
                    poll.unregister(0)
                except KeyError:
                    pass
            wait_ms = None
            if self.deadline is not None:
                wait_ms = max(0, int((self.deadline - time.monotonic()) * 1000) + 1)
            for fd, _ in poll.poll(wait_ms):
                if fd == wakeup:
                    for number in os.read(wakeup, 100):
                        self.on_signal(number)
                elif fd == 0:
                    self.read_stdin()
                else:
                    status = self.receive()
                    if status is not None:
                        return status
            if self.outgoing:
                self.send()
            self.check_deadline()

    def close(self):
        self.socket.close()


class Signals:
    """While a command runs, signals are bytes in a pipe. They are passed on, not acted on."""

    def __enter__(self):
        self.read_end, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.old_wakeup = signal.set_wakeup_fd(self.write_end, warn_on_full_buffer=False)
        # What our starter made us ignore (a shell does so for SIGINT in `command &`), the command does not get either.
        self.old = {number: signal.signal(number, lambda *_: None) for number in PASSED_SIGNALS + (signal.SIGWINCH,)
                    if signal.getsignal(number) is not signal.SIG_IGN}
        self.old[signal.SIGTTIN] = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        return self.read_end

    def __exit__(self, *_):
        for number, handler in self.old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self.old_wakeup)
        os.close(self.read_end)
        os.close(self.write_end)


def run(state, arguments, timeout_seconds=None, pty=False):
    """Run a command in the lab that state describes. Its exit status, 128 + N for signal N."""
    try:
        client = Client(state, timeout_seconds)
    except OSError as error:
        raise ConnectionLost(False) from error
    client.request(arguments, pty)
    saved_terminal = termios.tcgetattr(0) if pty and os.isatty(0) else None
    with Signals() as wakeup:
        try:
            if saved_terminal:
                tty.setraw(0)
            status = client.loop(wakeup)
        finally:
            if saved_terminal:
                termios.tcsetattr(0, termios.TCSADRAIN, saved_terminal)
            client.close()
    if client.timed_out:
        raise TimedOut()
    return status
