"""API keys in front of real sessions: who may run code where, and who may no more."""

import secrets

import pytest

from service import Client, flat_body


@pytest.fixture
def key(service, client):
    """Makes API keys; returns a client with the key, and its id."""
    ids = []

    def make(role, pools=None):
        body = {"role": role, "name": "e2e", **({"pools": pools} if pools else {})}
        response = client.post("keys", body)
        assert response.status_code == 201, response.text
        ids.append(response.json()["id"])
        return Client(client.service_url, response.json()["token"]), ids[-1]

    yield make
    for id in ids:
        assert client.request("DELETE", f"keys/{id}").status_code in (204, 404)


def test_an_executor_runs_code_until_its_key_is_revoked(client, key, new_session):
    session = new_session()
    executor, id = key("executor", ["default"])
    assert executor.execute(session.identifier, "x = 41").ok
    assert executor.execute(session.identifier, "x + 1").result == 42
    assert executor.request("GET", "session", identifier=session.identifier).status_code == 200
    assert executor.request("PATCH", "sessionPools/default", json={}).status_code == 403
    assert client.request("DELETE", f"keys/{id}").status_code == 204
    response = executor.post("executions", flat_body("x"), identifier=session.identifier)
    assert response.status_code == 401
    assert session.python("x").result == 41  # the session is its pool's, not the key's


def test_a_stream_goes_on_when_its_key_is_revoked(client, key, new_session):
    """Who was let in is; what comes next is not."""
    session = new_session()
    executor, id = key("executor")
    response = executor.post("executions", flat_body("import time\nprint('begun', flush=True)\ntime.sleep(3)\nprint('done')"),
                             identifier=session.identifier, headers={"Accept": "text/event-stream"}, stream=True)
    text = ""
    for piece in response.iter_content(None, decode_unicode=True):
        if "begun" in piece and "begun" not in text:
            assert client.request("DELETE", f"keys/{id}").status_code == 204
        text += piece
    assert "done" in text
    assert executor.request("GET", "listSessions").status_code == 401


def test_a_reader_sees_and_runs_nothing(client, key, session):
    reader, _ = key("reader")
    session.python("1")
    assert reader.request("GET", "session", identifier=session.identifier).status_code == 200
    assert reader.post(".management/getSession", {}, identifier=session.identifier).status_code == 200
    assert reader.post("executions", flat_body("1"), identifier=session.identifier).status_code == 403
    assert reader.request("DELETE", "session", identifier=session.identifier).status_code == 403
    assert session.python("1").ok


def test_a_key_of_another_pool_reaches_no_session_here(client, key, session):
    other, _ = key("manager", [f"other-{secrets.token_hex(4)}"])
    session.python("secret = 1")
    for method, path in (("POST", "executions"), ("GET", "session"), ("DELETE", "session"), ("POST", "session/fork")):
        response = other.request(method, path, identifier=session.identifier, json=flat_body("secret"))
        assert response.status_code == 403, path
        assert response.json()["error"]["code"] == "Forbidden"
    assert session.python("secret").result == 1
