"""What a restore costs in calls, exits and page faults: these don't depend on the machine's speed, so they must not grow."""

import json

import pytest

from service import ROOT, SESSION_MEMORY_MIB

# Medians from the process's start to the agent's first byte. A change that lowers them lowers these, too.
MOST = {"restore_ioctls": 60, "restore_kvm_exits": 100, "restore_page_faults": 1400}


@pytest.fixture(scope="module")
def counts(host, service):
    """Counted by the benchmark's own workload, beside the service, over the template that the service has made."""
    settings = {"url": "http://127.0.0.1:8080" if host.is_lab else service.url, "runs": 5, "seconds": 60, "least": 3,
                "token_file": host.environment["HEARTH_TOKEN_FILE"], "memory_mib": SESSION_MEMORY_MIB, "boots": False,
                "ready": 0, "template_dir": "/run/hearth-templates" if host.is_lab else f"{ROOT}/build/templates"}
    output = host.run("/usr/bin/python3", "scripts/bench.d/inside.py", "restore_counts", json.dumps(settings), timeout=300)
    items = [json.loads(line) for line in output.splitlines()]
    assert sum("ms" in item for item in items) >= 3, output
    return {item["number"]: item["value"] for item in items if "number" in item}


@pytest.mark.parametrize("name", MOST)
def test_restore_does_not_get_dearer(counts, name):
    assert 0 < counts[name] <= MOST[name], counts
