"""Sessions through nginx with TLS (nginx.py)."""

import os
import re
import secrets

import pytest
import requests

import sse
from nginx import nginx_before
from service import Session

LARGE = 20 << 20


@pytest.fixture(scope="module")
def proxy(service, tmp_path_factory):
    """Its URL, and the file of the authority that it is believed by."""
    with nginx_before(service.url, tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def through(service, proxy):
    """A session, reached through the proxy."""
    client = service.client()
    client.url = client.service_url = proxy[0]
    client.http.verify = proxy[1]
    session = Session(client, f"proxy-{secrets.token_hex(6)}")
    yield session
    session.end()


def test_executions_and_their_state(through):
    assert through.python("x = 20").ok
    assert through.python("x + 1").result == 21
    assert through.node("1 + 1").result == 2


def test_addresses_that_are_given_out_are_the_proxys(through, proxy):
    pool = through.client.http.get(f"{proxy[0]}/sessionPools/default", timeout=60).json()
    assert pool["properties"]["poolManagementEndpoint"] == f"{proxy[0]}/sessionPools/default"
    response = through.client.post("executions", {"code": "1", "executionType": "Asynchronous"},
                                   identifier=through.identifier)
    assert response.headers["operation-location"].startswith(proxy[0])
    assert through.client.http.get(response.headers["operation-location"], timeout=60).status_code == 200


def test_output_comes_while_the_code_runs(through, monkeypatch, proxy):
    import http.client
    import ssl
    context = ssl.create_default_context(cafile=proxy[1])
    monkeypatch.setattr(sse.http.client, "HTTPConnection",
                        lambda host, port, timeout: http.client.HTTPSConnection(host, port, timeout=timeout,
                                                                                context=context))
    events = list(sse.stream(through, """
        import time
        print('first', flush=True)
        time.sleep(3)
        print('second')
        """))
    first = next(event.at for event in events if event.type == "stdout")
    assert events[-1].at - first > 2


def test_large_files_pass_in_both_directions(through):
    content = os.urandom(LARGE)
    response = through.client.request("POST", "files", identifier=through.identifier, files={"file": ("big", content)})
    assert response.status_code == 200, response.text
    response = through.client.request("GET", "files/big/content", identifier=through.identifier)
    assert response.content == content


def test_a_client_that_goes_interrupts_its_code(through):
    with pytest.raises(requests.Timeout):
        through.client.post("executions", {"code": "import time\nwhile True: time.sleep(0.1)"},
                            identifier=through.identifier, timeout=3)
    assert through.python("'free again'").result == "free again"


def test_errors_are_hearths_own(through):
    response = through.client.http.get(f"{through.client.url}/nothing", timeout=60)
    assert response.status_code == 404 and response.json()["error"]["code"] == "NotFound"
    response = requests.get(f"{through.client.url}/sessionPools/default", verify=through.client.http.verify, timeout=60)
    assert response.status_code == 401 and re.match("Bearer", response.headers["www-authenticate"])
