"""Python environments with pinned packages, made once for each content of their requirements."""

import hashlib
import os
import shutil
import subprocess
import sys

CACHE = os.environ.get("HEARTH_CACHE") or os.path.expanduser("~/.cache/hearth")


def pinned_python(name, requirements, with_debian=False):
    """
    The interpreter of an environment with the packages of that file, all with their hashes. It sees Debian's packages
    (pytest among them) as well if `with_debian`.
    """
    with open(requirements, "rb") as file:
        key = hashlib.sha256(file.read()).hexdigest()[:16]
    folder = os.path.join(CACHE, "venvs", f"{name}-{key}")
    python, complete = os.path.join(folder, "bin", "python"), os.path.join(folder, "complete")
    if os.path.exists(complete):
        return python
    print(f"a Python environment for the tests of {name} …", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    debian = ["--system-site-packages"] if with_debian else []
    subprocess.run(["/usr/bin/python3", "-m", "venv", *debian, folder], stdin=subprocess.DEVNULL, check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
                    "--ignore-installed", "--require-hashes", "-r", requirements], stdin=subprocess.DEVNULL, check=True)
    with open(complete, "w"):
        return python
