"""Python environments with pinned packages, made once for each content of their requirements."""

import hashlib
import os
import shutil
import subprocess

CACHE = os.environ.get("HEARTH_CACHE") or os.path.expanduser("~/.cache/hearth")


def pinned_python(name, requirements):
    """The interpreter of an environment with exactly the packages of that file, all with their hashes."""
    with open(requirements, "rb") as file:
        key = hashlib.sha256(file.read()).hexdigest()[:16]
    folder = os.path.join(CACHE, "venvs", f"{name}-{key}")
    python, complete = os.path.join(folder, "bin", "python"), os.path.join(folder, "complete")
    if not os.path.exists(complete):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["/usr/bin/python3", "-m", "venv", folder], stdin=subprocess.DEVNULL, check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
                        "--require-hashes", "-r", requirements], stdin=subprocess.DEVNULL, check=True)
        open(complete, "w").close()
    return python
