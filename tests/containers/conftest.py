"""Containers in microVMs of one service (tests/e2e/service.py), over HTTP: images as users import them, pools of them."""

import json
import os
import secrets
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from fixtures import host  # noqa: E402, F401
from service import RUNTIME, STATE, Service  # noqa: E402

IMAGES = os.path.join(STATE, "container-images")
DATABASE = f"{RUNTIME}-containers.db"
OPTIONS = ("--database", DATABASE, "--image-dir", IMAGES, "--session-memory-mib", "512", "--max-sessions", "8",
           "--ready-sessions", "0", "--min-cooldown-seconds", "1", "--boot-timeout-seconds", "180")


@pytest.fixture(scope="session")
def image():
    """Makes an example image and imports it, once; the name that it has then."""
    names = set()

    def imported(name):
        if name not in names:
            subprocess.run(["scripts/example-images", name], cwd=ROOT, stdin=subprocess.DEVNULL, check=True)
            subprocess.run(["build/hearth", "image", "import", "--image-dir", IMAGES, f"build/example-images/{name}.tar",
                            name], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
            names.add(name)
        return name

    return imported


@pytest.fixture(scope="session")
def service(host, image):
    host.shell(f"rm -f {DATABASE}*")
    service = Service(host)
    try:
        service.start(*OPTIONS)
        yield service
    finally:
        service.stop()
        host.shell(f"rm -f {DATABASE}*")


class Container:
    """One session of a pool of containers."""

    def __init__(self, client, identifier=None):
        self.client = client
        self.identifier = identifier or f"c-{secrets.token_hex(6)}"

    def request(self, method, path, **options):
        return self.client.request(method, path, version=None, identifier=self.identifier, **options)

    def get(self, path, **options):
        response = self.request("GET", path, **options)
        assert response.status_code == 200, f"{response.status_code}: {response.text[:2000]}"
        return response.json()

    def manage(self, method, path, **options):
        return self.client.request(method, f".management/{path}", identifier=self.identifier, **options)

    def show(self):
        response = self.manage("GET", "session")
        assert response.status_code in (200, 404), response.text
        return response.json() if response.status_code == 200 else None

    def logs(self, **params):
        """What it wrote: pairs of stream and text, and the end, if there was one."""
        response = self.manage("GET", "session/logs", params=params, headers={"Accept": "application/x-ndjson"})
        assert response.status_code == 200, response.text
        lines = [json.loads(line) for line in response.text.splitlines()]
        text = {stream: "".join(line["text"] for line in lines if line.get("stream") == stream)
                for stream in ("stdout", "stderr")}
        return text, next((line["ended"] for line in lines if "ended" in line), None)

    def end(self):
        return self.manage("DELETE", "session")


class Pool:
    def __init__(self, service, name, image, container=None, ready=0, sessions=4, template=None, **properties):
        self.service, self.name = service, name
        self.client = service.client(name)
        self.path = f"{service.url}/sessionPools/{name}"
        described = {"image": image, "name": "main", "resources": {"cpu": 1, "memory": "0.5Gi"}, **(container or {})}
        self.body = {"properties": {
            "containerType": "CustomContainer", "environmentId": "any",
            "scaleConfiguration": {"maxConcurrentSessions": sessions, "readySessionInstances": ready},
            "customContainerTemplate": {"containers": [described], **(template or {})}, **properties}}

    def put(self):
        return self.client.http.put(self.path, json=self.body, timeout=60)

    def session(self, identifier=None):
        return Container(self.client, identifier)

    def delete(self):
        return self.client.http.delete(self.path, timeout=60)


@pytest.fixture(scope="session")
def make_pool(service, image):
    """Makes pools of an example image, which go at the end."""
    pools = []

    def make_one(name="echo", **settings):
        pool = Pool(service, f"containers-{secrets.token_hex(4)}", image(name), **settings)
        response = pool.put()
        assert response.status_code in (200, 201), response.text
        pools.append(pool)
        return pool

    yield make_one
    for pool in pools:
        pool.delete()


@pytest.fixture(scope="session")
def echo_pool(make_pool):
    """A pool of the echo server with two ready sessions, for all tests that need nothing else."""
    pool = make_pool("echo", ready=2, sessions=6)
    pool.client.wait_until_ready(2, 300)
    return pool


@pytest.fixture
def echo(echo_pool):
    session = echo_pool.session()
    yield session
    session.end()
