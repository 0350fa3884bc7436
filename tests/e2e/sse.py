"""Reads the server-sent events of an execution."""

import http.client
import json
import time
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from service import flat_body


@dataclass
class Event:
    type: str
    data: dict
    at: float  # when it came, in seconds of time.monotonic()


def parse(lines):
    """Events from the lines of a stream, comments left out."""
    kind, data = None, []
    for line in lines:
        if not line and data:
            yield Event(kind, json.loads("\n".join(data)), time.monotonic())
            kind, data = None, []
        elif line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


def stream(session, code, language="python", timeout=None):
    """Runs code and yields its events as they come."""
    # http.client hands over each line at once; requests would wait for a block, or read byte by byte.
    url = urlsplit(session.client.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=300)
    query = urlencode({"api-version": session.client.NEW, "identifier": session.identifier})
    try:
        connection.request("POST", f"/executions?{query}", json.dumps(flat_body(code, language, timeout)),
                           {"Authorization": session.client.http.headers["Authorization"],
                            "Content-Type": "application/json", "Accept": "text/event-stream"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield from parse(line.decode().rstrip("\r\n") for line in response)
    finally:
        connection.close()


def text_of(events, kind):
    return "".join(event.data["text"] for event in events if event.type == kind)
