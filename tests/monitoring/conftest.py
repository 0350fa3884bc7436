import shutil
import tempfile

import pytest

from native import Hearthd


@pytest.fixture
def hearthd():
    """One for a test, not started. Its folder has a short path, for the sockets in it."""
    folder = tempfile.mkdtemp(prefix="hearth-")
    hearthd = Hearthd(folder)
    try:
        yield hearthd
    finally:
        if hearthd.process:
            hearthd.stop()
        shutil.rmtree(folder)
