"""print(1) in a session beside ten others: at rest, and while they take all that they may have.

Quiet and busy times take turns, so that a machine that gets slower meets both.
"""

import socket
import threading
import time

import measure
import rest
from workloads import common

BURN_S = 150  # at most; the burners are stopped as soon as a round is over
SETTLE_S = 4  # until all of them are at it
# One of them each in turn. What they print beyond the limit of output is thrown away in their own machine.
BURNERS = {
    "CPU": "while True:\n    pass",
    "memory": """
import mmap
pages = []
try:
    while len(pages) < 320:
        pages.append(mmap.mmap(-1, 1 << 20))
        pages[-1].write(b'x' * (1 << 20))
except (OSError, MemoryError):
    pass
while True:
    for page in pages:
        for offset in range(0, 1 << 20, 4096):
            page[offset] = 1
""",
    "disk": """
while True:
    try:
        with open('/mnt/data/burned', 'wb', buffering=0) as file:
            while True:
                file.write(b'x' * (1 << 20))
    except OSError:
        pass
""",
    "output": "while True:\n    print('x' * 1000)",
}
N_BURNERS = 10
ROUNDS = 3
PAUSE_S = 0.05  # as people and agents make: an interpreter that never rests tells only how fast it is


class Burner:
    """A session that stays, and burns while its client waits for it."""

    def __init__(self, settings, code):
        self.settings, self.code = settings, code
        self.identifier, self.api, self.thread, self.failure = common.new_identifier(), common.client(settings), None, ""
        self.api.print_one(self.identifier)

    def begin(self):
        self.api.close()  # on a new connection a request is made once, whatever becomes of it
        self.thread = threading.Thread(target=self.burn, daemon=True)
        self.thread.start()

    def burn(self):
        body = {"code": self.code, "timeoutInSeconds": BURN_S}
        try:
            answer = self.api.request("POST", "executions", body, identifier=self.identifier)
            self.failure = f"{answer.status} {answer.body[:200].decode(errors='replace')}"
        except rest.RestError as error:
            self.failure = str(error)

    def is_burning(self):
        return self.thread is not None and self.thread.is_alive()

    def stop(self):
        """hearthd interrupts the code of a client that goes."""
        if self.is_burning() and self.api.socket is not None:
            self.api.socket.shutdown(socket.SHUT_RDWR)
            self.thread.join(30)

    def end(self):
        self.stop()
        self.api.end(self.identifier)
        self.api.close()


def series(api, identifier, n):
    times = []
    for _ in range(n):
        time.sleep(PAUSE_S)
        times.append(round(common.timed_print(api, identifier)[0], 3))
    return times


def beside_burners(api, identifier, burners, n):
    """The times, and how many burned to the end."""
    for burner in burners:
        burner.begin()
    time.sleep(SETTLE_S)
    for burner in burners:
        if not burner.is_burning():
            raise rest.RestError(f"a burner did not begin: {burner.failure}")
    times = series(api, identifier, n)
    n_burning = sum(burner.is_burning() for burner in burners)
    for burner in burners:
        burner.stop()
    for burner in burners:
        burner.api.print_one(burner.identifier)  # when the code before it has ended
    return times, n_burning


def neighbours(settings, say):
    api, neighbour, burners = common.client(settings), common.new_identifier(), []
    codes = list(BURNERS.values())
    alone, busy, least_burning = [], [], N_BURNERS
    try:
        for _ in range(10):
            api.print_one(neighbour)
        for index in range(N_BURNERS):
            burners.append(Burner(settings, codes[index % len(codes)]))
        for _ in range(ROUNDS):
            time.sleep(1)
            n = max(1, settings["runs"] // ROUNDS)
            alone += series(api, neighbour, n)
            times, n_burning = beside_burners(api, neighbour, burners, n)
            busy += times
            least_burning = min(least_burning, n_burning)
    finally:
        for burner in burners:
            burner.end()
        api.end(neighbour)
    for ms in busy:
        say(ms=ms)
    say(series="neighbour_idle_ms", values=alone)
    say(number="neighbour_burners", value=least_burning)
    say(note=f"beside ten at rest: median {measure.median(alone):.1f} ms, p99 {measure.percentile(alone, 99):.1f} ms; {least_burning} "
             f"sessions burned {', '.join(BURNERS)} in turn until the end of each of {ROUNDS} rounds")
