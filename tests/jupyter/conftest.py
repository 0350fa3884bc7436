"""Jupyter's own tools on this machine, their kernels in microVMs of one service (tests/e2e/service.py)."""

import os
import secrets
import shutil
import subprocess
import sys

import nbformat
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from fixtures import host, service  # noqa: E402, F401
from service import TOKEN_FILE, Session  # noqa: E402


@pytest.fixture(scope="session")
def client(service):
    return service.client()


@pytest.fixture(scope="module")
def session(client):
    session = Session(client, f"notebook-{secrets.token_hex(6)}")
    yield session
    session.end()


@pytest.fixture(scope="session")
def jupyter(service, tmp_path_factory):
    """The environment in which Jupyter finds hearth-jupyter and its kernels, installed as users install them."""
    folder = tmp_path_factory.mktemp("jupyter")
    source = shutil.copytree(os.path.join(ROOT, "clients", "jupyter"), folder / "source")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
                    "--no-build-isolation", "--target", folder / "packages", source], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    environment.update(PYTHONPATH=str(folder / "packages"), JUPYTER_PATH=str(folder / "share" / "jupyter"),
                       HOME=str(folder), HEARTH_URL=service.url, JUPYTER_PLATFORM_DIRS="1",
                       PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"])
    subprocess.run([sys.executable, "-m", "hearth_jupyter.install", "install", "--prefix", folder, "--token-file", TOKEN_FILE],
                   env=environment, check=True)
    return environment


def notebook(*sources, language="python", **metadata):
    """A notebook of these code cells."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources],
                                    metadata={"language_info": {"name": language}, **metadata})


PICTURE = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"
