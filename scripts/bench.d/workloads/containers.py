"""Sessions of containers: the example images, pools of them, and how such sessions start, one by one and many at once."""

import json
import os
import subprocess
import time

import measure
import memory
import rest
from workloads import common, pool, scale
from workloads.images import HEARTH, archive
from workloads.starts import series

READY = 4
STOCK_TIMEOUT_S = 60
PATHS = {"echo": "hello", "service": "health"}  # what is asked of them


def is_missing(image, say):
    """Says so, too."""
    if os.path.exists(archive(image)):
        return False
    say(skipped=f"there is no image: scripts/example-images {image} makes it")
    return True


def ensure_imported(settings, image):
    words = "--image-dir", settings["image_dir"]
    known = subprocess.run([HEARTH, "image", "inspect", *words, image], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
    if known.returncode != 0:
        subprocess.run([HEARTH, "image", "import", *words, archive(image), image], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, check=True)


class Containers:
    """A pool of an example image, with its sessions; it goes at the end, and what it kept ready with it."""

    def __init__(self, settings, image, ready=0, sessions=16):
        self.settings, self.image, self.ready, self.sessions = settings, image, ready, sessions
        self.name = f"bench-{image}"
        self.api = common.client(settings)

    def __enter__(self):
        ensure_imported(self.settings, self.image)
        container = {"image": self.image, "name": "main", "resources": pool.resources(self.settings["memory_mib"])}
        pool.check_made(pool.put_properties(self.api, self.name, self.ready, self.sessions, containerType="CustomContainer",
                                            customContainerTemplate={"containers": [container]}))
        return self

    def __exit__(self, *_):
        pool.delete(self.api, self.name)
        self.api.close()

    def prepare(self):
        """Makes its template, which a first session makes wanted where nothing is kept ready."""
        if not self.ready:
            identifier = common.new_identifier()
            self.ask(identifier)
            self.end(identifier)
        if not pool.wait_until(self.api, self.name, lambda now: now["template"] == "ready", pool.TEMPLATE_TIMEOUT_S):
            raise rest.RestError(f"there is no template: {pool.counts(self.api, self.name).get('template')}")
        self.refill()

    def refill(self):
        pool.wait_until(self.api, self.name, lambda now: now["ready"] >= self.ready and not now.get("preparing"), STOCK_TIMEOUT_S)

    def url(self, path, identifier, more=""):
        return f"{self.settings['url']}/sessionPools/{self.name}/{path}?identifier={identifier}{more}"

    def ask(self, identifier, path=""):
        """What the container answers to a GET: an object."""
        path = path or PATHS[self.image]
        answer = self.api.request("GET", f"sessionPools/{self.name}/{path}", identifier=identifier)
        if answer.status != 200:
            raise rest.RestError(f"a container's answer: {answer.status} {answer.body[:500].decode(errors='replace')}")
        return answer.json()

    def started_by(self, identifier):
        """warm, restore or boot."""
        return self.api.request("GET", f"sessionPools/{self.name}/.management/session", identifier=identifier).json()["source"]

    def end(self, identifier):
        self.api.request("DELETE", f"sessionPools/{self.name}/.management/session", identifier=identifier)


# ---- one by one ------------------------------------------------------------------------------------------------------

def starts(settings, say, image, wanted):
    """From the request on a new identifier to the container's answer."""
    if is_missing(image, say):
        return
    with Containers(settings, image, READY if wanted == "warm" else 0) as containers:
        if wanted == "warm":
            containers.prepare()

        def start():
            containers.refill()
            identifier = common.new_identifier()
            began = time.monotonic()
            containers.ask(identifier)
            ms = (time.monotonic() - began) * 1000
            source = containers.started_by(identifier)
            containers.end(identifier)
            return ms, source, {}

        series(settings, say, wanted, start)


def echo_cold_start(settings, say):
    starts(settings, say, "echo", "boot")


def echo_warm_start(settings, say):
    starts(settings, say, "echo", "warm")


def service_cold_start(settings, say):
    starts(settings, say, "service", "boot")


def service_warm_start(settings, say):
    starts(settings, say, "service", "warm")


# ---- many at once ----------------------------------------------------------------------------------------------------

def container_sessions(settings, say):
    """`count` sessions of one image alive at once, each of which has answered; then all are asked again, and must have
    counted on."""
    if is_missing("echo", say):
        return
    count, identifiers = settings["count"], []
    with Containers(settings, "echo", sessions=count) as containers:
        containers.prepare()
        before, kills, began = memory.available_kib(), scale.oom_kills(), time.monotonic()
        starting = []
        for index in range(count):
            identifiers.append(common.new_identifier())
            asked = time.monotonic()
            if containers.ask(identifiers[-1], "random")["counter"] != 1:
                raise rest.RestError("a new session is not new")
            starting.append((time.monotonic() - asked) * 1000)
            if (index + 1) % 20 == 0:
                say(point={"sessions": index + 1, "machine_kib": before - memory.available_kib(),
                           "seconds": round(time.monotonic() - began, 1)})
        started, answered, answers, drawn = time.monotonic(), 0, [], set()
        for identifier in identifiers:
            asked = time.monotonic()
            answer = containers.ask(identifier, "random")
            answers.append((time.monotonic() - asked) * 1000)
            answered += answer["counter"] == 2
            drawn.add(json.dumps(answer["random"]))
        say(result={"sessions": count, "answered": answered, "different": len(drawn), "start_seconds": round(started - began, 1),
                    "start_ms": measure.summary(starting), "answer_ms": measure.summary(answers),
                    "machine_kib": before - memory.available_kib(), "swapped_kib": scale.swapped_kib(),
                    "oom_kills": scale.oom_kills() - kills, "hearthd": scale.hearthd(settings)})
        for identifier in identifiers:
            containers.end(identifier)
