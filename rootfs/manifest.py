"""Runs inside the tree and prints /etc/hearth-image.json: what the image is made of. Arguments: where Python's
packages come from (wheels or debian), where Node.js comes from (npm or debian)."""

import importlib.metadata
import json
import platform
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def debian_packages():
    lines = output("dpkg-query", "--show", "--showformat", "${Package} ${Version}\n").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def python_packages():
    return {package.name: package.version for package in importlib.metadata.distributions()}


def main():
    python_source, node_source = sys.argv[1:]
    manifest = {
        "image": "code-interpreter",
        "python": {"version": platform.python_version(), "source": python_source, "packages": python_packages()},
        "node": {"version": output("node", "--version").removeprefix("v"), "source": node_source},
        "debian": {"version": open("/etc/debian_version").read().strip(), "packages": debian_packages()},
    }
    json.dump(manifest, sys.stdout, indent=2, sort_keys=True)
    print()


main()
