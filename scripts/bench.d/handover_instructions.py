#!/usr/bin/python3
"""Counts the CPU instructions of a hand-over, by callgrind: in hearthd from the request that needs a session until the
order to run and the code are sent, in hearth-vmm from that order until the vCPU may run.

usage: scripts/lab python3 scripts/bench.d/handover_instructions.py      (without scripts/lab where KVM works)

Needs valgrind, and a template: it makes one of its own, for which it takes a minute. Under valgrind all is slow; the
counts are the same each time, but for a few.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

PORT = 18099
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
os.chdir(ROOT)
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

from microvm import PAUSE, RESUME  # noqa: E402
from snapshot_scenarios import clone, make_template  # noqa: E402


def counted(function, folder):
    """A callgrind that counts within one function, and the file that it writes."""
    path = os.path.join(folder, f"{function}-{time.monotonic_ns()}")
    return ("valgrind", "--quiet", "--tool=callgrind", f"--toggle-collect={function}", f"--callgrind-out-file={path}"), path


def total(path):
    with open(path) as file:
        return int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M)[1])


def vmm(folder):
    """The second resume, which hands over, less the first, which both runs have."""
    names = make_template(folder)
    counts = []
    for n_resumes in 1, 2:
        wrapper, path = counted("vm_resume", folder)
        with clone(names, resume=False, wrapper=wrapper) as vm:
            for _ in range(n_resumes):
                vm.do(RESUME)
                vm.do(PAUSE)
        counts.append(total(path))
    return counts[1] - counts[0]


def call(path, token, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/{path}", data=body and json.dumps(body).encode(),
                                     headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer), answer.headers


def hearthd(folder):
    """One session from the stock."""
    token = "x" * 32
    with open(os.path.join(folder, "token"), "w") as file:
        file.write(token)
    wrapper, path = counted("sessions_execute", folder)
    process = subprocess.Popen(
        [*wrapper, "build/hearthd", "--listen", f"127.0.0.1:{PORT}", "--token-file", f"{folder}/token", "--database",
         f"{folder}/db", "--template-dir", f"{folder}/templates", "--runtime-dir", f"{folder}/run", "--ready-sessions", "1",
         "--session-memory-mib", "512"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while True:
            assert time.monotonic() < deadline and process.poll() is None, "hearthd has no ready session"
            try:
                if call("healthz", token)[0]["pools"][0]["ready"]:
                    break
            except OSError:
                pass
            time.sleep(0.5)
        _, headers = call("executions?identifier=one", token, {"code": "print(1)"})
        assert "source=warm" in headers["x-hearth-timing"], headers["x-hearth-timing"]
    finally:
        process.terminate()
        process.wait(60)
    return total(path)


def main():
    if subprocess.run(["which", "valgrind"], stdout=subprocess.DEVNULL).returncode:
        sys.exit("valgrind is not installed: apt-get install valgrind")
    with tempfile.TemporaryDirectory(prefix="hearth-handover-") as folder:
        print(f"hearthd: {hearthd(folder)} instructions from the request until order and code are sent")
        print(f"hearth-vmm: {vmm(folder)} instructions from the order to resume until the vCPU may run")


if __name__ == "__main__":
    main()
