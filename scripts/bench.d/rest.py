"""A small client of hearthd's REST API for measuring: one connection that stays, and little work of its own.

In the lab an HTTP library of Python's takes longer to build a request than hearthd takes to answer it.
"""

import json
import socket
import urllib.parse

VERSION = "2025-02-02-preview"
ANSWER_MAX = 64 << 20
HEAD_MAX = 64 << 10
TIMEOUT_S = 180


class RestError(Exception):
    """hearthd answered something else than was asked for, or not at all."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        try:
            return json.loads(self.body or b"null")
        except ValueError as error:
            raise RestError(f"an answer that is not JSON: {self.body[:200]!r}") from error

    def timing(self):
        """x-hearth-timing: milliseconds by part; `source` is a word."""
        return parse_timing(self.headers.get("x-hearth-timing", ""))


def parse_timing(text):
    parts = {}
    for part in text.split(","):
        name, separator, value = part.strip().partition("=")
        if not separator:
            continue
        try:
            parts[name] = float(value)
        except ValueError:
            parts[name] = value
    return parts


class Client:
    """Its sessions are those of a pool, of hearthd's own if none is named."""

    def __init__(self, url, token, pool=""):
        self.prefix = f"sessionPools/{pool}/" if pool else ""
        parsed = urllib.parse.urlsplit(url)
        self.address = (parsed.hostname, parsed.port or 80)
        self.head = f"Host: {parsed.netloc}\r\nAuthorization: Bearer {token}\r\n"
        self.socket = None

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def request(self, method, path, body=None, **query):
        """One request; another connection is made if hearthd closed the idle one."""
        query["api-version"] = VERSION
        data = b"" if body is None else json.dumps(body).encode()
        head = (f"{method} /{path}?{urllib.parse.urlencode(query)} HTTP/1.1\r\n{self.head}"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n")
        for is_last in (False, True):
            fresh = self.socket is None
            try:
                if fresh:
                    self.socket = socket.create_connection(self.address, TIMEOUT_S)
                    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.sendall(head.encode() + data)
                return self.answer()
            except (ConnectionError, EOFError) as error:
                self.close()
                if fresh or is_last:
                    raise RestError(f"{method} {path}: hearthd closed the connection") from error
            except OSError as error:
                self.close()
                raise RestError(f"{method} {path}: {error}") from error

    def answer(self):
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.receive(HEAD_MAX, len(received))
        head, body = received.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        parts, missing = [body], int(headers.get("content-length", 0)) - len(body)
        while missing > 0:
            parts.append(self.receive(ANSWER_MAX, 0))
            missing -= len(parts[-1])
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(lines[0].split()[1]), headers, b"".join(parts))

    def receive(self, limit, so_far):
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError
        if len(data) + so_far > limit:
            raise RestError("hearthd's answer is too long")
        return data

    # ---- what the benchmark asks for ----

    def execute(self, identifier, code):
        """Runs code in a session; its answer, checked to be a success."""
        answer = self.request("POST", f"{self.prefix}executions", {"code": code}, identifier=identifier)
        if answer.status not in (200, 202):
            raise RestError(f"execution: {answer.status} {answer.body[:300].decode(errors='replace')}")
        body = answer.json()
        if body.get("status") != "Succeeded":
            raise RestError(f"execution: {str(body)[:500]}")
        return answer

    def print_one(self, identifier):
        """What every start is measured to: the result of print(1)."""
        answer = self.execute(identifier, "print(1)")
        stdout = answer.json()["result"]["stdout"]
        if stdout != "1\n":
            raise RestError(f"print(1) printed {stdout[:100]!r}")
        return answer

    def end(self, identifier):
        answer = self.request("DELETE", f"{self.prefix}session", identifier=identifier)
        if answer.status not in (200, 204):
            raise RestError(f"ending a session: {answer.status} {answer.body[:300].decode(errors='replace')}")
