"""A web service that runs Python code and remembers what it did, with nothing but the standard library.

    GET /           what it is, and how often it ran something
    POST /run       {"code": "x = 6 * 7; x"}: what it printed, and the value of its last expression; variables stay
    GET /health     for probes; answers while code runs, too

It listens on port $PORT or 8080, and ends at SIGTERM.
"""

import ast
import asyncio
import contextlib
import io
import json
import os
import platform
import signal
import sys
import traceback

BODY_MAX = 16 << 20
HEAD_MAX = 64 << 10


class Session:
    """The variables of the code that ran; one piece of it runs at a time."""

    def __init__(self):
        self.variables = {"__name__": "__main__"}
        self.runs = 0
        self.lock = asyncio.Lock()

    async def run(self, code):
        async with self.lock:
            self.runs += 1
            return await asyncio.to_thread(self.execute, code)

    def execute(self, code):
        output, value, error = io.StringIO(), None, None
        try:
            tree = ast.parse(code, "<code>")
            last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                exec(compile(tree, "<code>", "exec"), self.variables)
                if last:
                    value = eval(compile(last, "<code>", "eval"), self.variables)
        except BaseException as raised:  # SystemExit too: it is the code's own
            error = "".join(traceback.format_exception(type(raised), raised, raised.__traceback__.tb_next))
        return {"output": output.getvalue(), "result": None if value is None else repr(value), "error": error,
                "run": self.runs}


class BadRequest(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


async def read_head(reader):
    """(method, path, headers), or None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(431, "the headers are too long") from None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        raise BadRequest(400, "this is no request of HTTP/1.1")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return words[0], words[1].partition("?")[0], headers


async def read_body(reader, headers):
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            if len(body) + size > BODY_MAX:
                raise BadRequest(413, "the body is too long")
            body += await reader.readexactly(size)
            await reader.readline()
        while (await reader.readline()).strip():
            pass
        return body
    size = int(headers.get("content-length", "0"))
    if size > BODY_MAX:
        raise BadRequest(413, "the body is too long")
    return await reader.readexactly(size)


async def answer(session, method, path, body):
    """(status, what becomes JSON)"""
    if path == "/health":
        return 200, {"ok": True}
    if path == "/" and method in ("GET", "HEAD"):
        return 200, {"service": "example", "python": platform.python_version(), "host": platform.node(), "runs": session.runs}
    if path == "/run":
        if method != "POST":
            return 405, {"error": "POST it"}
        try:
            code = json.loads(body)["code"]
        except (ValueError, TypeError, KeyError):
            code = None
        if not isinstance(code, str):
            return 400, {"error": 'the body has to be {"code": "…"}'}
        return 200, await session.run(code)
    return 404, {"error": f"there is no {path}"}


async def send(writer, method, status, value, closes):
    body = json.dumps(value).encode() + b"\n"
    writer.write(b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n" % (
        status, b"OK" if status < 400 else b"Error", len(body), b"Connection: close\r\n" if closes else b""))
    if method != "HEAD":
        writer.write(body)
    await writer.drain()


async def serve(session, reader, writer):
    try:
        closes = False
        while not closes and (head := await read_head(reader)):
            method, path, headers = head
            closes = "close" in headers.get("connection", "").lower()
            if headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await read_body(reader, headers)
            await send(writer, method, *await answer(session, method, path, body), closes)
    except BadRequest as bad:
        with contextlib.suppress(ConnectionError):
            await send(writer, "", bad.status, {"error": str(bad)}, True)
    except (ConnectionError, EOFError, ValueError):
        pass  # the client went away, or does not speak HTTP
    finally:
        writer.close()


def log(text):
    print(f"service: {text}", file=sys.__stdout__, flush=True)  # sys.stdout may be the code's just now


async def main():
    session = Session()
    port = int(os.environ.get("PORT", "8080"))
    server = await asyncio.start_server(lambda reader, writer: serve(session, reader, writer), "0.0.0.0", port, limit=HEAD_MAX)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    log(f"listening on port {port}")
    async with server:
        await ended.wait()
    log("asked to end")
    os._exit(0)  # code that still runs in its thread is not waited for


asyncio.run(main())
