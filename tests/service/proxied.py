"""A pool of containers in a hearthd whose microVMs are played: requests that it passes on to a server of the test's own."""

import socket

import requests

from container import Container
from played import Service

POOL = "subscriptions/s/resourceGroups/g/providers/Microsoft.App/sessionPools/web"
IMAGE = "registry.example/web:1"
DEFINITION = {"location": "here", "properties": {
    "containerType": "CustomContainer", "environmentId": "e", "scaleConfiguration": {"maxConcurrentSessions": 9, "readySessionInstances": 0},
    "customContainerTemplate": {"containers": [{"image": IMAGE, "name": "web"}], "ingress": {"targetPort": 80}}}}
COOLING_AT_ONCE = {**DEFINITION, "properties": {**DEFINITION["properties"], "dynamicPoolConfiguration": {
    "lifecycleConfiguration": {"lifecycleType": "Timed", "cooldownPeriodInSeconds": 1}}}}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class ServiceOfContainers(Service):
    """One in which a server of the test's own is the container of every session."""

    def __init__(self, hearthd, folder):
        super().__init__(hearthd, folder)
        self.container = Container(folder)
        self.container.answer(OK)

    def end(self):
        self.container.close()
        super().end()


class Web(ServiceOfContainers):
    def __init__(self, hearthd, folder, authority=None):
        super().__init__(hearthd, folder)
        self.authority = authority  # a file: hearthd speaks TLS
        response = self.pool("PUT", json=DEFINITION)
        assert response.status_code == 201, response.text

    def pool(self, method, path="", **options):
        return requests.request(method, f"{self.hearthd.url}/{POOL}{path}", params={"api-version": "2025-07-01"},
                                headers={"Authorization": f"Bearer {self.hearthd.token}"}, timeout=60, verify=self.authority, **options)

    def call(self, method="GET", path="/", identifier="a", **options):
        headers = {"Authorization": f"Bearer {self.hearthd.token}", **options.pop("headers", {})}
        separator = "&" if "?" in path else "?"
        return requests.request(method, f"{self.hearthd.url}/{POOL}{path}{separator}identifier={identifier}",
                                headers=headers, timeout=60, allow_redirects=False, verify=self.authority, **options)

    def connect(self):
        host, port = self.hearthd.url.split("//")[1].rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=60)

    def head(self, line="GET /{pool}/?identifier=a HTTP/1.1", *headers):
        lines = [line.format(pool=POOL), "Host: hearth.example", f"Authorization: Bearer {self.hearthd.token}", *headers]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def raw(self, request):
        """All that comes until hearthd closes, or says nothing for a second."""
        with self.connect() as connection:
            connection.sendall(request)
            connection.settimeout(1)
            answer = b""
            try:
                while data := connection.recv(65536):
                    answer += data
            except TimeoutError:
                pass
            return answer


def receive_until(connection, end):
    data = b""
    while end not in data:
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def headers_of(head):
    return [name.lower() for name, _ in head[1]], {name.lower(): value for name, value in head[1]}


def error_code(response):
    return response.json()["error"]["code"]
