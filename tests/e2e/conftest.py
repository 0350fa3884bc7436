"""One service for the whole run. Booting a microVM in the lab takes seconds, so tests share sessions where they can."""

import secrets
import signal

import pytest

from fixtures import host, service  # noqa: F401
from service import Session


def pytest_configure():
    """Told to end, the tests clear up as after Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))


@pytest.fixture(scope="session")
def slowness(host):
    """How many times longer than on hardware something may take."""
    return 20 if host.is_lab else 1


@pytest.fixture(scope="module")
def client(service):
    return service.client()


@pytest.fixture(scope="module")
def session(client):
    """Shared by the tests of a file: they leave its interpreters usable."""
    session = Session(client, f"test-{secrets.token_hex(6)}")
    yield session
    session.end()


@pytest.fixture
def new_session(client):
    """Makes sessions for one test."""
    sessions = []

    def make():
        sessions.append(Session(client, f"test-{secrets.token_hex(6)}"))
        return sessions[-1]

    yield make
    for session in sessions:
        session.end()
