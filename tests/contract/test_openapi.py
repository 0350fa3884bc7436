"""hearthd is what its /openapi.json says: schemathesis makes good and bad requests from it, and leaves nothing to say."""

import os
import re
import subprocess
import sys

FOLDER = os.path.dirname(os.path.realpath(__file__))
SCHEMATHESIS = os.path.join(os.path.dirname(sys.executable), "schemathesis")
N_EXAMPLES = 25  # of each operation and phase: about half a minute


def check(hearthd, seed, *options):
    hearthd.start("--max-sessions", "20")
    command = [SCHEMATHESIS, "--config-file", os.path.join(FOLDER, "schemathesis.toml"), "--no-color", "run",
               f"{hearthd.url}/openapi.json", "--header", f"Authorization: Bearer {hearthd.token}",
               "--seed", str(seed), "--max-examples", str(N_EXAMPLES), "--mode", "all", *options]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "checks", "PYTHONPATH": FOLDER}
    result = subprocess.run(command, cwd=hearthd.folder, env=environment, text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    assert result.returncode == 0, result.stdout[-20000:]
    paths = hearthd.get("openapi.json").json()["paths"]
    del paths["/openapi.json"]  # schemathesis takes this for read
    assert f"Tested: {sum(len(item) for item in paths.values())}" in result.stdout, result.stdout[-2000:]
    assert int(re.search(r"(\d+) generated", result.stdout).group(1)) > 1000, result.stdout[-2000:]
    assert hearthd.get("healthz").status_code == 200


def test_good_and_bad_requests_are_answered_as_the_document_says(hearthd):
    check(hearthd, seed=1)


def test_the_schema_of_an_egress_entry_is_what_hearthd_takes(hearthd):
    hearthd.start()
    entry = hearthd.get("openapi.json").json()["components"]["schemas"]["EgressEntry"]
    label = "a" * 63
    for text in ("example.org", "*.Example.org", "localhost", "_dns.x--y", "3com", "com.3x", label, f"{label}a", "a." * 126 + "a",
                 "a." * 126 + "ab", "a.5", "*.5", "5", "a..b", ".a", "a.", "*", "*.", "*.*", "a b", "\u00e9.org", "10.1.0.0/16",
                 "10.1.0.0", "1.2.3.4/32", "0.0.0.0/0", "0.0.0.0/33", "256.1.1.1", "1.2.3", "01.2.3.4", "*.1.2.3.4", "10.0.0.0/",
                 "10.0.0.0/+8", "::1"):
        answer = hearthd.request("PUT", "sessionPools/analysis", params={"api-version": "2025-02-02-preview"}, json={
            "properties": {"sessionNetworkConfiguration": {"egressPolicy": {"allow": [text]}}}})
        is_good = len(text) <= entry["maxLength"] and bool(re.search(entry["pattern"], text))
        assert answer.status_code in ((200, 201) if is_good else (400,)), f"{text}: {answer.text}"
