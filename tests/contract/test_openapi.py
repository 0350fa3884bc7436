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
