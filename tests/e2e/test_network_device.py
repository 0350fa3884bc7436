"""hearth-vmm's network device, without hearthd: each scenario of network_scenarios.py runs beside KVM."""

import pytest

from vmm_runner import Vmm


@pytest.mark.parametrize("scenario", ["device", "clones", "absence"])
def test_the_network_device(host, scenario):
    status, output, log = Vmm(host).command("/usr/bin/python3", "-B", "tests/e2e/network_scenarios.py", scenario, timeout=300)
    assert status == 0, f"{output}\n{log}"
    print(output)
