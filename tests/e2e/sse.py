"""Reads the server-sent events of an execution."""

import json
import time
from dataclasses import dataclass

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
    response = session.client.post("executions", flat_body(code, language, timeout), identifier=session.identifier,
                                   headers={"Accept": "text/event-stream"}, stream=True)
    with response:
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        yield from parse(line.decode() for line in response.iter_lines(chunk_size=1))


def text_of(events, kind):
    return "".join(event.data["text"] for event in events if event.type == kind)
