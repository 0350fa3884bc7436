"""HTTPS, with certificates by `hearth cert init` and clients that check them."""

import concurrent.futures
import os
import re
import socket
import ssl
import stat
import subprocess
import time

import pytest
import requests

from conftest import ROOT

HEARTH = os.path.join(ROOT, "build", "hearth")


def cert_init(folder, *arguments):
    return subprocess.run([HEARTH, "cert", "init", "--directory", str(folder), *arguments], capture_output=True,
                          text=True, timeout=60)


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    made = cert_init(folder, "--hosts", "hearth.example,192.0.2.7")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def hearthd(start, certs):
    hearthd = start("--tls-certificate", f"{certs}/server.pem", "--tls-key", f"{certs}/server-key.pem",
                    "--idle-timeout-seconds", "2")
    assert hearthd.url, hearthd.log()
    return hearthd


@pytest.fixture
def client(hearthd, certs):
    client = requests.Session()
    client.trust_env = False
    client.verify = f"{certs}/ca.pem"
    client.headers["Authorization"] = f"Bearer {hearthd.token}"
    yield client
    client.close()


def address_of(hearthd):
    host, port = re.fullmatch(r"https://(.*):(\d+)", hearthd.url).groups()
    return host, int(port)


def test_keys_are_private_and_the_authority_is_used_again(tmp_path):
    assert cert_init(tmp_path / "c").returncode == 0
    names = ("ca.pem", "ca-key.pem", "server.pem", "server-key.pem")
    assert sorted(os.listdir(tmp_path / "c")) == sorted(names)
    for name in ("ca-key.pem", "server-key.pem"):
        assert stat.S_IMODE(os.stat(tmp_path / "c" / name).st_mode) == 0o600
    before = {name: (tmp_path / "c" / name).read_bytes() for name in names}
    assert cert_init(tmp_path / "c", "--days", "7").returncode == 0
    after = {name: (tmp_path / "c" / name).read_bytes() for name in names}
    assert before["ca.pem"] == after["ca.pem"] and before["ca-key.pem"] == after["ca-key.pem"]
    assert before["server.pem"] != after["server.pem"] and before["server-key.pem"] != after["server-key.pem"]
    os.remove(tmp_path / "c" / "ca-key.pem")
    assert cert_init(tmp_path / "c").returncode == 2
    assert cert_init(tmp_path / "d", "--hosts", "a b").returncode == 2
    assert cert_init(tmp_path / "d", "--days", "0").returncode == 2


def test_clients_that_check_are_served(hearthd, client):
    assert hearthd.url.startswith("https://127.0.0.1:")
    assert client.get(f"{hearthd.url}/healthz").status_code == 200
    by_name = hearthd.url.replace("127.0.0.1", "localhost")
    pool = client.get(f"{by_name}/sessionPools/default")
    assert pool.json()["properties"]["poolManagementEndpoint"].startswith("https://localhost:")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{hearthd.url}/healthz", verify="/etc/ssl/certs/ca-certificates.crt")


def test_the_names_that_were_ordered_are_in_the_certificate(hearthd, certs):
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    for name in ("localhost", "hearth.example", "192.0.2.7", "::1", socket.gethostname()):
        with socket.create_connection(address_of(hearthd), timeout=10) as raw:
            with context.wrap_socket(raw, server_hostname=name) as encrypted:
                assert encrypted.version() in ("TLSv1.2", "TLSv1.3")
    with socket.create_connection(address_of(hearthd), timeout=10) as raw:
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(raw, server_hostname="other.example")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_are_refused(hearthd, certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(address_of(hearthd), timeout=10) as raw:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(raw)


def test_large_bodies_and_answers_that_come_later(hearthd, client):
    """The microVM cannot start here, which is told once that was tried: the request waits meanwhile, and is resumed."""
    for size in (10, 100_000, 8 << 20):
        answer = client.post(f"{hearthd.url}/code/execute?identifier=a", json={"code": "#" * size}, timeout=60)
        assert answer.status_code == 500, answer.text
        assert answer.json()["error"]["code"] == "SessionAllocationFailed"
    answer = client.post(f"{hearthd.url}/code/execute?identifier=a", json={"code": "#" * ((8 << 20) + 1)}, timeout=60)
    assert answer.status_code == 413


def test_many_at_a_time(hearthd, client):
    def ask(n):
        answer = client.get(f"{hearthd.url}/sessionPools/none-{n}", timeout=60)
        return answer.status_code, f"none-{n}" in answer.text

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, range(400))) == {(404, True)}


def test_requests_in_one_record_are_all_answered(hearthd, certs):
    """What the library has decrypted and not looked at yet does not show on the socket."""
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    with socket.create_connection(address_of(hearthd), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as encrypted:
            encrypted.sendall(request * 50)
            received = b""
            while received.count(b"HTTP/1.1 200") < 50 or not received.endswith(b"\n"):
                piece = encrypted.recv(65536)
                assert piece
                received += piece


def test_plain_http_and_silence_take_nobody_elses_time(hearthd, client):
    silent = [socket.create_connection(address_of(hearthd), timeout=20) for _ in range(20)]
    with socket.create_connection(address_of(hearthd), timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1 200" not in plain.recv(4096)
    began = time.monotonic()
    assert client.get(f"{hearthd.url}/healthz", timeout=10).status_code == 200
    assert time.monotonic() - began < 5
    for connection in silent:
        while connection.recv(100):  # an alert, and then the end, when its time was over
            pass
        connection.close()


def test_the_command_speaks_https(hearthd, certs):
    assert hearthd.hearth("session", "list", HEARTH_CA_CERTIFICATE=f"{certs}/ca.pem").returncode == 0
    assert hearthd.hearth("session", "list", "--ca-certificate", f"{certs}/ca.pem").returncode == 0
    refused = hearthd.hearth("session", "list")
    assert refused.returncode == 3 and "--ca-certificate" in refused.stderr
    ran = hearthd.hearth("run", "-c", "1", "--ca-certificate", f"{certs}/ca.pem")
    assert ran.returncode == 3 and "could not be started" in ran.stderr


def test_pairs_that_cannot_be_used_are_refused_at_the_start(start, certs, tmp_path):
    cert_init(tmp_path / "other")
    pairs = ((f"{certs}/server.pem", f"{tmp_path}/other/server-key.pem"), (f"{certs}/server.pem", "/nonexistent"),
             ("/dev/null", f"{certs}/server-key.pem"), (f"{certs}/server-key.pem", f"{certs}/server.pem"))
    for certificate, key in pairs:
        hearthd = start("--tls-certificate", certificate, "--tls-key", key)
        assert hearthd.url is None and hearthd.stop() == 1
        assert "tls-" in hearthd.log()
        assert "PRIVATE" not in hearthd.log()
    hearthd = start("--tls-certificate", f"{certs}/server.pem")
    assert hearthd.stop() == 1 and "together" in hearthd.log()


def test_plain_http_stays_on_the_machine_unless_told_otherwise(start, certs):
    for address in ("0.0.0.0:0", "[::]:0"):
        refused = start("--listen", address)
        assert refused.url is None and refused.stop() == 1
        assert "allow-plain-http" in refused.log()
    allowed = start("--listen", "0.0.0.0:0", "--allow-plain-http", "true")
    assert allowed.url.startswith("http://0.0.0.0:")
    allowed.stop()
    encrypted = start("--listen", "0.0.0.0:0", "--tls-certificate", f"{certs}/server.pem", "--tls-key",
                      f"{certs}/server-key.pem")
    assert encrypted.url.startswith("https://0.0.0.0:")
    encrypted.stop()
    assert start("--listen", "127.0.0.2:0").url
