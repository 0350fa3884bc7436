"""Runs a script of javascript/ and reads what it saw."""

import json
import os
import subprocess

SCRIPTS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "javascript")


def run(name, *arguments):
    result = subprocess.run(["node", os.path.join(SCRIPTS, name), *arguments], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(result.stdout)
