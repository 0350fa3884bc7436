"""Of hearth-netd: one that has still something to say when its microVM ends, and one that does not stop."""

import os

import pytest
import requests

from played import OPTIONS, Service

NETD_WITHOUT_END = """#!/usr/bin/python3
import os, time
os.set_blocking(4, True)
os.write(4, b'{"protocol":"tcp","verdict":"denied"}\\n' * 20000)
time.sleep(60)
"""


@pytest.fixture
def networked(start, tmp_path):
    """One with a pool whose sessions have a network, of programs that do nothing."""
    programs = tmp_path / "programs"
    programs.mkdir()
    at = OPTIONS.index("--vmm") + 1
    os.symlink(OPTIONS[at], programs / "hearth-vmm")
    for name in ("hearth-netd", "passt"):
        (programs / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (programs / name).chmod(0o755)
    service = Service(start(*OPTIONS[:at], str(programs / "hearth-vmm"), *OPTIONS[at + 1:]), tmp_path)
    response = requests.put(f"{service.hearthd.url}/sessionPools/online", timeout=30, headers=authorization(service), json={
        "properties": {"sessionNetworkConfiguration": {"status": "EgressEnabled"},
                       "scaleConfiguration": {"maxConcurrentSessions": 6, "readySessionInstances": 0}}})
    assert response.status_code == 201, response.text
    yield service
    service.end()


def authorization(service):
    return {"Authorization": f"Bearer {service.hearthd.token}"}


def execute(service, identifier):
    return service.request("POST", "../sessionPools/online/executions", identifier, json={
        "codeInputType": "Inline", "executionType": "Synchronous", "code": "honest", "timeoutInSeconds": 5})


def test_the_last_word_of_a_guest_comes_too_late(networked):
    networked.begin_as("last_word")
    response = execute(networked, "a")
    assert "the host could not provide what it needs" in response.text
    networked.wait_for_log(r"hearth-netd did not end within 2000 ms and is killed")
    networked.begin_as("honest")
    assert execute(networked, "b").json()["status"] == "Succeeded"


def test_a_network_that_writes_without_end(networked):
    """hearth-netd may have been taken over: the log, and the disk, are not its own."""
    (networked.folder / "programs" / "hearth-netd").write_text(NETD_WITHOUT_END)
    assert execute(networked, "a").json()["status"] == "Succeeded"
    networked.wait_for_log(r"hearth-netd writes more than it should: lines are left out")
    assert 3840 <= networked.hearthd.log().count("event=network") < 8000
