"""Tokens by another implementation (PyJWT), with the issuer's keys at a URL."""

import http.server
import json
import os
import subprocess
import threading
import time

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example/"


class Issuer:
    """Serves its set of keys; `broken` is an answer in place of it."""

    def __init__(self):
        self.keys, self.private, self.n_asked, self.broken = [], {}, 0, None
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.n_asked += 1
                status, body = issuer.broken or (200, json.dumps({"keys": issuer.keys}))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, kid, algorithm):
        if algorithm == "RS256":
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = RSAAlgorithm.to_jwk(key.public_key())
        else:
            key = ec.generate_private_key(ec.SECP256R1())
            numbers = key.public_key().public_numbers()
            encode = lambda n: jwt.utils.base64url_encode(n.to_bytes(32, "big")).decode()
            public = json.dumps({"kty": "EC", "crv": "P-256", "x": encode(numbers.x), "y": encode(numbers.y)})
        self.private[kid] = key, algorithm
        self.keys.append({**json.loads(public), "kid": kid, "use": "sig"})

    def token(self, kid, **claims):
        key, algorithm = self.private[kid]
        standard = {"iss": ISSUER, "aud": "https://dynamicsessions.io", "sub": "alice", "exp": int(time.time()) + 300}
        return jwt.encode({**standard, **claims}, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def issuer():
    issuer = Issuer()
    issuer.add("rsa", "RS256")
    issuer.add("ec", "ES256")
    yield issuer
    issuer.server.shutdown()


def status_of(hearthd, token, path="/listSessions", method="GET"):
    return requests.request(method, hearthd.url + path, headers={"Authorization": f"Bearer {token}"}).status_code


def wait_for_keys(hearthd, n=1, seconds=15):
    deadline = time.monotonic() + seconds
    while hearthd.log().count(" keys=") < n and time.monotonic() < deadline:
        time.sleep(0.05)
    assert hearthd.log().count(" keys=") >= n, hearthd.log()


def start_for(start, issuer, *arguments):
    hearthd = start("--jwt-issuer", ISSUER, "--jwt-keys", issuer.url, *arguments)
    assert hearthd.url, hearthd.log()
    return hearthd


def test_tokens_of_another_implementation_are_taken(start, issuer):
    hearthd = start_for(start, issuer)
    wait_for_keys(hearthd)
    for kid in ("rsa", "ec"):
        token = issuer.token(kid, roles=["Hearth.Executor"])
        assert status_of(hearthd, token) == 200
        assert status_of(hearthd, token, "/sessionPools/default", "PATCH") == 403
        assert status_of(hearthd, issuer.token(kid, roles=["reader"], pools=["other"])) == 403
        assert status_of(hearthd, issuer.token(kid)) == 403  # no role: known, and permitted nothing
        assert status_of(hearthd, issuer.token(kid, roles="executor", aud="https://acasessions.io/")) == 200
        assert status_of(hearthd, issuer.token(kid, roles="executor", aud="https://example.org")) == 401
        assert status_of(hearthd, issuer.token(kid, roles="executor", exp=int(time.time()) - 120)) == 401
        assert status_of(hearthd, issuer.token(kid, roles="executor", exp=int(time.time()) - 30)) == 200
        assert status_of(hearthd, issuer.token(kid, roles="executor", nbf=int(time.time()) + 120)) == 401
        assert status_of(hearthd, issuer.token(kid, roles="executor", iss="https://issuer.example")) == 401
    assert status_of(hearthd, jwt.encode({"roles": "manager"}, "secret", algorithm="HS256")) == 401
    assert status_of(hearthd, jwt.encode({"roles": "manager"}, None, algorithm="none")) == 401
    assert status_of(hearthd, hearthd.token) == 200
    answer = requests.get(f"{hearthd.url}/listSessions",
                          headers={"Authorization": "Bearer " + issuer.token("ec", exp=1000)})
    assert answer.json()["error"]["message"] == "The token has expired."
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert hearthd.stop() == 0


def test_a_new_key_is_fetched_when_a_token_names_it_and_not_at_each_such_token(start, issuer):
    hearthd = start_for(start, issuer)
    wait_for_keys(hearthd)
    time.sleep(10)  # between two looks
    issuer.add("next", "ES256")
    token, n_asked = issuer.token("next", roles="executor"), issuer.n_asked
    assert status_of(hearthd, token) == 401
    wait_for_keys(hearthd, 2, seconds=5)
    assert status_of(hearthd, token) == 200
    issuer.add("unpublished", "ES256")
    issuer.keys.pop()
    for _ in range(20):
        assert status_of(hearthd, issuer.token("unpublished", roles="executor")) == 401
    assert issuer.n_asked == n_asked + 1


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """Sets the wall clock of a hearthd that is started afterwards ahead by some seconds, or back."""
    library, file = tmp_path / "shifted_clock.so", tmp_path / "clock"
    source = os.path.join(os.path.dirname(os.path.realpath(__file__)), "shifted_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("HEARTH_TEST_CLOCK", str(file))
    return lambda seconds: file.write_text(str(seconds))


def test_a_clock_that_is_set_back(start, issuer, clock):
    """A minute is forgiven. Beyond, new tokens are not valid yet, and nothing else is noticed, new keys included."""
    clock(0)
    hearthd = start_for(start, issuer)
    wait_for_keys(hearthd)
    old, now = issuer.token("rsa", roles="executor"), int(time.time())
    new = issuer.token("rsa", roles="executor", nbf=now, exp=now + 7200)
    assert status_of(hearthd, old) == status_of(hearthd, new) == 200
    clock(-40)
    assert status_of(hearthd, old) == status_of(hearthd, new) == 200
    clock(-3600)
    assert status_of(hearthd, old) == 200
    answer = requests.get(f"{hearthd.url}/listSessions", headers={"Authorization": f"Bearer {new}"})
    assert answer.status_code == 401 and answer.json()["error"]["message"] == "The token is not valid yet."
    assert status_of(hearthd, hearthd.token) == 200
    time.sleep(10)  # between two looks for keys, whatever the clock says
    issuer.add("next", "ES256")
    assert status_of(hearthd, issuer.token("next", roles="executor")) == 401
    wait_for_keys(hearthd, 2, seconds=5)
    assert status_of(hearthd, issuer.token("next", roles="executor")) == 200
    clock(600)
    assert status_of(hearthd, new) == 200
    assert status_of(hearthd, old) == 401, "it is over"
    assert hearthd.stop() == 0


@pytest.mark.parametrize("answer", [(500, ""), (302, ""), (200, "no JSON"), (200, '{"keys":[]}'), (200, "x" * (2 << 20))])
def test_keys_that_cannot_be_had_are_tried_for_again(start, issuer, answer):
    issuer.broken = answer
    hearthd = start_for(start, issuer)
    deadline = time.monotonic() + 5
    while "issuer=" not in hearthd.log() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "issuer=" in hearthd.log() and " keys=" not in hearthd.log()
    assert status_of(hearthd, issuer.token("ec", roles="executor")) == 401
    assert status_of(hearthd, hearthd.token) == 200
    if answer[0] == 500:
        issuer.broken = None
        wait_for_keys(hearthd)
        assert status_of(hearthd, issuer.token("ec", roles="executor")) == 200
    assert hearthd.stop() == 0


def test_settings_that_make_no_sense_are_refused(start, issuer, tmp_path):
    for arguments in (("--jwt-issuer", ISSUER), ("--jwt-keys", issuer.url),
                      ("--jwt-issuer", ISSUER, "--jwt-keys", "http://issuer.example/keys"),
                      ("--jwt-issuer", ISSUER, "--jwt-keys", "/nonexistent"),
                      ("--jwt-issuer", ISSUER, "--jwt-keys", issuer.url, "--jwt-default-role", "owner"),
                      ("--jwt-issuer", ISSUER, "--jwt-keys", issuer.url, "--jwt-audiences", "")):
        hearthd = start(*arguments)
        assert hearthd.url is None and hearthd.stop() == 1, arguments
