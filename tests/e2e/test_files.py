"""Files of a session over HTTP: both families' shapes, every client's way of writing a body, hostile names, large files."""

import hashlib
import json
import os
import socket
import threading
import time
from urllib.parse import quote, urlsplit

import pytest
import requests

from service import Client

NEW_VERSIONS = ["2024-10-02-preview", "2025-02-02-preview", "2025-10-02-preview", None]
LEGACY_VERSIONS = ["2024-02-02-preview", "2024-08-02-preview"]
SIZE_MAX = 128 << 20


class Files:
    """The files of one session, in the new family's routes."""

    def __init__(self, client, session):
        self.client, self.session = client, session

    def request(self, method, path, **options):
        return self.client.request(method, path, identifier=self.session.identifier, **options)

    def upload(self, name, content, **params):
        response = self.request("POST", "files", params=params, files={"file": (name, content)})
        assert response.status_code == 200, response.text
        return response.json()

    def list(self, **params):
        response = self.request("GET", "files", params=params)
        assert response.status_code == 200, response.text
        return response.json()["value"]

    def names(self, **params):
        return [entry["name"] for entry in self.list(**params)]

    def download(self, name, **params):
        response = self.request("GET", f"files/{quote(name, safe='')}/content", params=params)
        assert response.status_code == 200, response.text
        return response.content

    def delete(self, name, **params):
        return self.request("DELETE", f"files/{quote(name, safe='')}", params=params)

    def raw(self, head, body, route="files", chunks=None):
        """Sends a request byte for byte. Returns (status, JSON or None)."""
        address = urlsplit(self.client.service_url)
        target = f"/{route}?api-version=2024-02-02-preview&identifier={quote(self.session.identifier)}"
        text = (f"POST {target} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                f"Authorization: {self.client.http.headers['Authorization']}\r\n{head}\r\n")
        with socket.create_connection((address.hostname, address.port), timeout=120) as s:
            s.sendall(text.encode() + (body if chunks is None else b""))
            for chunk in chunks or ():
                s.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if chunks is not None:
                s.sendall(b"0\r\n\r\n")
            stream = s.makefile("rb")
            status = int(stream.readline().split()[1])
            headers = {}
            while (line := stream.readline().strip()):
                key, _, value = line.decode().partition(":")
                headers[key.lower()] = value.strip()
            answer = stream.read(int(headers.get("content-length", 0)))
            return status, json.loads(answer) if answer else None


@pytest.fixture
def files(client, session):
    files = Files(client, session)
    session.python("import os, shutil\n"
                   "for e in os.scandir('/mnt/data'):\n"
                   "    shutil.rmtree(e.path) if e.is_dir(follow_symlinks=False) else os.remove(e.path)\n"
                   "os.chdir('/mnt/data')")
    return files


# ---- shapes ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", NEW_VERSIONS)
def test_new_family(files, version):
    response = files.request("POST", "files", version=version, files={"file": ("a.txt", b"testing")})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    entry = response.json()
    modified = entry.pop("lastModifiedAt")
    assert entry == {"name": "a.txt", "type": "file", "contentType": "text/plain; charset=utf-8", "sizeInBytes": 7,
                     "directory": "."}
    assert modified.endswith("Z") and len(modified) == len("2024-11-11T09:05:02.4865293Z")
    entry["lastModifiedAt"] = modified
    assert files.request("GET", "files", version=version).json() == {"value": [entry]}
    assert files.request("GET", "files/a.txt", version=version).json() == entry
    response = files.request("GET", "files/a.txt/content", version=version)
    assert response.content == b"testing"
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-length"] == "7"
    response = files.request("DELETE", "files/a.txt", version=version)
    assert (response.status_code, response.content) == (204, b"")
    assert files.request("GET", "files", version=version, params={"path": ""}).json() == {"value": []}


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
@pytest.mark.parametrize("route", ["files/upload", "python/uploadFile"])
def test_legacy_family(files, version, route):
    response = files.request("POST", route, version=version, files={"file": ("a.txt", b"testing")})
    assert response.status_code == 200
    properties = response.json()["value"][0]["properties"]
    assert (properties["filename"], properties["size"]) == ("a.txt", 7)
    assert properties["lastModifiedTime"].endswith("Z")
    assert files.request("GET", "files", version=version).json() == {"value": [{"properties": properties}]}
    assert files.request("GET", "files/a.txt", version=version).json() == {"properties": properties}
    for address in ("files/content/a.txt", "files/content/a.txt/content", "python/downloadFile/a.txt"):
        assert files.request("GET", address, version=version).content == b"testing"
    assert files.request("DELETE", "files/a.txt", version=version).status_code == 204
    assert files.request("GET", "files", version=version).json() == {"value": []}


def test_every_route_under_every_version(files):
    for version in (Client.LEGACY, Client.NEW):
        assert "value" in files.request("POST", "files/upload", version=version, files={"file": ("a", b"1")}).json()
        assert "name" in files.request("POST", "files", version=version, files={"file": ("a", b"1")}).json()
        for address in ("files/content/a", "files/a/content"):
            assert files.request("GET", address, version=version).content == b"1"


def test_under_the_pools_endpoint_and_with_the_identifier_in_the_path(client, files, session):
    files.upload("a.txt", b"1")
    prefix = "subscriptions/s/resourceGroups/g/sessionPools/default"
    assert client.request("GET", f"{prefix}/files", identifier=session.identifier).json()["value"][0]["name"] == "a.txt"
    assert client.request("GET", f"identifier/{session.identifier}/files/a.txt/content").content == b"1"


def test_the_first_request_of_an_identifier_makes_a_session(client, new_session):
    session = new_session()
    response = client.request("GET", "files", identifier=session.identifier)
    assert response.json() == {"value": []}
    assert client.session(session.identifier)["etag"] == response.headers["x-ms-session-guid"]
    assert session.python("import os; os.getcwd()").result == "/mnt/data"


def test_code_and_client_see_each_others_files(files, session):
    files.upload("in.csv", b"a,b\n1,2\n")
    execution = session.python("import os\nopen('/mnt/data/in.csv').read(), os.stat('in.csv').st_uid == os.getuid()")
    assert execution.result == "('a,b\\n1,2\\n', True)"
    session.python("open('/mnt/data/out.bin', 'wb').write(bytes(range(256)))")
    assert files.download("out.bin") == bytes(range(256))
    assert files.names() == ["in.csv", "out.bin"]
    assert session.python("open('in.csv', 'a').write('3,4\\n')").ok  # it is the code's own


def test_replacing_a_file(files):
    files.upload("a", b"one")
    files.upload("a", b"two!")
    assert files.download("a") == b"two!"
    assert files.names() == ["a"]


# ---- names and folders -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["a b.txt", "día ñ.txt", "数据.csv", "100%.txt", "%41.txt", "it's (1) [2] {3}.txt",
                                  "a+b&c=d;e,f#g$h@i.txt", "content", ".hidden", "x" * 255, "-rf", "~", "a\\b"])
def test_names(files, session, name):
    assert files.upload(name, b"here")["name"] == name
    assert files.names() == [name]
    assert session.python("import os; os.listdir('/mnt/data')[0]").result == name
    assert files.request("GET", f"files/{quote(name, safe='')}").json()["name"] == name
    assert files.download(name) == b"here"
    assert files.request("GET", f"files/content/{quote(name, safe='')}", version=Client.LEGACY).content == b"here"
    assert files.delete(name).status_code == 204
    assert files.names() == []


def test_names_of_code_need_not_be_text(files, session):
    session.python("open(b'/mnt/data/\\xff\"', 'w').close()")
    assert files.names() == ["\ufffd\""]


@pytest.mark.parametrize("path, name, where", [
    (None, "/mnt/data/a.txt", "a.txt"), ("", "a.txt", "a.txt"), ("/", "a.txt", "a.txt"), (".", "a.txt", "a.txt"),
    ("/mnt/data", "a.txt", "a.txt"), ("mnt/data", "a.txt", "a.txt"), ("sub", "a.txt", "sub/a.txt"),
    ("/sub", "a.txt", "sub/a.txt"), ("/mnt/data/sub/", "a.txt", "sub/a.txt"), ("s u/b", "a.txt", "s u/b/a.txt"),
    (None, "sub/a.txt", "sub/a.txt"), ("sub", "/mnt/data/a.txt", "a.txt"), ("sub", "deep/a.txt", "sub/deep/a.txt"),
])
def test_folders(files, session, path, name, where):
    params = {} if path is None else {"path": path}
    entry = files.upload(name, b"here", **params)
    folder, _, base = where.rpartition("/")
    assert (entry["name"], entry["directory"]) == (base, folder or ".")
    assert session.python(f"open('/mnt/data/{where}').read()").result == "here"
    assert files.names(path=folder) == [base]
    assert files.download(base, path=folder) == files.download(where) == b"here"
    assert files.request("GET", f"files/{where}/content").content == b"here"  # slashes that are not encoded
    assert where in [entry["directory"].removeprefix(".").lstrip("/") + "/" * (entry["directory"] != ".")
                     + entry["name"] for entry in files.list(recursive="true")]
    assert files.delete(base, path=folder).status_code == 204


def test_lists_are_sorted_and_have_folders_in_the_new_family(files, session):
    session.python("import os; os.mkdir('/mnt/data/b'); [open('/mnt/data/' + n, 'w').close() for n in ('c', 'a')]")
    assert [(e["name"], e["type"]) for e in files.list()] == [("a", "file"), ("b", "directory"), ("c", "file")]
    legacy = files.request("GET", "files", version=Client.LEGACY).json()["value"]
    assert [e["properties"]["filename"] for e in legacy] == ["a", "c"]


@pytest.mark.parametrize("name", ["../x", "..", "a/../../x", "/mnt/data/../x", "", "/", "x" * 256, "new\nline", "tab\t"])
def test_bad_names(files, session, name):
    boundary = "bbb"
    escaped = name.replace("\n", "%0A")
    body = (f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{escaped}"\r\n\r\nx\r\n'
            f"--{boundary}--\r\n").encode()
    status, answer = files.raw(f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
                               f"Content-Length: {len(body)}\r\n", body)
    assert (status, answer["error"]["code"]) == (400, "FilePathInvalid")
    if name.strip("/") and name != "..":  # which the client itself makes something else of
        for method, address in (("GET", "files/{}/content"), ("GET", "files/{}"), ("DELETE", "files/{}")):
            response = files.request(method, address.format(quote(name, safe="")))
            assert (response.status_code, response.json()["error"]["code"]) == (400, "FilePathInvalid"), method
            assert response.headers["x-ms-error-code"] == "FilePathInvalid"
    assert session.python("sorted(os.listdir('/mnt'))").result == "['data']"


def test_bad_folders(files):
    for folder in ("..", "/mnt/data/../..", "a/../b", "x\ny"):
        response = files.request("GET", "files", params={"path": folder})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "FilePathInvalid")


def test_links_lead_nowhere(files, session):
    session.python("import os\nos.symlink('/etc/passwd', 'file')\nos.symlink('/etc', 'folder')\n"
                   "os.symlink('/proc/self/root', 'magic')\nos.symlink('..', 'up')")
    for path in ("file", "folder/passwd", "magic/etc/passwd", "up/data/file"):
        response = files.request("GET", f"files/{quote(path, safe='')}/content")
        assert (response.status_code, response.json()["error"]["code"]) == (400, "FilePathInvalid"), path
    response = files.request("POST", "files", params={"path": "folder"}, files={"file": ("x", b"x")})
    assert response.status_code == 400
    assert files.names(recursive="true") == []


def test_missing_files(files):
    for method, address in (("GET", "files/none"), ("GET", "files/none/content"), ("DELETE", "files/none"),
                            ("GET", "files/content/none")):
        response = files.request(method, address)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "FileNotFound")
    assert files.request("GET", "files", params={"path": "none"}).status_code == 404


def test_folders_are_no_files(files):
    files.upload("a", b"1", path="folder")
    for method, address in (("GET", "files/folder/content"), ("DELETE", "files/folder")):
        assert files.request(method, address).status_code == 409
    assert files.request("GET", "files", params={"path": "folder/a"}).status_code == 409
    assert files.request("POST", "files", params={"path": "folder/a"}, files={"file": ("x", b"")}).status_code == 409


# ---- bodies as clients write them ------------------------------------------------------------------------------------

def body_of(disposition, content=b"hi\r\n--not\r\n", boundary="xyz", more=""):
    return (f"--{boundary}\r\n{disposition}\r\n{more}\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode())


DIALECTS = {
    "requests": ("multipart/form-data; boundary=xyz", 'Content-Disposition: form-data; name="file"; filename="día ñ.txt"',
                 "", "día ñ.txt"),
    "json-label": ("application/json", 'Content-Disposition: form-data; name="file"; filename="a.txt"', "", "a.txt"),
    "no-label": (None, 'Content-Disposition: form-data; name="file"; filename="a.txt"', "", "a.txt"),
    "dotnet": ('multipart/form-data; boundary="xyz"',
               "Content-Disposition: form-data; name=file; filename=a.txt; filename*=utf-8''a%20%C3%B1.txt", "", "a ñ.txt"),
    "dotnet-word": ('multipart/form-data; boundary="xyz"',
                    'Content-Disposition: form-data; name=file; filename="=?utf-8?B?w7EudHh0?="', "", "ñ.txt"),
    "aiohttp": ("multipart/form-data; boundary=xyz",
                'Content-Type: text/plain\r\nContent-Disposition: form-data; name="file"; filename="u%20%C3%B1.txt"',
                "User-Agent: Python/3.11 aiohttp/3.8.4\r\n", "u ñ.txt"),
    "undici": ("multipart/form-data; boundary=xyz",
               'content-disposition: form-data; name="file"; filename="q%22.txt"\r\ncontent-type: x/y', "", 'q".txt'),
    "backslash": ("multipart/form-data; boundary=xyz", 'Content-Disposition:form-data;name="file";filename="q\\".txt"', "",
                  'q".txt'),
    "raw-percent": ("multipart/form-data; boundary=xyz",
                    'Content-Disposition: form-data; name="file"; filename="100%41.txt"', "", "100%41.txt"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("framing", ["length", "chunked", "bytes"])
def test_dialects(files, dialect, framing):
    content_type, disposition, more, name = DIALECTS[dialect]
    body = body_of(disposition)
    head = more + (f"Content-Type: {content_type}\r\n" if content_type else "")
    if framing == "length":
        status, answer = files.raw(f"{head}Content-Length: {len(body)}\r\n", body, "files/upload")
    else:
        step = 1 if framing == "bytes" else 50
        chunks = [body[at:at + step] for at in range(0, len(body), step)]
        status, answer = files.raw(f"{head}Transfer-Encoding: chunked\r\n", None, "files/upload", chunks)
    assert status == 200, answer
    assert answer["value"][0]["properties"]["filename"] == name
    assert files.download(name) == b"hi\r\n--not\r\n"


@pytest.mark.parametrize("body", [
    b"", b"junk", b"--", b"--xyz", b"--xyz\r\n", b"--xyz--\r\n", b"\r\n\r\n", body_of("X: y"), b"-" * 1000,
    body_of('Content-Disposition: form-data; name="file"'),
    body_of('Content-Disposition: form-data; name="file"; filename="cut"')[:-8],
    body_of('Content-Disposition: form-data; name="file"; filename="a"', more="X: " + "y" * 9000 + "\r\n"),
    body_of('Content-Disposition: form-data; name="file"; filename="a\0b"'),
    body_of('Content-Disposition: form-data; name="file"; filename="a"')[:-4] + b"\r\n"
    + body_of('Content-Disposition: form-data; name="file"; filename="b"'),
], ids=lambda body: repr(body)[:30])
def test_bodies_that_are_none(files, body):
    status, answer = files.raw("Content-Type: multipart/form-data; boundary=xyz\r\n"
                               f"Content-Length: {len(body)}\r\n", body)
    assert status == 400, answer
    assert answer["error"]["code"] in ("SessionRequestValidationFailed", "FilePathInvalid")
    assert "cut" not in files.names()


def test_expect_100_continue(client, files):
    address = urlsplit(client.service_url)
    body = body_of('Content-Disposition: form-data; name="file"; filename="a"', b"x" * 100)
    with socket.create_connection((address.hostname, address.port), timeout=60) as s:
        s.sendall((f"POST /files?identifier={files.session.identifier} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                   f"Authorization: {client.http.headers['Authorization']}\r\nExpect: 100-continue\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n").encode())
        assert s.recv(1000).startswith(b"HTTP/1.1 100 ")
        s.sendall(body)
        assert s.recv(1000).startswith(b"HTTP/1.1 200 ")


# ---- sizes -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, (64 << 10) - 1, 64 << 10, (1 << 20) + 7])
def test_sizes(files, size):
    content = os.urandom(size)
    assert files.upload("f", content)["sizeInBytes"] == size
    assert files.download("f") == content
    response = files.request("HEAD", "files/f/content")
    assert (response.headers["content-length"], response.content) == (str(size), b"")


@pytest.mark.parametrize("value, part, named", [
    ("bytes=0-0", slice(0, 1), "0-0"), ("bytes=10-70009", slice(10, 70010), "10-70009"),
    ("bytes=99990-", slice(99990, None), "99990-99999"), ("bytes=-3", slice(-3, None), "99997-99999"),
    ("bytes=5-999999999999999999999", slice(5, None), "5-99999")])
def test_a_range_of_a_file(files, value, part, named):
    content = os.urandom(100_000)
    files.upload("f", content)
    for address in ("files/f/content", "files/content/f", "python/downloadFile/f"):
        response = files.request("GET", address, headers={"Range": value})
        assert (response.status_code, response.content) == (206, content[part]), address
        assert response.headers["content-range"] == f"bytes {named}/100000"
        assert response.headers["content-length"] == str(len(content[part]))


def test_ranges_that_are_not_answered_in_part(files):
    files.upload("f", b"0123456789")
    files.upload("empty", b"")
    for name, value, size in ("f", "bytes=10-", 10), ("f", "bytes=-0", 10), ("empty", "bytes=0-", 0):
        response = files.request("GET", f"files/{name}/content", headers={"Range": value})
        assert response.status_code == 416 and response.json()["error"]["code"] == "RangeNotSatisfiable"
        assert response.headers["content-range"] == f"bytes */{size}"
    for headers in {"Range": "bytes=0-1,4-5"}, {"Range": "lines=0-1"}, {"Range": "bytes=5-1"}, \
            {"Range": "bytes=0-1", "If-Range": '"x"'}:
        response = files.request("GET", "files/f/content", headers=headers)
        assert (response.status_code, response.content) == (200, b"0123456789"), headers
        assert response.headers["accept-ranges"] == "bytes"
    response = files.request("HEAD", "files/f/content", headers={"Range": "bytes=0-1"})
    assert (response.status_code, response.headers["content-length"]) == (200, "10")
    assert files.request("HEAD", "files/none/content").status_code == 404


def resident_kib(service):
    status = service.host.shell(f"cat /proc/{service.hearthd_pid()}/status")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def test_a_large_file_is_streamed_and_code_runs_meanwhile(service, files, session):
    content = os.urandom(1 << 20) * 24
    before_kib = resident_kib(service)
    uploads = []
    thread = threading.Thread(target=lambda: uploads.append(files.upload("big", content)))
    thread.start()
    assert session.python("40 + 2").result == 42
    thread.join()
    assert uploads[0]["sizeInBytes"] == len(content)
    execution = session.python("import hashlib; hashlib.sha256(open('/mnt/data/big', 'rb').read()).hexdigest()")
    assert execution.result == hashlib.sha256(content).hexdigest()
    assert files.download("big") == content
    assert resident_kib(service) < before_kib + (8 << 10)


def test_a_client_that_does_not_read_costs_little(service, client, files, session):
    files.upload("big", b"x" * (16 << 20))
    before_kib = resident_kib(service)
    response = files.request("GET", "files/big/content", stream=True)
    time.sleep(2)
    assert session.python("1").result == 1
    assert resident_kib(service) < before_kib + (4 << 10)
    response.close()
    assert files.names() == ["big"]


def test_files_over_the_limit(files):
    status, answer = files.raw("Content-Type: multipart/form-data; boundary=xyz\r\n"
                               f"Content-Length: {2 << 30}\r\n", b"")
    assert (status, answer["error"]["code"]) == (413, "FileTooLarge")
    assert files.names() == []


def test_a_full_disk(client, new_session):
    session = new_session()
    files = Files(client, session)
    full = session.python("""
        import os
        left = os.statvfs('/mnt/data')
        with open('/mnt/data/filler', 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - (1 << 20))
        """)
    assert full.ok, full
    response = files.request("POST", "files", files={"file": ("big", b"x" * (8 << 20))})
    assert (response.status_code, response.json()["error"]["code"]) == (507, "InsufficientStorage")
    assert files.names() == ["filler"]
    assert files.delete("filler").status_code == 204
    files.upload("big", b"x" * (8 << 20))


def test_an_upload_that_breaks_off_leaves_nothing(client, files):
    address = urlsplit(client.service_url)
    body = body_of('Content-Disposition: form-data; name="file"; filename="broken"', b"x" * (1 << 20))
    with socket.create_connection((address.hostname, address.port), timeout=60) as s:
        s.sendall((f"POST /files?identifier={files.session.identifier} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                   f"Authorization: {client.http.headers['Authorization']}\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body[:-100])
        time.sleep(1)
        assert files.names() == []
    time.sleep(1)
    assert files.names() == []


def test_many_at_a_time(files):
    failed = []

    def work(number):
        token = files.client.http.headers["Authorization"].split()[1]
        other = Files(Client(files.client.service_url, token).connect(), files.session)
        for turn in range(3):
            content = os.urandom(100_000)
            other.upload(f"f{number}", content)
            if other.download(f"f{number}") != content:
                failed.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(files.names()) == 16


# ---- with a session's life -------------------------------------------------------------------------------------------

def test_a_transfer_is_use_of_the_session(client, files):
    before = client.session(files.session.identifier)["lastAccessedAt"]
    time.sleep(1.1)
    files.names()
    assert client.session(files.session.identifier)["lastAccessedAt"] > before


def test_a_fork_has_the_files_and_a_suspended_session_comes_back_for_them(client, new_session):
    session, fork = new_session(), new_session()
    files = Files(client, session)
    files.upload("a.txt", b"before")
    client.order("fork", session.identifier, target=fork.identifier)
    files.upload("a.txt", b"after")
    assert Files(client, fork).download("a.txt") == b"before"
    client.order("suspend", session.identifier)
    assert client.session(session.identifier)["state"] == "suspended"
    assert files.download("a.txt") == b"after"
    assert client.session(session.identifier)["state"] == "idle"


def test_a_session_that_ends_cuts_its_transfers_off(client, new_session):
    session = new_session()
    files = Files(client, session)
    files.upload("big", b"x" * (16 << 20))
    response = files.request("GET", "files/big/content", stream=True)
    session.end()
    try:  # older versions of the library do not compare with Content-Length
        received = len(response.content)
    except requests.exceptions.RequestException:
        received = 0
    assert received < 16 << 20
    assert files.names() == []  # a fresh one


def test_a_fork_waits_for_a_transfer(client, new_session):
    session, fork = new_session(), new_session()
    files = Files(client, session)
    files.upload("big", b"x" * (16 << 20))
    response = files.request("GET", "files/big/content", stream=True)
    orders = []
    thread = threading.Thread(
        target=lambda: orders.append(Client(client.service_url, client.http.headers["Authorization"].split()[1])
                                     .order("fork", session.identifier, target=fork.identifier)))
    thread.start()
    time.sleep(1)
    assert not orders
    assert len(response.content) == 16 << 20
    thread.join()
    assert Files(client, fork).names() == ["big"]


def test_no_token_no_files(client, files):
    for method, address in (("GET", "files"), ("POST", "files"), ("GET", "files/a/content"), ("DELETE", "files/a")):
        response = client.request(method, address, identifier=files.session.identifier,
                                  headers={"Authorization": "Bearer wrong"})
        assert response.status_code == 401


def test_no_identifier(client):
    assert client.request("GET", "files").status_code == 400
    assert client.request("POST", "files", files={"file": ("a", b"1")}).status_code == 400
