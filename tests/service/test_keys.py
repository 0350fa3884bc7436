"""API keys by the command, and what a restart keeps of them."""

import json
import time

import requests


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_key_lives_until_it_is_revoked(start):
    hearthd = start()
    made = hearthd.hearth("key", "create", "ci", "--role", "reader", "--pools", "default,other", "--expires-in", "30d")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert token.startswith("hearth_") and made.stdout == token + "\n"
    [key] = json.loads(hearthd.hearth("key", "list", "-o", "json").stdout)
    assert (key["name"], key["role"], key["pools"], key["lastUsedAt"]) == ("ci", "reader", ["default", "other"], None)
    assert token not in hearthd.hearth("key", "list", "-o", "table").stdout
    assert requests.get(f"{hearthd.url}/listSessions", headers=bearer(token)).status_code == 200
    assert requests.post(f"{hearthd.url}/executions?identifier=a", headers=bearer(token), json={}).status_code == 403

    assert hearthd.stop() == 0
    hearthd = start()
    assert requests.get(f"{hearthd.url}/listSessions", headers=bearer(token)).status_code == 200
    [key] = json.loads(hearthd.hearth("key", "list", "-o", "json").stdout)
    assert key["lastUsedAt"]
    refused = hearthd.hearth("key", "list", token=token)
    assert refused.returncode == 3 and "manager" in refused.stderr
    assert hearthd.hearth("key", "revoke", key["id"], "--yes").returncode == 0
    assert requests.get(f"{hearthd.url}/listSessions", headers=bearer(token)).status_code == 401
    assert hearthd.hearth("key", "revoke", key["id"], "--yes").returncode == 4
    hearthd.stop()
    hearthd = start()
    assert requests.get(f"{hearthd.url}/listSessions", headers=bearer(token)).status_code == 401


def test_an_expired_key_is_refused(start):
    hearthd = start()
    token = hearthd.hearth("key", "create", "--expires-in", "1s").stdout.strip()
    time.sleep(1.1)
    assert requests.get(f"{hearthd.url}/listSessions", headers=bearer(token)).status_code == 401


def test_no_token_is_in_the_log_or_an_error(start):
    hearthd = start("--log-level", "debug")
    token = hearthd.hearth("key", "create").stdout.strip()
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    for given in (token, wrong, hearthd.token, "eyJhbGciOiJub25lIn0.e30.AAAA"):
        for method, path in (("GET", "/listSessions"), ("GET", "/nothing"), ("POST", "/code/execute?identifier=a")):
            answer = requests.request(method, hearthd.url + path, headers=bearer(given), json={"code": "1"})
            assert given not in answer.text
    hearthd.stop()
    secret = token.rsplit("_", 1)[1]
    for text in (secret, wrong, hearthd.token, "eyJhbGciOiJub25lIn0"):
        assert text not in hearthd.log()
