"""The log as JSON in a file, and `hearth logs`."""

import json
import os
import re
import signal
import subprocess
import time

from native import ROOT


def start(hearthd, *options):
    return hearthd.start("--log-format", "json", "--log-file", hearthd.path("log"), *options)


def lines(hearthd, name="log"):
    with open(hearthd.path(name)) as file:
        return [json.loads(line) for line in file]


def logs(hearthd, *arguments):
    result = hearthd.command("logs", "--file", hearthd.path("log"), *arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def documented_fields():
    with open(os.path.join(ROOT, "docs", "monitoring.md")) as file:
        section = file.read().split("## Logs", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.M)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_each_line_is_an_object_with_documented_fields(hearthd):
    start(hearthd)
    hearthd.execute('odd "name" pool=other')
    hearthd.stop()
    found = lines(hearthd)
    for line in found:
        assert {"time", "level", "component"} < set(line), line
        assert set(line) <= documented_fields(), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", line["time"])
        assert line["level"] in ("error", "warn", "info", "debug")
    session = [line for line in found if line.get("identifier") == 'odd "name" pool=other']
    assert [line["state"] for line in session if "state" in line] == ["cooling", "destroyed"]
    assert all(line["pool"] == "default" for line in session)
    assert found[-1]["message"] == "stopped"
    assert "hearthd: " not in hearthd.stderr()


def test_neither_code_nor_token_is_logged(hearthd):
    start(hearthd, "--log-level", "debug")
    hearthd.request("POST", "executions", params={"identifier": "a"}, json={"code": "print('vermilion')"})
    hearthd.stop()
    with open(hearthd.path("log")) as file:
        text = file.read()
    assert "identifier" in text and "vermilion" not in text and hearthd.token not in text


def test_a_moved_file_is_begun_anew(hearthd):
    start(hearthd)
    hearthd.execute("before")
    os.rename(hearthd.path("log"), hearthd.path("log.1"))
    hearthd.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not os.path.exists(hearthd.path("log")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    hearthd.execute("after")
    names = [{line.get("identifier") for line in lines(hearthd, name)} for name in ("log.1", "log")]
    assert "before" in names[0] and "after" not in names[0]
    assert "after" in names[1] and "before" not in names[1]


def test_a_hangup_ends_it_without_a_file(hearthd):
    hearthd.start()
    hearthd.process.send_signal(signal.SIGHUP)
    assert hearthd.process.wait(20) == -signal.SIGHUP
    hearthd.process.stdout.close()
    hearthd.process = None


def test_text_on_stderr_is_the_default(hearthd):
    hearthd.start().execute("one")
    hearthd.stop()
    assert re.search(r"^hearthd: info: session=\w{8} vm=\w{12} source=boot pool=default identifier=one$",
                     hearthd.stderr(), re.M)


def test_an_unknown_format_is_refused(hearthd):
    result = subprocess.run([os.path.join(ROOT, "build", "hearthd"), "--log-format", "xml"], capture_output=True,
                            text=True, timeout=20)
    assert result.returncode == 1 and "log-format must be text or json" in result.stderr


def test_filters(hearthd):
    start(hearthd)
    pool = {"properties": {"scaleConfiguration": {"maxConcurrentSessions": 3, "readySessionInstances": 0}}}
    assert hearthd.request("PUT", "sessionPools/blue", json=pool).status_code == 201
    hearthd.execute("one")
    hearthd.execute("two")
    hearthd.execute("one", pool="blue")
    assert len(logs(hearthd)) == len(lines(hearthd))
    one = logs(hearthd, "--session", "one")
    assert {line["pool"] for line in one if "pool" in line} == {"default", "blue"}
    assert {line.get("identifier", "one") for line in one} == {"one"}
    # What the microVM itself has to say is among it.
    assert any("identifier" not in line and line["message"].startswith("lost: ") for line in one)
    blue = logs(hearthd, "--pool", "blue")
    assert blue and {line.get("pool", "blue") for line in blue} == {"blue"}
    assert [line for line in one if line.get("pool") == "blue"] == [line for line in logs(
        hearthd, "--session", "one", "--pool", "blue") if "pool" in line]
    assert logs(hearthd, "--since", "2100-01-01") == []
    assert logs(hearthd, "--since", "1h") == lines(hearthd)
    table = hearthd.command("logs", "--file", hearthd.path("log"), "--session", "two", "-o", "table").stdout
    assert re.search(r"^\S+Z info  session=\w{8} vm=\w{12} source=boot pool=default identifier=two$", table, re.M)


def test_mistakes_are_told(hearthd):
    start(hearthd)
    result = hearthd.command("logs", "--file", hearthd.path("none"))
    assert result.returncode == 4 and "--log-file" in result.stderr
    result = hearthd.command("logs", "--since", "soon")
    assert result.returncode == 2 and "--since takes" in result.stderr


def test_following_goes_on_over_a_rotation(hearthd):
    start(hearthd)
    command = [os.path.join(ROOT, "build", "hearth"), "logs", "-f", "--file", hearthd.path("log"), "-o", "json"]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)

    def wait_for(identifier):
        while json.loads(follower.stdout.readline()).get("identifier") != identifier:
            pass

    try:
        hearthd.execute("first")
        wait_for("first")
        os.rename(hearthd.path("log"), hearthd.path("log.1"))
        hearthd.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        hearthd.execute("second")
        wait_for("second")
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 0
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()
