"""What every suite with real microVMs has: where they run, and one service for the whole run."""

import pytest

from service import Host, Service


@pytest.fixture(scope="session")
def host():
    host = Host()
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="session")
def service(host):
    service = Service(host)
    try:
        service.start()
        yield service
    finally:
        service.stop()
