"""Managed identities: code in a session asks for tokens as Azure's libraries do, and gets those of its pool."""

import json
import os
import secrets

import pytest

from service import ROOT, Service, Session

DATABASE = "/tmp/hearth-e2e-identity.db"
OPTIONS = ("--database", DATABASE, "--session-memory-mib", "512", "--max-sessions", "8", "--ready-sessions", "0",
           "--min-cooldown-seconds", "1")
IDENTITIES = os.path.join(ROOT, "build", "e2e-identities.json")
TOKEN = "secret-token-" + secrets.token_hex(8)
ASK = """
import json, os, urllib.error, urllib.parse, urllib.request
def ask(resource="https://vault.example", secret=None):
    target = os.environ["IDENTITY_ENDPOINT"] + "?api-version=2019-08-01&resource=" + urllib.parse.quote(resource)
    request = urllib.request.Request(target, headers={"X-IDENTITY-HEADER": secret or os.environ["IDENTITY_HEADER"]})
    try:
        return json.loads(urllib.request.urlopen(request).read())["access_token"]
    except urllib.error.HTTPError as error:
        return error.code
"""


@pytest.fixture(scope="module")
def identified(host, service):
    service.stop()
    with open(IDENTITIES, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump({"vault": {"command": ["/bin/echo", TOKEN], "resources": ["https://vault.example"]}}, file)
    host.shell(f"rm -f {DATABASE}*")
    identified = Service(host)
    try:
        identified.start(*OPTIONS, "--identity-file", IDENTITIES)
        yield identified
    finally:
        identified.stop()
        host.shell(f"rm -f {DATABASE}*")
        os.remove(IDENTITIES)
        service.start()


def put_pool(client, name, lifecycle, identity="vault", ready=1):
    return client.request("PUT", f"sessionPools/{name}", json={"properties": {
        "managedIdentitySettings": [{"identity": identity, "lifecycle": lifecycle}], "resources": {"memory": "0.5Gi"},
        "scaleConfiguration": {"maxConcurrentSessions": 6, "readySessionInstances": ready}}})


@pytest.fixture(scope="module")
def pool(identified):
    made = put_pool(identified.client(), "vaults", "Main")
    assert made.status_code == 201, made.text
    assert made.json()["properties"]["managedIdentitySettings"] == [{"identity": "vault", "lifecycle": "Main"}]
    return identified.client("vaults")


@pytest.fixture(scope="module")
def session(pool):
    session = Session(pool, f"identity-{secrets.token_hex(4)}")
    assert session.python(ASK).ok
    return session


def test_code_gets_a_token(session):
    assert session.python("ask()").result == TOKEN
    assert session.python("ask('https://vault.example/')").result == TOKEN


def test_node_gets_one_too(session):
    answer = session.node("""
        const target = `${process.env.IDENTITY_ENDPOINT}?api-version=2019-08-01&resource=https://vault.example`;
        (await (await fetch(target, { headers: { 'X-IDENTITY-HEADER': process.env.IDENTITY_HEADER } })).json()).access_token
        """)
    assert answer.result == TOKEN


def test_what_is_wrong_is_refused(session):
    assert session.python("ask('https://other.example')").result == 400
    assert session.python("ask(secret='x' * 64)").result == 401


def test_each_session_has_a_secret_of_its_own(pool, session):
    other = Session(pool, f"identity-{secrets.token_hex(4)}")
    assert other.python(ASK).ok
    stolen = session.python("import os\nos.environ['IDENTITY_HEADER']").result
    assert other.python(f"ask(secret={stolen!r})").result == 401
    assert other.python("ask()").result == TOKEN
    other.end()


def test_copies_and_resumed_sessions_get_new_ones(pool, session):
    before = session.python("os.environ['IDENTITY_HEADER']").result
    copy = Session(pool, f"identity-{secrets.token_hex(4)}")
    pool.order("fork", session.identifier, target=copy.identifier)
    pool.order("suspend", session.identifier)
    for one in copy, session:
        assert one.python("ask()").result == TOKEN
        assert one.python(f"ask(secret={before!r})").result == 401
    copy.end()


def test_without_an_identity_there_is_nothing(identified):
    plain = Session(identified.client(), f"plain-{secrets.token_hex(4)}")
    code = "import os, socket\n[name for name in os.environ if 'IDENTITY' in name], socket.socket().connect_ex(('127.0.0.1', 1026))"
    assert plain.python(code).result == "([], 111)"
    plain.end()


def test_an_identity_that_there_is_not_is_refused(identified):
    client = identified.client()
    refused = put_pool(client, "nobodys", "Main", "nobody", ready=0)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "IdentityNotFound")
    assert put_pool(client, "nobodys", "None", "nobody", ready=0).status_code == 201
    client.request("DELETE", "sessionPools/nobodys")


def test_a_warm_session_has_one(pool):
    pool.wait_until_ready(1)
    warm = Session(pool, f"identity-{secrets.token_hex(4)}")
    answer = warm.python(ASK + "ask()")
    assert (answer.source, answer.result) == ("warm", TOKEN)
    warm.end()


def test_a_session_that_goes_on_under_a_new_hearthd_has_one(identified, session):
    before = session.python("os.environ['IDENTITY_HEADER']").result
    identified.kill()
    identified.start(*OPTIONS, "--identity-file", IDENTITIES)
    again = Session(identified.client("vaults"), session.identifier)
    assert again.python("ask()").result == TOKEN
    assert again.python(f"ask(secret={before!r})").result == 401


def test_no_token_and_no_secret_is_logged(identified, session):
    secret = Session(identified.client("vaults"), session.identifier).python("os.environ['IDENTITY_HEADER']").result
    assert len(secret) == 64
    assert TOKEN not in identified.log() and secret not in identified.log()
