"""Usage records: what is written, what survives, and `hearth usage`."""

import json
import sqlite3
import time

POOL = {"properties": {"scaleConfiguration": {"maxConcurrentSessions": 3, "readySessionInstances": 0}}}


def usage(hearthd, *arguments):
    result = hearthd.command("usage", "-o", "json", *arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def rows_on_disk(hearthd):
    with sqlite3.connect(hearthd.path("hearth.db")) as database:
        return database.execute("SELECT identifier, pool, end_ms IS NULL, reason FROM usage ORDER BY identifier").fetchall()


def test_sessions_are_recorded_with_the_reason_of_their_end(hearthd):
    hearthd.start()
    assert usage(hearthd) == []
    assert hearthd.request("PUT", "sessionPools/blue", json=POOL).status_code == 201
    hearthd.execute("one")
    hearthd.execute("two", pool="blue")
    rows = {row["identifier"]: row for row in usage(hearthd, "--by", "session")}
    assert set(rows) == {"one", "two"}
    assert rows["one"]["pool"] == "default" and rows["two"]["pool"] == "blue"
    for row in rows.values():
        assert row["endReason"] and row["beginAt"] <= row["endAt"]
        assert 0 <= row["vcpuSeconds"] < 10, row  # a VMM that fails at once has lived for less than is told
        assert abs(row["gibSeconds"] - row["vcpuSeconds"]) < 0.02  # 1 GiB, 1 CPU; the default pool's memory is a GiB
        assert row["executions"] == 0  # they never ran
    assert {row["pool"]: row["sessions"] for row in usage(hearthd)} == {"default": 1, "blue": 1}
    assert [row["pool"] for row in usage(hearthd, "--pool", "blue")] == ["blue"]
    day = usage(hearthd, "--by", "day")
    assert [row["sessions"] for row in day] == [2] and day[0]["day"] == time.strftime("%Y-%m-%d", time.gmtime())
    assert usage(hearthd, "--since", "2100-01-01") == []


def test_records_outlive_an_end_and_a_kill(hearthd):
    hearthd.start()
    hearthd.execute("one")
    hearthd.stop()
    assert [row[0] for row in rows_on_disk(hearthd)] == ["one"]
    hearthd.start()
    hearthd.execute("two")
    deadline = time.monotonic() + 20
    while len(rows_on_disk(hearthd)) < 2:  # soon, without being asked
        assert time.monotonic() < deadline
        time.sleep(0.05)
    hearthd.kill()
    hearthd.start()
    assert {row["identifier"] for row in usage(hearthd, "--by", "session")} == {"one", "two"}


def test_a_writer_that_holds_the_database_costs_no_record_and_no_request(hearthd):
    hearthd.start()
    other = sqlite3.connect(hearthd.path("hearth.db"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    hearthd.execute("one")
    time.sleep(1)
    assert hearthd.get("healthz").status_code == 200
    assert usage(hearthd) == []
    assert time.monotonic() - began < 5
    other.execute("COMMIT")
    other.close()
    assert [row["sessions"] for row in usage(hearthd)] == [1]


def test_mistakes_are_told(hearthd):
    hearthd.start()
    assert hearthd.get("usage?by=moon").status_code == 400
    assert hearthd.get("usage?since=-1").status_code == 400
    assert hearthd.get("usage?since=99999999999999999999").status_code == 400
    assert hearthd.get("usage", token=False).status_code == 401
    result = hearthd.command("usage", "--by", "moon")
    assert result.returncode == 2 and "--by takes" in result.stderr
    assert hearthd.command("usage", "--since", "soon").returncode == 2


def test_a_table(hearthd):
    hearthd.start()
    hearthd.execute("one")
    table = hearthd.command("usage", "-o", "table").stdout.splitlines()
    assert table[0].split() == ["POOL", "SESSIONS", "OPEN", "EXECUTIONS", "RAN", "S", "VCPU", "S", "GIB", "S"]
    assert table[1].split()[:5] == ["default", "1", "0", "0", "0"]
