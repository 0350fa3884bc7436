"""The network of a session, without a VM: hearth-netd and passt between a guest's network stack and servers of the tests' own."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import lab as laboratory  # noqa: E402

NAMES = {
    "allowed.example": [(1, laboratory.SERVER)],
    "www.allowed.example": [(1, laboratory.SERVER)],
    "other.example": [(1, laboratory.OTHER)],
    "denied.example": [(1, laboratory.OTHER)],
    "alias.example": [("alias", "denied.example")],
    "nice-alias.example": [("alias", "allowed.example")],
    "rebinding.example": [(1, laboratory.PRIVATE)],
    "metadata.example": [(1, laboratory.METADATA)],
    "loopback.example": [(1, "127.0.0.1")],
    "text.example": [(16, b"\x05hello")],
    "many.example": [(1, f"93.184.217.{i}") for i in range(200)],
}


@pytest.fixture(scope="session")
def lab():
    assert os.path.exists(laboratory.NETD), "make: build/hearth-netd is not there"
    if not os.path.exists(laboratory.PASST):
        pytest.skip("there is no build/passt (scripts/build-passt)")
    try:
        laboratory.become_root()
        return laboratory.Lab(NAMES)
    except OSError as error:
        pytest.skip(f"no network namespaces or TAP devices here: {error}")


@pytest.fixture
def connect(lab):
    """Starts a hearth-netd with a policy."""
    started = []

    def connect(policy="default allow\n", *flags, **options):
        started.append(laboratory.Netd(lab, policy, *flags, **options))
        return started[-1]

    yield connect
    for netd in started:
        netd.close()


@pytest.fixture
def sniffer(lab):
    sniffer = laboratory.Sniffer(lab)
    yield sniffer
    sniffer.close()
