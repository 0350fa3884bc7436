"""What the jail adds to a start: the hearthd that runs and one like it but for `unsafe-no-jail`, taken in turn.

Both have the same template, kernel and image; each start with the jail stands beside one without it that was made within the
same second, so that a machine that gets slower or busier meets both.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time

import measure
import rest
from workloads import common, pool

POOL = "bench-isolation"
STOCK = 1  # ready clones, where there are to be any
UP_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
KINDS = (("restore", 0), ("warm", STOCK))  # where a session comes from, and how many clones its pool keeps ready


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Unjailed:
    """A second hearthd with the words of the first one's command line; of an option that comes again the last value counts."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            self.words = [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
        self.directory = os.readlink(f"/proc/{pid}/cwd")

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="hearth-bench-", dir="/tmp")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with open(f"{self.folder}/log", "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self.words, "--listen", f"127.0.0.1:{port}", "--runtime-dir",
                 f"{self.folder}/run", "--database", f"{self.folder}/hearth.db", "--unsafe-no-jail", "true"],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_until_up(port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_up(self, port):
        try:
            common.wait_for_port(port, self.process, UP_TIMEOUT_S)
        except OSError as error:
            with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as log:
                raise RuntimeError(f"the hearthd without a jail did not come up: {log.read()}") from error

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)


class Side:
    """A pool of one of the two services, and how long its sessions took to start."""

    def __init__(self, settings, name, url):
        self.settings, self.name = settings, name
        self.api = common.client({**settings, "url": url}, POOL)
        self.times = []

    def keep_ready(self, n):
        """A first session makes the template wanted, which is there, and finds what is cold."""
        if not pool.put(self.api, POOL, n, 4, self.settings["memory_mib"]):
            raise rest.RestError("this hearthd has no pools")
        self.ready, self.times = n, []
        self.print_one()
        self.wait_for_stock()

    def wait_for_stock(self):
        if not pool.wait_until(self.api, POOL, lambda now: now.get("template") == "ready" and not now.get("preparing")
                               and now.get("ready", 0) == self.ready, pool.STOCK_TIMEOUT_S):
            raise rest.RestError(f"the pool of the {self.name} service is not ready: {pool.counts(self.api, POOL)}")

    def print_one(self):
        """One session from its beginning to its end: (milliseconds to its result, where it came from)."""
        identifier = common.new_identifier()
        ms, timing = common.timed_print(self.api, identifier)
        self.api.end(identifier)
        return round(ms, 3), common.source_of(timing)

    def start(self, kind):
        """Counts a session that came from where it should."""
        self.wait_for_stock()
        time.sleep(self.settings["pause_s"] / 2)  # the microVM of the one before goes
        ms, source = self.print_one()
        if source == kind:
            self.times.append(ms)

    def close(self):
        pool.delete(self.api, POOL)
        self.api.close()


def compare(settings, say, sides, kind):
    for run in measure.Budget(settings["runs"], settings["seconds"] / len(KINDS), settings["least"]):
        for side in sides if run % 2 == 0 else reversed(sides):
            side.start(kind)
    for side in sides:
        if not side.times:
            raise rest.RestError(f"no session of the {side.name} service came from '{kind}'")
        say(series=f"{kind}_{side.name}_ms", values=side.times)


def isolation(settings, say):
    with Unjailed(settings["hearthd_pid"]) as unjailed:
        sides = [Side(settings, "jailed", settings["url"]), Side(settings, "unjailed", unjailed.url)]
        try:
            for kind, n_ready in KINDS:
                for side in sides:
                    side.keep_ready(n_ready)
                compare(settings, say, sides, kind)
        finally:
            for side in sides:
                side.close()
