"""print(1) in a session, alone and while ten others take all that they may have."""

import threading
import time

import measure
import rest
from workloads import common

BURN_S = 150  # at most; the burners are ended as soon as the measuring is over
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


def burn(settings, identifier, code, failures):
    """Ends when its session is ended, with any answer; a refusal to begin is a failure."""
    api = common.client(settings)
    try:
        answer = api.request("POST", "executions", {"code": code, "timeoutInSeconds": BURN_S}, identifier=identifier)
        if answer.status >= 400:
            failures.append(f"{answer.status} {answer.body[:200].decode(errors='replace')}")
    except rest.RestError as error:
        failures.append(str(error))
    finally:
        api.close()


def series(settings, api, identifier, share):
    """A pause before each, as people and agents make: an interpreter that never rests tells only how fast it is."""
    times = []
    began = time.monotonic()
    while len(times) < settings["runs"] and (len(times) < settings["least"]
                                             or time.monotonic() - began < settings["seconds"] * share):
        time.sleep(0.05)
        times.append(round(common.timed_print(api, identifier)[0], 3))
    return times


def neighbours(settings, say):
    api = common.client(settings)
    neighbour = common.new_identifier()
    burners = [common.new_identifier() for _ in range(N_BURNERS)]
    codes = list(BURNERS.values())
    failures, threads = [], []
    try:
        for _ in range(10):
            api.print_one(neighbour)
        alone = series(settings, api, neighbour, 0.3)
        say(series="neighbour_idle_ms", values=alone)
        for index, identifier in enumerate(burners):
            api.print_one(identifier)
            threads.append(threading.Thread(target=burn, daemon=True,
                                            args=(settings, identifier, codes[index % len(codes)], failures)))
        for thread in threads:
            thread.start()
        time.sleep(SETTLE_S)
        if failures:
            raise rest.RestError(f"a burner did not begin: {failures[0]}")
        for ms in series(settings, api, neighbour, 0.5):
            say(ms=ms)
        still = sum(thread.is_alive() for thread in threads)
        say(number="neighbour_burners", value=still)
        say(note=f"alone: median {measure.median(alone):.1f} ms, p99 {measure.percentile(alone, 99):.1f} ms; {still} sessions "
                 f"burned {', '.join(BURNERS)} in turn until the end")
    finally:
        for identifier in (*burners, neighbour):
            api.end(identifier)
        for thread in threads:
            thread.join(30)
