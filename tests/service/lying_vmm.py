#!/usr/bin/python3 -BI
"""
In hearth-vmm's place: takes hearthd's orders and serves the vsock socket as if a guest ran, whose agent lies. Which lie
it tells is named by the code of an execution, by a file's path, or, for how it starts, by the file `start` beside the
image. In the place of a container's target port it connects to the TCP port in the file `ingress` there. How a container
starts is named by the file `container`; what one says that runs is in the file `words`, as long as lines are added. The
file `recorder` names the lie that answers hearthd's own code in a clone of a template.
"""

import contextlib
import os
import re
import signal
import socket
import struct
import sys
import threading
import time

with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../common/agent_protocol.h")) as header:
    VERSION = int(re.search(r"AGENT_PROTOCOL_VERSION = (\d+)", header.read()).group(1))
EXECUTE, INTERRUPT, SETTLE, ADOPT = range(1, 5)
FILE_LIST, FILE_STAT, FILE_READ, FILE_WRITE, FILE_DELETE, FILE_DATA, FILE_COMMIT = range(5, 12)
READY, STARTED, STDOUT, STDERR, DISPLAY, RESULT, DONE, SETTLED, ADOPTED, FILE_INFO, FILE_DONE = range(16, 27)
CONTAINER_START, CONTAINER_RUN, CONTAINER_STOP, CONTAINER_ATTACH, CONTAINER_ENVIRONMENT = range(32, 37)
CONTAINER_STATE, CONTAINER_REFUSED, CONTAINER_DROPPED, CONTAINER_EXITED = range(48, 52)
NONE, PREPARING, HELD, STARTING, CONTAINER_IS_READY, UNREADY, ENDING, ENDED_STATE = range(8)
OK, ERROR = 0, 1
FAILED = 7
INGRESS = b"CONNECT 1027\n"
BOOT, RESUME, STOP, QUERY, ANSWER, ENDED = 1, 3, 4, 6, 32, 33
LONGEST = 2 ** 64 - 1


def frame(kind, request, body=b"", length=None, flags=0):
    return struct.pack("<IHHQ", len(body) if length is None else length, kind, flags, request) + body


def started(request, waited_us=0):
    return frame(STARTED, request, struct.pack("<Q", waited_us))


def done(request, outcome=OK, sentence=b"", ran_us=1000, cut=0):
    return frame(DONE, request, struct.pack("<BBHQQQ", outcome, 0, 0, ran_us, cut, cut) + sentence)


def bundle(**entries):
    parts = [struct.pack("<H", len(entries))]
    for name, data in entries.items():
        name = name.replace("_", "/", 1).encode()
        parts.append(struct.pack("<H", len(name)) + name + struct.pack("<I", len(data)) + data)
    return b"".join(parts)


def info(path=b"a", size=1, kind=1, changed_ns=0):
    return frame(FILE_INFO, 1, struct.pack("<B7xQQ", kind, size, changed_ns) + path)


def file_done(status=0, sentence=b""):
    return frame(FILE_DONE, 1, struct.pack("<II", status, 0) + sentence)


def state(request, value, sentence=b""):
    return frame(CONTAINER_STATE, request, struct.pack("<B7x", value) + sentence)


def exited(request, status=0, signal=0, sentence=b"", ran_us=1000):
    return frame(CONTAINER_EXITED, request, struct.pack("<IIQ", status, signal, ran_us) + sentence)


class Agent:
    """One connection to it, and its lies: each a method. Those about executions and files get what was asked."""

    def __init__(self, connection):
        self.connection = connection

    def send(self, *frames):
        self.connection.sendall(b"".join(frames))

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.connection.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def serve(self):
        try:
            line = b""
            while not line.endswith(b"\n"):
                line += self.receive(1)
            if not self.answer_connect():
                return
            if line == INGRESS:
                self.serve_ingress()
                return
            while True:
                length, kind, _, request = struct.unpack("<IHHQ", self.receive(16))
                body = self.receive(length)
                if kind == EXECUTE:
                    self.execute(body[16:].decode().split()[0], request)
                elif FILE_LIST <= kind <= FILE_DELETE:
                    self.order = body
                    path = body[{FILE_LIST: 8, FILE_READ: 16, FILE_WRITE: 8}.get(kind, 0):].decode()
                    getattr(self, "file_" + (path or "list_without_end"))(kind)
                elif CONTAINER_START <= kind <= CONTAINER_ENVIRONMENT:
                    self.take_container_order(kind, request, body)
                elif kind in (SETTLE, ADOPT):
                    self.send(frame(SETTLED if kind == SETTLE else ADOPTED, request))
        except (EOFError, OSError):
            pass
        finally:
            self.connection.close()

    def serve_ingress(self):
        """As the agent does: one byte, then both ways, each of which ends by itself. Or not even the byte."""
        port = beside_the_image("ingress", "1")
        if port == "silent":
            self.wait()
        try:
            container = socket.create_connection(("127.0.0.1", int(port)))
        except OSError as error:
            self.send(bytes([error.errno]))
            return
        self.send(b"\0")
        back = threading.Thread(target=relay, args=(container, self.connection), daemon=True)
        back.start()
        relay(self.connection, container)
        back.join()
        container.close()

    def answer_connect(self):
        answer = {"connect_refused": b"NO\n", "connect_without_end": b"OK " + b"1" * 4096}.get(how_to_start(), b"OK 1\n")
        self.send(answer)
        return answer == b"OK 1\n"

    # ---- executions ----

    def execute(self, lie, request):
        if lie == "print(1)":  # of hearthd itself, which looks what a template's first code touches
            lie = beside_the_image("recorder", "honest")
        getattr(self, "execute_" + lie)(request)

    def execute_honest(self, request):
        self.send(started(request), frame(STDOUT, request, b"honest\n"), done(request))

    def execute_four_gib(self, request):
        self.send(started(request), frame(STDOUT, request, b"x" * 1000, length=2 ** 32 - 1))

    def execute_length_too_short(self, request):
        self.send(started(request), frame(DONE, request, b"\0" * 5))

    def execute_length_hides_a_frame(self, request):
        self.send(started(request), frame(STDOUT, request, b"abc", length=1), done(request))

    def execute_bundle_beyond_its_frame(self, request):
        body = bytearray(bundle(text_plain=b"short"))
        body[14:18] = struct.pack("<I", 2 ** 32 - 1)
        self.send(started(request), frame(RESULT, request, bytes(body)), done(request))

    def execute_bundle_of_65535(self, request):
        self.send(started(request), frame(DISPLAY, request, struct.pack("<H", 65535)), done(request))

    def execute_unknown_type(self, request):
        self.send(started(request), frame(4711, request))

    def execute_orders_of_the_host(self, request):
        self.send(started(request), frame(EXECUTE, request, b"\0" * 64))

    def execute_flags(self, request):
        self.send(frame(STARTED, request, b"\0" * 8, flags=1))

    def execute_output_without_end(self, request):
        self.send(started(request))
        while True:
            self.send(frame(STDOUT, request, b"x" * 65536))

    def execute_nothing_without_end(self, request):
        self.send(started(request))
        while True:
            self.send(frame(STDOUT, request) * 1000)

    def execute_displays_without_end(self, request):
        self.send(started(request))
        image = frame(DISPLAY, request, bundle(image_png=b"x" * (4 << 20)))
        while True:
            self.send(image)

    def execute_another_request(self, request):
        self.send(started(request), frame(STDOUT, request + 1, b"not yours"), done(request))

    def execute_every_request(self, request):
        self.send(*(done(LONGEST - i) for i in range(64)))

    def execute_output_before_the_start(self, request):
        self.send(frame(STDOUT, request, b"early"), started(request), done(request))

    def execute_end_before_the_start(self, request):
        self.send(done(request))

    def execute_start_twice(self, request):
        self.send(started(request), started(request), done(request))

    def execute_two_results(self, request):
        self.send(started(request), frame(RESULT, request, bundle(text_plain=b"1")),
                  frame(RESULT, request, bundle(text_plain=b"2")), done(request))

    def execute_two_ends(self, request):
        self.send(started(request), done(request), done(request))

    def execute_answer_to_another_order(self, request):
        self.send(started(request), frame(ADOPTED, request))

    def execute_word_unasked(self, request):
        self.send(started(request), frame(STDOUT, request, b"fine\n"), done(request))
        time.sleep(0.3)
        self.send(frame(STDOUT, request, b"and another thing"))

    def execute_farewell(self, request):
        self.send(started(request), done(request))
        raise EOFError

    def execute_outcome_unknown(self, request):
        self.send(started(request), done(request, outcome=200))

    def execute_half_a_frame(self, request):
        self.send(started(request), frame(STDOUT, request, b"half", length=1000))
        self.wait()

    def execute_half_a_header(self, request):
        self.send(started(request), b"\1\0\0")
        self.wait()

    def execute_close_in_the_middle(self, request):
        self.send(started(request), frame(STDOUT, request, b"half", length=1000))
        self.connection.close()
        raise EOFError

    def execute_silence(self, request):
        self.wait()

    def execute_silence_after_the_start(self, request):
        self.send(started(request))
        self.wait()

    def execute_no_text(self, request):
        self.send(started(request), frame(STDOUT, request, b"\xff\xfe\0\xc0\x80\xed\xa0\x80\n"), frame(STDERR, request, b"\x80" * 100),
                  frame(RESULT, request, bundle(**{"text_plain": b"\xf8\x88\x80\x80\x80", "application_vnd.hearth.scalar+json":
                                                   b'1}, "status": "injected", "x": {"y": 1'})),
                  done(request, ERROR, b"\xff\n\0hearth: error: forged \x1b[31m"))

    def execute_numbers_beyond_reason(self, request):
        self.send(started(request, LONGEST), done(request, OK, ran_us=LONGEST, cut=LONGEST))

    def wait(self):
        """Says nothing for as long as anybody listens; whatever hearthd says is swallowed."""
        while self.connection.recv(65536):
            pass
        raise EOFError

    # ---- the container ----

    def take_container_order(self, kind, request, body):
        if kind in (CONTAINER_START, CONTAINER_ATTACH):
            self.watch = request
            self.send(state(request, HELD if kind == CONTAINER_ATTACH or body[0] & 1 else STARTING))
            if kind == CONTAINER_START and not body[0] & 1:
                self.run_container()
        elif kind == CONTAINER_ENVIRONMENT:
            with open(os.path.join(os.path.dirname(option("--disk")), "environment"), "wb") as file:
                file.write(body)
            self.send(state(request, HELD))
        elif kind == CONTAINER_RUN:
            self.send(state(request, STARTING), state(self.watch, STARTING))
            self.run_container()
        elif beside_the_image("container", "honest") != "deaf":
            with open(os.path.join(os.path.dirname(option("--disk")), "stopped"), "wb") as file:
                file.write(body)
            self.send(state(request, ENDING), state(self.watch, ENDING), exited(self.watch, 0, 15, b"stopped by the host"))

    def run_container(self):
        getattr(self, "container_" + beside_the_image("container", "honest"))(self.watch)

    def container_honest(self, watch):
        self.send(state(watch, CONTAINER_IS_READY))
        threading.Thread(target=self.say_words, args=(watch,), daemon=True).start()

    container_deaf = container_honest

    def say_words(self, watch):
        """Each line of the file: a stream and its bytes in hexadecimal digits, or `dropped N`, or `exit STATUS SIGNAL`."""
        said = 0
        with contextlib.suppress(OSError):
            while True:
                whole, end, _ = beside_the_image("words", "").rpartition("\n")  # the last line may be on its way
                lines = (whole + end).splitlines()
                for kind, *words in (line.split() for line in lines[said:]):
                    if kind == "exit":
                        self.send(exited(watch, int(words[0]), int(words[1]), b"as the test wanted"))
                    elif kind == "dropped":
                        self.send(frame(CONTAINER_DROPPED, watch, struct.pack("<Q", int(words[0]))))
                    else:
                        self.send(frame(STDERR if kind == "stderr" else STDOUT, watch, bytes.fromhex(words[0])))
                said = len(lines)
                time.sleep(0.02)

    def container_exits(self, watch):
        self.send(frame(STDOUT, watch, b"x" * 2000 + b"\nthe last \x1b[31mwords\n"), exited(watch, 3, 0, b"it exited with status 3"))

    def container_never_ready(self, watch):
        self.send(frame(STDERR, watch, b"still waiting\n"))

    def container_refuses(self, watch):
        self.send(frame(CONTAINER_REFUSED, watch, b"there is no \xff such layer"))

    def container_sends_nonsense(self, watch):
        self.send(frame(4711, watch))

    def container_answers_for_others(self, watch):
        self.send(state(9, CONTAINER_IS_READY))

    def container_floods(self, watch):
        self.send(state(watch, CONTAINER_IS_READY))
        threading.Thread(target=self.flood, args=(frame(STDOUT, watch, b"x"),), daemon=True).start()

    def container_floods_states(self, watch):
        threading.Thread(target=self.flood, args=(state(watch, CONTAINER_IS_READY),), daemon=True).start()

    def flood(self, what):
        with contextlib.suppress(OSError):
            while True:
                self.send(what * 1000)

    def container_vanishes(self, watch):
        self.connection.shutdown(socket.SHUT_RDWR)

    # ---- files ----

    def file_honest(self, kind):
        if kind == FILE_READ:
            self.send(info(b"honest", 3), frame(FILE_DATA, 1, b"abc"), file_done())
        else:
            self.send(info(b"honest", 3), file_done())

    def file_big(self, kind):
        self.send(info(b"big", 16 << 20), *[frame(FILE_DATA, 1, b"x" * 65536)] * 256, file_done())

    def file_size_max(self, kind):
        """What the host allows a file that is written to have."""
        self.send(file_done(FAILED, b"%d bytes" % struct.unpack_from("<Q", self.order)))

    def file_list_without_end(self, kind):
        while True:
            self.send(info(b"x") * 1000)

    def file_more_than_told(self, kind):
        self.send(info(size=3), frame(FILE_DATA, 1, b"x" * 65536), file_done())

    def file_less_than_told(self, kind):
        self.send(info(size=300), frame(FILE_DATA, 1, b"x"), file_done())

    def file_nothing_without_end(self, kind):
        self.send(info(size=300))
        while True:
            self.send(frame(FILE_DATA, 1) * 1000)

    def file_name_with_zero(self, kind):
        self.send(info(b"a\0b"), file_done())

    def file_another_request(self, kind):
        self.send(frame(FILE_INFO, 2, b"\1" + b"\0" * 23 + b"a"), file_done())

    def file_unknown_status(self, kind):
        self.send(file_done(4711, b"?"))

    def file_four_gib(self, kind):
        self.send(frame(FILE_INFO, 1, b"x" * 1000, length=2 ** 32 - 1))

    def file_closes(self, kind):
        self.send(info(size=300)[:20])
        raise EOFError

    def file_done_before_it_came(self, kind):
        self.send(info(size=0), file_done())


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def beside_the_image(name, otherwise):
    try:
        with open(os.path.join(os.path.dirname(option("--disk")), name)) as file:
            return file.read()
    except FileNotFoundError:
        return otherwise


def how_to_start():
    return beside_the_image("start", "honest").strip()


def relay(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # Whoever broke it is to be seen as broken from the other side, too.
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def end_and_let_hearthd_go_on():
    """It finds what was said and the end of this process at the same moment."""
    hearthd, pid = os.getppid(), os.getpid()
    if os.fork() == 0:
        os.closerange(0, 1024)
        while os.getppid() == pid:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(hearthd, signal.SIGCONT)
    os._exit(1)


def start_guest():
    """What the agent says when it has booted."""
    ready = struct.pack("<IQQ", VERSION, 1000, 2000)
    words = {
        "honest": frame(READY, 0, ready),
        "another_version": frame(READY, 0, struct.pack("<IQQ", VERSION + 1, 1000, 2000)),
        "ready_of_four_gib": frame(READY, 0, ready, length=2 ** 32 - 1),
        "ready_before_it_began": frame(READY, 0, struct.pack("<IQQ", VERSION, 2000, 1000)),
        "ready_and_more": frame(READY, 0, ready) * 2,
        "another_word": done(1),
        "half_a_word": frame(READY, 0, ready)[:17],
        "no_word": b"",
        "no_listener": frame(READY, 0, ready),
    }
    how = how_to_start()
    if how != "no_listener":
        listen()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(option("--vsock") + "_1025")
        if how == "last_word":
            os.kill(os.getppid(), signal.SIGSTOP)
        connection.sendall(words.get(how, words["honest"]))
        if how == "last_word":
            end_and_let_hearthd_go_on()
        if how in ("no_word", "half_a_word"):
            time.sleep(3600)


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=Agent(connection).serve, daemon=True).start()


def listen():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(option("--vsock"))
    listener.listen(16)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()


def serve(control):
    """What one hearthd wants, until it goes. True if the machine is to end."""
    while packet := control.recv(1024):
        kind, _, sequence, _ = struct.unpack_from("<HHIQ", packet)
        if kind == STOP:
            control.send(struct.pack("<HHIQ", ENDED, 0, 0, 0))
            return True
        if kind == RESUME and "--restore" in sys.argv and not os.path.exists(option("--vsock")):
            listen()
        text = b"state=running connections=0 vcpus=1 memory_mib=128 ioctls=1 exits=1 faults=1 ready_us=1"
        control.send(struct.pack("<HHIQ", ANSWER, 0, sequence, 0) + (text if kind == QUERY else b""))
        if kind == BOOT:
            threading.Thread(target=start_guest, daemon=True).start()
    return False


def main():
    listener = socket.socket(fileno=int(option("--control")))
    listener.settimeout(float(option("--orphan-timeout")))
    is_over = False
    while not is_over:
        try:
            control, _ = listener.accept()
        except TimeoutError:
            return
        with control, contextlib.suppress(ConnectionError):
            control.setblocking(True)
            is_over = serve(control)


main()
os._exit(0)
