import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "monitoring"))

from native import Hearthd  # noqa: E402


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
