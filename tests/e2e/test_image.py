"""What is in the guest image."""

import json

import pytest

# The name to import of each package that the image promises.
# pip comes after setuptools, since it brings the old distutils.
PACKAGES = ("IPython", "numpy", "pandas", "polars", "matplotlib", "scipy", "sklearn", "PIL", "openpyxl", "requests",
            "setuptools", "pip")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_promised_package_can_be_imported(session, package):
    answer = session.python(f"import {package}\n{package}.__version__", timeout=120)
    assert answer.ok, answer
    assert answer.result[0].isdigit()


def test_the_packages_do_their_work(session):
    code = """
import io, numpy as np, pandas as pd, polars as pl, scipy.optimize, openpyxl
from sklearn.linear_model import LinearRegression
x = np.arange(10.0)
assert abs(LinearRegression().fit(x[:, None], 3 * x + 1).coef_[0] - 3) < 1e-9
assert abs(scipy.optimize.brentq(np.cos, 0, 3) - np.pi / 2) < 1e-6
assert pl.DataFrame({'a': [1, 2]}).select(pl.col('a').sum()).item() == 3
buffer = io.BytesIO()
pd.DataFrame({'a': [1, 2]}).to_excel(buffer, index=False)
assert pd.read_excel(io.BytesIO(buffer.getvalue()))['a'].tolist() == [1, 2]
'all well'
"""
    assert session.python(code, timeout=180).result == "all well"


def test_pkg_resources_lists_what_is_installed(session):
    """autogen asks for exactly this, and reads the list as IPython prints it."""
    answer = session.python("""
        import pkg_resources
        [d.project_name for d in pkg_resources.working_set]
        """, timeout=120)
    names = {part.strip(" '").lower() for part in answer.result.strip("[]").split(",\n")}
    assert {"pandas", "numpy", "ipython"} <= names


def test_node_is_a_supported_lts(session):
    major = int(session.node("process.versions.node.split('.')[0]").result)
    assert major >= 22 and major % 2 == 0


def test_metadata_tells_what_is_there(client, session):
    answer = client.request("GET", "metadata").json()
    runtimes = {runtime["name"]: runtime["version"] for runtime in answer["runtimes"]}
    assert runtimes["python"] == session.python("import platform\nplatform.python_version()").result
    assert runtimes["node"] == session.node("process.versions.node").result
    told = {package["name"]: package["version"] for package in answer["preInstalledPackages"]}
    found = session.python("import importlib.metadata, json\n"
                           "print(json.dumps({d.name: d.version for d in importlib.metadata.distributions()}))")
    assert told == json.loads(found.stdout)
    assert answer["jupyterKernel"]["version"] == told["ipython"]


def test_pip_and_npm_rules(session):
    assert session.python("!python3 -m pip --version").stdout.startswith("pip ")


@pytest.mark.parametrize("program", ["gcc", "git", "curl"])
def test_what_was_left_out_is_not_there(session, program):
    assert session.python(f"import shutil\nshutil.which({program!r}) is None").result is True


def test_the_user_and_its_folders(session):
    answer = session.python("""
        import os, pwd
        user = pwd.getpwuid(os.getuid())
        (user.pw_name, user.pw_dir, os.environ['HOME'], os.access('/mnt/data', os.W_OK))
        """)
    assert answer.result == "('hearth', '/home/hearth', '/home/hearth', True)"


def test_text_is_utf8_everywhere(session):
    answer = session.python("""
        import sys, locale
        (sys.stdout.encoding, sys.getfilesystemencoding(), locale.getpreferredencoding())
        """)
    assert answer.result.lower() == "('utf-8', 'utf-8', 'utf-8')"


def test_the_image_is_read_only_and_the_machine_still_writable(session):
    assert session.python("""
        import tempfile
        with tempfile.TemporaryFile() as f: n = f.write(b'x' * 1000)
        n
        """).result == 1000
    assert session.python("open('/home/hearth/note', 'w').write('x')").result == 1


def test_memory_is_what_the_pool_says(session):
    from service import SESSION_MEMORY_MIB
    total_mib = session.python("int(open('/proc/meminfo').read().split()[1]) // 1024").result
    assert SESSION_MEMORY_MIB * 0.8 < total_mib <= SESSION_MEMORY_MIB
