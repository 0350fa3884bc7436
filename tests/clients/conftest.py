"""For the clients' tests, which run in the clients' own environments: pytest and the standard library, and no more."""

import os
import secrets

import pytest

# For clients that have a time limit of their own: the lab is slow.
PATIENCE_SECONDS = 300
AWKWARD_NAME = "día ñ (1).txt"
TEXT = "zwölf Boxkämpfer\n".encode()

FIGURE = """
import matplotlib.pyplot as plt
plt.plot([1, 2, 3])
print("drawn")
plt.show()
"""
PNG_BEGINNING = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="session")
def endpoint():
    """The pool's management endpoint, as a client of Azure is given it."""
    return os.environ["HEARTH_CLIENT_ENDPOINT"]


@pytest.fixture(scope="session")
def shell_endpoint():
    """Likewise, of a pool of the type Shell."""
    return os.environ["HEARTH_CLIENT_SHELL_ENDPOINT"]


@pytest.fixture(scope="module")
def identifier():
    """A session for the tests of one client."""
    return f"client-{secrets.token_hex(8)}"


@pytest.fixture
def local_file(tmp_path):
    path = tmp_path / AWKWARD_NAME
    path.write_bytes(TEXT)
    return path
