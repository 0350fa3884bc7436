"""hearth-vmm's jail, without a guest that runs: a VMM that was taken over (build/hearth-vmm-compromised) attacks from inside."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from taken_vmm import BUILD, TakenVmm  # noqa: E402


@pytest.fixture(scope="session")
def can_be_jailed():
    if os.geteuid() != 0:
        pytest.skip("needs root, to have users to give to VMMs")
    if not os.path.exists("/dev/kvm"):
        pytest.skip("there is no /dev/kvm")
    for name in "hearth-vmm-compromised", "hearth-vmm-unfiltered", "guests/spin":
        assert os.path.exists(os.path.join(BUILD, name)), f"make compromised guests: {name} is not there"


@pytest.fixture
def take(can_be_jailed):
    """Starts a VMM that was taken over; filtered, or with everything of the jail but its filters."""
    vmms = []

    def take(is_filtered=True, **options):
        vmms.append(TakenVmm("hearth-vmm-compromised" if is_filtered else "hearth-vmm-unfiltered", **options))
        return vmms[-1]

    yield take
    for vmm in vmms:
        vmm.close()
