"""
An agent that lies in every way it can: its own session ends with a reason, within its time; hearthd and everybody else
stay well. hearthd is the real one; in hearth-vmm's place is lying_vmm.py, since no guest need run for what it may say.
"""

import contextlib
import http.client
import re
import time
import urllib.parse

import pytest
import requests

from played import GRACE_S, NEW, OPTIONS, Service

MEMORY_LIMIT_KIB = 64 << 10
BROKE = "the agent broke the protocol"


@pytest.fixture
def lying(start, tmp_path):
    service = Service(start(*OPTIONS), tmp_path)
    assert service.execute("other", "honest").stdout == "honest\n"
    other = service.vm("other")
    yield service
    assert service.execute("other", "honest").stdout == "honest\n"
    assert service.vm("other") == other, "the other session did not go on"
    print(f"hearthd took {service.peak_kib() >> 10} MiB at most")
    assert service.peak_kib() < MEMORY_LIMIT_KIB
    service.end()


@pytest.mark.parametrize("lie", [
    "four_gib", "length_too_short", "length_hides_a_frame", "bundle_beyond_its_frame", "bundle_of_65535", "unknown_type",
    "orders_of_the_host", "flags", "output_without_end", "nothing_without_end", "displays_without_end", "another_request",
    "every_request", "output_before_the_start", "end_before_the_start", "start_twice", "two_results",
    "answer_to_another_order", "outcome_unknown"])
def test_who_breaks_the_protocol_is_dropped(lying, lie):
    answer = lying.execute("liar", lie, timeout=20)
    assert answer.status == "Failed" and f"Execution aborted: {BROKE}; the session's files and variables are lost" in answer.stderr
    print(f"{lie}: told after {answer.took:.2f} s")
    assert answer.took < 10
    lying.wait_for_log(rf"vm=\S+ lost: {BROKE}")
    assert lying.execute("liar", "honest").status == "Succeeded"  # a fresh one
    assert len(re.findall("source=boot", lying.hearthd.log())) == 3


@pytest.mark.parametrize("lie", ["two_ends", "word_unasked"])
def test_a_word_that_nobody_asked_for_costs_the_session_not_the_answer(lying, lie):
    assert lying.execute("liar", lie).status == "Succeeded"
    lying.wait_for_log(rf"vm=\S+ lost: {BROKE}")
    assert lying.execute("liar", "honest").status == "Succeeded"
    assert len(re.findall("source=boot", lying.hearthd.log())) == 3


@pytest.mark.parametrize("lie", ["half_a_frame", "half_a_header", "silence_after_the_start"])
def test_silence_ends_with_the_time_of_the_execution(lying, lie):
    answer = lying.execute("liar", lie)
    assert answer.status == "Failed" and "did not stop the code when its time was over" in answer.stderr
    print(f"{lie}: told after {answer.took:.2f} s")
    assert 1 + GRACE_S - 0.2 < answer.took < 1 + GRACE_S + 5
    assert lying.execute("liar", "honest").status == "Succeeded"


def test_silence_before_the_start(lying):
    answer = lying.execute("liar", "silence")
    assert answer.status == "Failed" and "did not start in time" in answer.stderr
    print(f"silence: told after {answer.took:.2f} s")
    assert answer.took < 15


def test_an_agent_that_closes_in_the_middle(lying):
    answer = lying.execute("liar", "close_in_the_middle", timeout=20)
    assert answer.status == "Failed" and "Execution aborted: the agent closed the connection" in answer.stderr
    assert answer.took < 5


@pytest.mark.parametrize("order", ["suspend", "fork?target=copy"])
def test_one_whose_agent_has_gone_is_not_saved(lying, order):
    assert lying.execute("liar", "farewell").status == "Succeeded"
    time.sleep(0.2)  # its microVM is waited for, which could say more of it
    response = lying.request("POST", f"session/{order}", "liar")
    assert response.status_code == 500 and "the agent closed the connection" in response.text, response.text
    lying.wait_for_log(r"vm=\S+ lost: the agent closed the connection")


def test_what_is_no_text_is_shown_as_text_and_forges_nothing(lying):
    answer = lying.execute("liar", "no_text")
    assert answer.status == "Failed" and "�" in answer.stdout and "�" in answer.stderr
    assert isinstance(answer.result, str) and "injected" not in answer.result
    assert not re.search(r"^hearth: error: forged", lying.hearthd.log(), re.M) and "\x1b" not in lying.hearthd.log()


def test_numbers_beyond_reason(lying):
    answer = lying.execute("liar", "numbers_beyond_reason")
    assert answer.status == "Succeeded" and answer.run_ms < 5000, "the guest says how long it ran, within the time that we waited"
    metrics = requests.get(f"{lying.hearthd.url}/metrics", headers={"Authorization": f"Bearer {lying.hearthd.token}"}, timeout=30)
    seconds = re.search(r'hearth_execution_duration_seconds_sum\{language="python"\} (\S+)', metrics.text)
    assert float(seconds.group(1)) < 10


@pytest.mark.parametrize("how, reason", [
    ("another_version", "speaks another version of the protocol; rebuild the image"),
    ("ready_of_four_gib", "did not say that it is ready, but something else"),
    ("ready_before_it_began", "did not say that it is ready, but something else"),
    ("ready_and_more", "did not say that it is ready, but something else"),
    ("another_word", "did not say that it is ready, but something else"),
    ("half_a_word", r"was not ready within 3 s \(boot-timeout-seconds\)"),
    ("no_word", r"was not ready within 3 s \(boot-timeout-seconds\)"),
    ("no_listener", "the VMM's vsock socket cannot be reached"),
    ("connect_refused", "the VMM refused a connection to the agent"),
    ("connect_without_end", "the VMM's answer to CONNECT is too long"),
])
def test_lies_at_the_start(lying, how, reason):
    lying.begin_as(how)
    began = time.monotonic()
    response = lying.order("liar", "honest")
    assert response.status_code == 500 and response.json()["error"]["code"] == "SessionAllocationFailed", response.text
    assert re.search(reason, response.text), response.text
    assert time.monotonic() - began < 10
    lying.wait_for_log(f"lost: .*{reason}")
    lying.begin_as("honest")
    assert lying.execute("liar", "honest").status == "Succeeded"


@pytest.mark.parametrize("lie", ["name_with_zero", "another_request", "unknown_status", "four_gib", "list_without_end"])
def test_lies_about_files(lying, lie):
    assert lying.execute("liar", "honest").status == "Succeeded"
    path = "files" if lie == "list_without_end" else f"files/{lie}"
    response = lying.request("GET", path, "liar")
    assert response.status_code == 500 and BROKE in response.text, response.text
    lying.wait_for_log(rf"vm=\S+ lost: {BROKE}")
    assert lying.execute("liar", "honest").status == "Succeeded"


def download(service, name, identifier):
    """Of the standard library, since requests takes a body that is shorter than its Content-Length for whole."""
    address = urllib.parse.urlsplit(service.hearthd.url)
    query = urllib.parse.urlencode({"api-version": NEW, "identifier": identifier})
    with contextlib.closing(http.client.HTTPConnection(address.hostname, address.port, timeout=30)) as connection:
        connection.request("GET", f"/files/{name}/content?{query}",
                           headers={"Authorization": f"Bearer {service.hearthd.token}"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return response.read()


@pytest.mark.parametrize("lie, told, passed_on", [
    ("more_than_told", 3, b""), ("less_than_told", 300, b"x"), ("nothing_without_end", 300, b"")])
def test_a_file_whose_size_is_a_lie_is_cut_off(lying, lie, told, passed_on):
    assert lying.execute("liar", "honest").status == "Succeeded"
    # The lie may be found before anything was sent: then not even a status comes. Else the body is too short.
    with pytest.raises((http.client.RemoteDisconnected, http.client.IncompleteRead)) as raised:
        download(lying, lie, "liar")
    if raised.type is http.client.IncompleteRead:
        got = raised.value.partial
        assert passed_on.startswith(got) and len(got) + raised.value.expected == told
    lying.wait_for_log(rf"vm=\S+ lost: {BROKE}")
    assert lying.execute("liar", "honest").status == "Succeeded"


def test_a_file_connection_that_closes(lying):
    assert lying.execute("liar", "honest").status == "Succeeded"
    response = lying.request("GET", "files/closes", "liar")
    assert response.status_code == 500 and "the agent closed the connection" in response.text


def test_an_upload_that_is_done_before_it_came(lying):
    assert lying.execute("liar", "honest").status == "Succeeded"
    try:
        response = lying.request("POST", "files", "liar", files={"file": ("done_before_it_came", b"x" * (4 << 20))})
        assert response.status_code in (200, 500), response.text
    except requests.ConnectionError:
        pass  # it was answered before all of it was sent
    assert lying.execute("other", "honest").status == "Succeeded"
