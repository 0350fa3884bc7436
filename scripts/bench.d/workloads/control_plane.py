"""What hearthd itself adds: to an execution, to a file on its way, to a request that asks for nothing; and its memory."""

import os
import shutil
import subprocess
import tempfile
import threading
import time

import measure
import memory
import rest
from workloads import common, nginx

MANY_CLIENTS = 32
SIZE_MIB = 100
WRK = ("wrk", "--threads", "1", "--connections", "16", "--duration", "5s")


# ---- executions ------------------------------------------------------------------------------------------------------

def overhead_ms(api, identifier):
    """HTTP's time without that in which the code ran, as the agent tells it."""
    total, timing = common.timed_print(api, identifier)
    return total - timing.get("execution", 0.0)


class Clients:
    """Each with a session of its own that was used before; all execute at once."""

    def __init__(self, settings, n, runs):
        self.settings, self.runs = settings, runs
        self.values, self.errors = [], []
        self.lock = threading.Lock()
        self.barrier = threading.Barrier(n)
        self.threads = [threading.Thread(target=self.work) for _ in range(n)]

    def work(self):
        api, identifier = common.client(self.settings), common.new_identifier()
        try:
            common.timed_print(api, identifier)
            self.barrier.wait(300)
            values = [overhead_ms(api, identifier) for _ in range(self.runs)]
            with self.lock:
                self.values += values
        except (rest.RestError, OSError, threading.BrokenBarrierError) as error:
            self.barrier.abort()
            with self.lock:
                self.errors.append(str(error))
        api.end(identifier)
        api.close()

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise RuntimeError(self.errors[0])
        return self.values


def overhead(settings, say):
    """Of one client and of many; the series that is told as the step's is that of one."""
    for value in Clients(settings, 1, settings["runs"]).run():
        say(ms=round(value, 3))
    many = Clients(settings, MANY_CLIENTS, max(2, settings["runs"] // 10)).run()
    say(number="overhead_32_clients_median_ms", value=round(measure.median(many), 3))
    say(number="overhead_32_clients_p99_ms", value=round(measure.percentile(many, 99), 3))


def executions(settings, say):
    """`count` executions in a session, and what hearthd's memory was before and after them."""
    api, identifier = common.client(settings), common.new_identifier()
    for _ in range(100):
        api.print_one(identifier)
    before, began = memory.status_kib(settings["hearthd_pid"], "VmRSS"), time.monotonic()
    for _ in range(settings["count"]):
        api.print_one(identifier)
    say(result={"executions": settings["count"], "seconds": round(time.monotonic() - began, 1), "hearthd_rss_kib_before": before,
                "hearthd_rss_kib_after": memory.status_kib(settings["hearthd_pid"], "VmRSS")})
    api.end(identifier)


# ---- files -----------------------------------------------------------------------------------------------------------

def transfer(settings, say):
    """A file to a session and back, and the same file copied by cp, which a session's disk in memory is compared with."""
    identifier, folder = common.new_identifier(), tempfile.mkdtemp(dir="/dev/shm")
    path = os.path.join(folder, "large")
    url = f"{settings['url']}/files{{}}?api-version={rest.VERSION}&identifier={identifier}"
    try:
        with open(path, "wb") as file:
            for _ in range(SIZE_MIB):
                file.write(os.urandom(1 << 20))
        common.timed_print(common.client(settings), identifier)
        options = "--output", "/dev/null", *common.authorization(settings)
        ways = {"upload": lambda: common.curl(*options, "--form", f"file=@{path}", url.format(""))[0],
                "download": lambda: common.curl(*options, url.format("/large/content"))[0],
                "cp": lambda: copy(path)}
        for name, way in ways.items():
            say(number=f"{name}_mib_per_second", value=measure.per_second(SIZE_MIB, way()))
    finally:
        common.client(settings).end(identifier)
        shutil.rmtree(folder)


def copy(path):
    began = time.monotonic()
    subprocess.run(["cp", path, f"{path}.copy"], check=True)
    return time.monotonic() - began


# ---- requests --------------------------------------------------------------------------------------------------------

def requests_per_second(url):
    output = subprocess.run([*WRK, url], stdout=subprocess.PIPE, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    return float(next(line.split()[1] for line in output.splitlines() if line.startswith("Requests/sec:")))


def start_nginx(settings, folder):
    """One process that serves a file as large as /healthz's answer, without a log."""
    with open(os.path.join(folder, "healthz"), "w", encoding="ascii") as file:
        file.write("x" * 400)
    return subprocess.Popen(nginx.command(settings["nginx"], folder, f"server {{ listen 127.0.0.1:{nginx.PORT}; root {folder}; }}"))


def health_requests(settings, say):
    say(number="hearthd_healthz_per_second", value=requests_per_second(f"{settings['url']}/healthz"))
    with tempfile.TemporaryDirectory() as folder:
        server = start_nginx(settings, folder)
        try:
            time.sleep(2)
            say(number="nginx_static_file_per_second", value=requests_per_second(f"http://127.0.0.1:{nginx.PORT}/healthz"))
        finally:
            server.terminate()
            server.wait()
    say(number="hearthd_idle_rss_kib", value=memory.status_kib(settings["hearthd_pid"], "VmRSS"))
