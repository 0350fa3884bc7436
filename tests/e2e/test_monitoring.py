"""Metrics, log and usage of sessions that run code."""

import json
import os
import secrets
import subprocess
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import ROOT, SESSION_MEMORY_MIB, Service

LOG = "/tmp/hearth-e2e-monitoring.log"


@pytest.fixture(scope="module")
def monitored(host, service):
    """A service with a log in a file, in the place of the shared one."""
    service.stop()
    monitored = Service(host)
    host.run("rm", "-f", LOG)
    monitored.start("--session-memory-mib", str(SESSION_MEMORY_MIB), "--max-sessions", "2", "--ready-sessions", "0",
                    "--log-format", "json", "--log-file", LOG, "--usage-interval-seconds", "1")
    yield monitored
    monitored.stop()
    service.start()


@pytest.fixture
def client(monitored):
    return monitored.client()


def value(client, name, **labels):
    response = client.http.get(f"{client.service_url}/metrics", timeout=60)
    assert response.status_code == 200
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def usage(client, identifier):
    rows = client.http.get(f"{client.service_url}/usage", params={"by": "session"}, timeout=60).json()["value"]
    return next(row for row in rows if row["identifier"] == identifier)


def log(monitored):
    return [json.loads(line) for line in monitored.host.run("cat", LOG).splitlines()]


def test_executions_are_counted_by_how_they_end(client):
    name = secrets.token_hex(4)
    before = {status: value(client, "hearth_executions_total", language="python", status=status)
              for status in ("succeeded", "failed", "timed_out", "interpreter_lost")}
    sum_before = value(client, "hearth_execution_duration_seconds_sum", language="python")
    client.execute(name, "import time; time.sleep(0.3)")
    client.execute(name, "1 / 0")
    client.execute(name, "while True: pass", timeout=1)
    client.execute(name, "import os; os._exit(3)")
    for status, count in before.items():
        assert value(client, "hearth_executions_total", language="python", status=status) == count + 1, status
    assert value(client, "hearth_execution_duration_seconds_sum", language="python") >= sum_before + 1.3
    assert value(client, "hearth_errors_total", reason="execution_timeout") >= 1
    assert value(client, "hearth_errors_total", reason="interpreter_lost") >= 1
    client.end(name)


def test_gauges_follow_a_session(client):
    name = secrets.token_hex(4)
    started = sum(value(client, "hearth_session_allocation_duration_seconds_count", source=source)
                  for source in ("warm", "restore", "boot"))
    client.execute(name, "1")
    assert value(client, "hearth_pool_sessions", pool="default", state="idle") == 1
    assert value(client, "hearth_pool_allocated_sessions", pool="default") == 1
    assert value(client, "hearth_pool_assigned_memory_bytes", pool="default") == SESSION_MEMORY_MIB << 20
    assert sum(value(client, "hearth_session_allocation_duration_seconds_count", source=source)
               for source in ("warm", "restore", "boot")) == started + 1
    client.end(name)
    deadline = time.monotonic() + 60
    while value(client, "hearth_sessions_ending") > 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert value(client, "hearth_pool_allocated_sessions", pool="default") == 0


def test_a_full_pool_is_an_error_by_reason(client):
    names = [secrets.token_hex(4) for _ in range(2)]
    for name in names:
        client.execute(name, "1")
    before = value(client, "hearth_errors_total", reason="pool_full")
    assert client.post("executions", {"code": "1"}, identifier="third").status_code == 429
    assert value(client, "hearth_errors_total", reason="pool_full") == before + 1
    assert value(client, "hearth_http_requests_total", route="execution", code="429") >= 1
    for name in names:
        client.end(name)


def test_the_log_tells_of_executions_and_not_of_code(client, monitored):
    name = f"log {secrets.token_hex(4)}"
    client.execute(name, "print('verm' + 'ilion'); raise ValueError('vermilion')")
    client.end(name)
    lines = log(monitored)
    mine = [line for line in lines if line.get("identifier") == name]
    assert [line["execution"] for line in mine if "execution" in line] == ["failed"]
    assert all(line["ran_ms"] <= line["wall_ms"] for line in mine if "execution" in line)
    assert "cooling" in [line.get("state") for line in mine]
    assert "vermilion" not in json.dumps(lines)
    assert monitored.token not in json.dumps(lines)
    filtered = monitored.host.run(os.path.join(ROOT, "build", "hearth"), "logs", "--file", LOG, "--session", name)
    assert {line.get("identifier", name) for line in map(json.loads, filtered.splitlines())} == {name}
    assert len(filtered.splitlines()) >= len(mine)


def test_usage_is_of_the_machine_and_the_code(client, monitored):
    name = secrets.token_hex(4)
    began = time.monotonic()
    client.execute(name, "import time; time.sleep(1)")
    client.execute(name, "2")
    client.end(name)
    took = time.monotonic() - began
    row = usage(client, name)
    assert row["executions"] == 2 and row["endReason"] == "the session was deleted"
    assert 1 <= row["executionSeconds"] <= row["vcpuSeconds"] <= took + 1
    assert row["gibSeconds"] == pytest.approx(row["vcpuSeconds"] * SESSION_MEMORY_MIB / 1024, abs=0.01)
    command = [os.path.join(ROOT, "build", "hearth"), "usage", "--by", "session", "-o", "json", "--url", monitored.url,
               "--token", monitored.token]
    rows = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    assert name in [row["identifier"] for row in rows]


def test_usage_goes_on_after_a_kill(client, monitored):
    """What the interval of a second has written is still there, and the same record goes on."""
    client.execute("survivor", "x = 1")
    deadline = time.monotonic() + 60
    while "vcpuSeconds" not in usage(client, "survivor") or usage(client, "survivor")["executions"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(2.5)  # two intervals
    monitored.kill()
    monitored.start("--session-memory-mib", str(SESSION_MEMORY_MIB), "--max-sessions", "2", "--ready-sessions", "0",
                    "--log-format", "json", "--log-file", LOG, "--usage-interval-seconds", "1")
    again = monitored.client()
    assert again.execute("survivor", "x").result == 1
    row = usage(again, "survivor")
    assert row["executions"] == 2 and "endAt" not in row
    assert row["vcpuSeconds"] > 2
    again.end("survivor")
    assert usage(again, "survivor")["endReason"] == "the session was deleted"
