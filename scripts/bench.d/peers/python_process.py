"""The floor: a new Python process on the host, without any isolation."""

import os
import subprocess
import time

TITLE = "a python3 process, no isolation (the floor)"
RUNS, SECONDS = 50, 10
PYTHON = "/usr/bin/python3"


def is_available(_):
    return None if os.access(PYTHON, os.X_OK) else f"{PYTHON} is missing"


class Peer:
    def __init__(self, _):
        pass

    def __enter__(self):
        self.run()  # from here on its files are in the page cache
        return self

    def __exit__(self, *_):
        pass

    def run(self):
        began = time.monotonic()
        process = subprocess.Popen([PYTHON, "-c", "print(1)"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = process.stdout.readline()
        ms = (time.monotonic() - began) * 1000
        process.stdout.close()
        if process.wait() != 0 or line != b"1\n":
            raise RuntimeError(f"{PYTHON} printed {line!r}")
        return ms, {}
