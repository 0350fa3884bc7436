"""What hearthd's way to a container makes of small requests, of large bodies and of many streams; the first two beside nginx,
which passes the same to the same server without a microVM."""

import io
import json
import os
import re
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.parse

import measure
import memory
import rest
from workloads import common, nginx
from workloads.containers import Containers, is_missing
from workloads.images import archive

CONNECTIONS = 1, 8, 32
WARM_UP_S, WRK_S = 1, 3
STREAMS, STREAM_SESSIONS = 200, 4
SERVER_PORT = 8098
PORT_TIMEOUT_S = 20
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
# Bodies go through it as they come, as they do through hearthd, and it has memory enough to do so; connections last.
NGINX = f"""
    keepalive_requests 100000000; client_max_body_size 0;
    upstream server {{ server 127.0.0.1:{SERVER_PORT}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{nginx.PORT};
        location / {{
            proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_max_temp_file_size 0;
            proxy_request_buffering off; client_body_buffer_size 64k;
        }}
    }}
"""


# ---- what it is compared with ----------------------------------------------------------------------------------------

def extract_server(folder):
    """The very program of the echo image."""
    with tarfile.open(archive("echo")) as image:
        layer, = json.load(image.extractfile("manifest.json"))[0]["Layers"]
        with tarfile.open(fileobj=io.BytesIO(image.extractfile(layer).read())) as files:
            files.extract("echo", folder)
    return os.path.join(folder, "echo")


class Outside:
    """The same server as a process of this machine, and nginx before it."""

    def __init__(self, settings):
        self.settings, self.processes = settings, []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        path = self.folder.name
        try:
            self.start([extract_server(path)], SERVER_PORT, PORT=str(SERVER_PORT))
            self.start(nginx.command(self.settings["nginx"], path, NGINX), nginx.PORT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, command, port, **environment):
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                               env={**os.environ, **environment}))
        common.wait_for_port(port, self.processes[-1], PORT_TIMEOUT_S)

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        self.folder.cleanup()

    @staticmethod
    def url(path, more=""):
        return f"http://127.0.0.1:{nginx.PORT}/{path}?identifier=none{more}"


# ---- small requests --------------------------------------------------------------------------------------------------

def parse_wrk(text):
    """Requests a second, median and p99; an answer that was no success, or none, makes them worthless."""
    if "Non-2xx" in text or "Socket errors" in text:
        raise rest.RestError(f"not all requests were answered: {text[-300:]}")
    quantiles = {percent: float(number) * UNITS_MS[unit]
                 for percent, number, unit in re.findall(r"^ +([0-9]+)%\s+([0-9.]+)(us|ms|s|m) *$", text, re.M)}
    return {"per_second": float(re.search(r"^Requests/sec:\s+([0-9.]+)$", text, re.M)[1]),
            "median_ms": round(quantiles["50"], 3), "p99_ms": round(quantiles["99"], 3)}


def wrk(url, connections, *arguments):
    """What comes first is not counted: the server makes a thread for each connection then."""
    for seconds in WARM_UP_S, WRK_S:
        command = ("wrk", "--latency", "--timeout", "20s", "--threads", "1", "--connections", str(connections), "--duration",
                   f"{seconds}s", *arguments, url)
        output = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout
    return parse_wrk(output)


def proxied_requests(settings, say):
    """The two take turns, so that a machine that gets slower does so for both."""
    if is_missing("echo", say):
        return
    identifier = common.new_identifier()
    token = common.authorization(settings)
    with Containers(settings, "echo") as containers, Outside(settings) as outside:
        containers.prepare()
        before = containers.ask(identifier)["connection"]
        for connections in CONNECTIONS:
            point = {"connections": connections}
            for name, url, arguments in (("hearthd", containers.url("hello", identifier), token),
                                         ("nginx", outside.url("hello"), ())):
                point.update({f"{name}_{key}": value for key, value in wrk(url, connections, *arguments).items()})
            after = containers.ask(identifier)["connection"]
            say(point={**point, "connections_to_container": after - before})
            before = after
        containers.end(identifier)


# ---- large bodies ----------------------------------------------------------------------------------------------------

class Memory:
    """The most that a process held while something went on."""

    def __init__(self, pid):
        self.pid, self.kib, self.over = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(0.1):
            self.kib = max(self.kib, memory.status_kib(self.pid, "VmRSS"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def download(url, size, *arguments):
    seconds, received = common.curl("--output", "/dev/null", "--write-out", "%{size_download}", *arguments, url("bytes", f"&size={size}"))
    if int(received) != size:
        raise rest.RestError(f"{received} of {size} bytes came")
    return seconds


def upload(url, size, *arguments):
    """A file without blocks: nothing is read from a disk for it."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.truncate(size)
        seconds, answer = common.curl("--request", "POST", "--upload-file", file.name, *arguments, url("count"))
    arrived = json.loads(answer)["body"]["size"]
    if arrived != size:
        raise rest.RestError(f"{arrived} of {size} bytes arrived")
    return seconds


def proxied_bodies(settings, say):
    for point in bodies(settings, say, settings["body_mib"]):
        say(point=point)


def proxied_body(settings, say):
    """One of `count` MiB each way."""
    result = {"mib": settings["count"]}
    for point in bodies(settings, say, settings["count"]):
        result.update({f"{point['way']}_{key}": point[key] for key in point if key not in ("way", "mib")})
    if len(result) > 1:
        say(result=result)


def bodies(settings, say, mib):
    """Both ways; what each of them took."""
    if is_missing("echo", say):
        return
    identifier = common.new_identifier()
    token = common.authorization(settings)
    pid = settings["hearthd_pid"]
    with Containers(settings, "echo") as containers, Outside(settings) as outside:
        containers.prepare()
        containers.ask(identifier)

        def inside(path, more=""):
            return containers.url(path, identifier, more)

        for name, way in ("download", download), ("upload", upload):
            before = memory.status_kib(pid, "VmRSS")
            with Memory(pid) as held:
                seconds = way(inside, mib << 20, *token)
            yield {"way": name, "mib": mib, "hearthd_mib_per_second": measure.per_second(mib, seconds),
                   "nginx_mib_per_second": measure.per_second(mib, way(outside.url, mib << 20)),
                   "rss_before_kib": before, "rss_most_kib": max(held.kib, before),
                   "rss_after_kib": memory.status_kib(pid, "VmRSS")}
        containers.end(identifier)


# ---- streams ---------------------------------------------------------------------------------------------------------

class Stream:
    """A line a second, without an end."""

    def __init__(self, settings, url):
        parsed = urllib.parse.urlsplit(url)
        self.received = b""
        self.socket = socket.create_connection((parsed.hostname, parsed.port), rest.TIMEOUT_S)
        self.socket.sendall(f"GET {parsed.path}?{parsed.query} HTTP/1.1\r\nHost: {parsed.netloc}\r\n"
                            f"Authorization: Bearer {settings['token']}\r\n\r\n".encode())

    def wait(self, number):
        """Until the line with that number has come."""
        while f"event {number}\n".encode() not in self.received:
            data = self.socket.recv(1 << 16)
            self.received += data
            if not data or not self.received.startswith(b"HTTP/1.1 200"):
                raise rest.RestError(f"a stream gave {self.received[:300]!r}")


def proxied_streams(settings, say):
    if is_missing("echo", say):
        return
    pid, streams = settings["hearthd_pid"], []
    with Containers(settings, "echo") as containers:
        containers.prepare()
        identifiers = [common.new_identifier() for _ in range(STREAM_SESSIONS)]
        for identifier in identifiers:
            containers.ask(identifier)
        time.sleep(4)  # until connections that were kept for a next request have gone
        before, descriptors = memory.status_kib(pid, "VmRSS"), common.descriptors(pid)
        try:
            for index in range(STREAMS):
                url = containers.url("stream", identifiers[index % STREAM_SESSIONS], "&count=0&ms=1000")
                streams.append(Stream(settings, url))
            for number in 1, 3:
                for stream in streams:
                    stream.wait(number)
            during, opened = memory.status_kib(pid, "VmRSS"), common.descriptors(pid) - descriptors
        finally:
            for stream in streams:
                stream.socket.close()
        time.sleep(3)
        say(point={"streams": STREAMS, "sessions": STREAM_SESSIONS, "rss_before_kib": before, "rss_during_kib": during,
                   "rss_after_kib": memory.status_kib(pid, "VmRSS"), "descriptors": opened,
                   "descriptors_left": common.descriptors(pid) - descriptors})
        for identifier in identifiers:
            containers.end(identifier)
