"""A Hearth service as a kernel sees it: where it is, how it is entered, and three requests."""

import http.client
import json
import os
import socket
import ssl
from urllib.parse import quote, urlencode, urlsplit

API_VERSION = "2025-10-02-preview"
SILENCE_MAX_S = 120  # hearthd sends a comment every 15 seconds while code runs
CALL_TIMEOUT_S = 30


class ServiceError(Exception):
    """Why a request came to nothing, in a sentence for the user."""


class Service:
    """url, pool, token_file and ca_certificate that are empty are taken from the environment, as the command `hearth` does."""

    def __init__(self, url="", pool="", token_file="", ca_certificate=""):
        self.url = urlsplit(url or os.environ.get("HEARTH_URL") or "http://127.0.0.1:8080")
        if self.url.scheme not in ("http", "https") or not self.url.hostname:
            raise ServiceError(f"{self.url.geturl()!r} is no address of a Hearth service: set HEARTH_URL")
        self.pool = pool or os.environ.get("HEARTH_POOL", "")
        self.token_file = token_file
        self.ca_certificate = ca_certificate or os.environ.get("HEARTH_CA_CERTIFICATE", "")

    def token(self):
        """Read anew for each request, so that a file may be renewed."""
        if not self.token_file and os.environ.get("HEARTH_TOKEN"):
            return os.environ["HEARTH_TOKEN"]
        path = self.token_file or os.environ.get("HEARTH_TOKEN_FILE")
        if not path:
            raise ServiceError("there is no token: set HEARTH_TOKEN or HEARTH_TOKEN_FILE where Jupyter is started")
        try:
            with open(path) as file:
                return file.read().strip()
        except OSError as error:
            raise ServiceError(f"the token cannot be read: {error}") from error

    def connect(self, timeout):
        host, port = self.url.hostname, self.url.port
        if self.url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            context = ssl.create_default_context(cafile=self.ca_certificate or None)
        except OSError as error:
            raise ServiceError(f"the certificate authority {self.ca_certificate} cannot be used: {error}") from error
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)

    def path(self, route, identifier):
        pool = f"/sessionPools/{quote(self.pool, safe='')}" if self.pool else ""
        query = urlencode({"api-version": API_VERSION, "identifier": identifier})
        return f"{self.url.path.rstrip('/')}{pool}/{route}?{query}"

    def request(self, method, route, identifier, body=None, accept="application/json", timeout=CALL_TIMEOUT_S):
        """The connection and its response, whose status is 2xx; the caller closes the connection."""
        headers = {"Authorization": f"Bearer {self.token()}", "Accept": accept, "Content-Type": "application/json"}
        connection = self.connect(timeout)
        try:
            connection.request(method, self.path(route, identifier), body and json.dumps(body), headers)
            response = connection.getresponse()
            if response.status // 100 != 2:
                raise ServiceError(explain(response))
            return connection, response
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ServiceError(f"the service at {self.url.geturl()} cannot be reached: {error or type(error).__name__}") \
                from error
        except BaseException:
            hang_up(connection)
            raise

    def execute(self, identifier, body):
        """Yields (event, data) of an execution as they come. Who stops before the end interrupts the code."""
        connection, response = self.request("POST", "executions", identifier, body, "text/event-stream", SILENCE_MAX_S)
        try:
            yield from events(response)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"the connection to the service broke: {error or type(error).__name__}") from error
        finally:
            hang_up(connection)

    def evaluate(self, identifier, body):
        """The value of an execution's last expression; None if the code failed."""
        connection, response = self.request("POST", "executions", identifier, body)
        try:
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceError(f"the service's answer cannot be read: {error}") from error
        finally:
            connection.close()
        return answer["result"]["executionResult"] if answer.get("status") == "Succeeded" else None

    def end(self, identifier):
        """Ends a session; one that is not there is fine."""
        connection, _ = self.request("DELETE", "session", identifier)
        connection.close()


def hang_up(connection):
    """Closes it at once, also where a response still holds the socket."""
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    connection.close()


def explain(response):
    try:
        error = json.loads(response.read(1 << 16))["error"]
        return f"{error['message']} ({error['code']}, status {response.status})"
    except (OSError, ValueError, KeyError, TypeError):
        return f"the service answers with status {response.status}: is it hearthd?"


def events(lines):
    """The Server-Sent Events of a response: pairs of the event's name and its JSON."""
    kind, data = "message", []
    for line in lines:
        line = line.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield kind, json.loads("\n".join(data))
            kind, data = "message", []
        elif line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
