"""hearth-vmm's snapshots, without hearthd: each scenario of snapshot_scenarios.py runs beside KVM."""

import pytest

from vmm_runner import Vmm

FOLDER = "/tmp/hearth-test-snapshots"


@pytest.fixture(scope="module")
def run(host):
    """Runs a scenario and returns what it printed."""
    vmm = Vmm(host)

    def scenario(name):
        status, output, log = vmm.command("/usr/bin/python3", "-B", "tests/e2e/snapshot_scenarios.py", name, FOLDER, timeout=400)
        assert status == 0, f"{output}\n{log}"
        print(output)
        return output

    vmm.command("rm", "-rf", FOLDER)
    yield scenario
    vmm.command("rm", "-rf", FOLDER)


@pytest.mark.parametrize("scenario", [
    "clones", "smp", "layers", "live", "running", "clock", "damage", "orders", "costs", "parallel",
])
def test_snapshots(run, scenario):
    run(scenario)
