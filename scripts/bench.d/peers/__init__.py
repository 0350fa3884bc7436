"""What a user would run instead of Hearth, measured beside it. One file a peer; a new one is added to NAMES.

A module has
  TITLE             what is measured, for people
  RUNS, SECONDS     how many runs at most, and for how long
  is_available(settings)   None, or a sentence that says what is missing
  Peer(settings)    a context manager: entering prepares what is not measured (mounts, a snapshot), leaving removes it.
                    run() makes one start from nothing to the result of print(1): (milliseconds, {phase: milliseconds})
and its figure is <its name>_ms.
"""

import importlib

NAMES = ("qemu_microvm_cold", "qemu_microvm_restore", "container_start", "python_process")


def load(name):
    if name not in NAMES:
        raise ValueError(f"there is no peer {name}")
    return importlib.import_module(f"peers.{name}")
