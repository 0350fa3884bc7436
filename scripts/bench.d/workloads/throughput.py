"""How many sessions can be started, used and ended in a second, by how many clients at once."""

import threading
import time

import measure
import rest
from workloads import common


class Clients:
    """`n` threads that start, use and end sessions until the time is over."""

    def __init__(self, settings, n):
        self.settings, self.n = settings, n
        self.latencies, self.refused, self.errors = [], 0, []
        self.lock = threading.Lock()

    def run(self, seconds):
        began = time.monotonic()
        self.deadline = began + seconds
        threads = [threading.Thread(target=self.work) for _ in range(self.n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    def work(self):
        api = common.client(self.settings)
        try:
            while time.monotonic() < self.deadline and not self.errors:
                self.one(api)
        except (rest.RestError, OSError) as error:
            with self.lock:
                self.errors.append(str(error))
        api.close()

    def one(self, api):
        identifier = common.new_identifier()
        try:
            ms, _ = common.timed_print(api, identifier)
        except rest.RestError as error:
            if "429" not in str(error):
                raise
            with self.lock:
                self.refused += 1
            time.sleep(0.05)
            return
        api.end(identifier)
        with self.lock:
            self.latencies.append(ms)


def throughput(settings, say):
    for n in settings["concurrency"]:
        clients = Clients(settings, n)
        seconds = clients.run(settings["seconds"] / len(settings["concurrency"]))
        if clients.errors:
            say(note=f"with {n} clients: {clients.errors[0]}")
        if not clients.latencies and clients.errors:
            raise RuntimeError(clients.errors[0])
        if clients.latencies:
            say(level={"clients": n, "sessions": len(clients.latencies), "refused": clients.refused,
                       "sessions_per_second": measure.per_second(len(clients.latencies), seconds),
                       "start_ms": measure.summary(clients.latencies)})
