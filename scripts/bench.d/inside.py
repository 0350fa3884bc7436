#!/usr/bin/python3
"""Runs one workload of the benchmark beside hearthd, and prints what it measured: one JSON object a line.

usage: inside.py WORKLOAD SETTINGS

SETTINGS is a JSON object that scripts/bench makes. What is printed:

  {"ms": …, "phases": {…}}         one run
  {"number": NAME, "value": …}     a plain number
  {"skipped": "why"}               the workload cannot run here
  {"note": "…"}                    something that a reader of the report should know
"""

import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import measure  # noqa: E402
import peers  # noqa: E402
import workloads  # noqa: E402
from workloads import pool  # noqa: E402


def say(**values):
    print(json.dumps(values), flush=True)


def run_peer(name, settings):
    module = peers.load(name)
    reason = module.is_available(settings)
    if reason:
        say(skipped=reason)
        return
    with module.Peer(settings) as peer:
        for _ in measure.Budget(settings["runs"], settings["seconds"], settings["least"]):
            ms, phases = peer.run()
            say(ms=round(ms, 3), phases=phases)


def run_workload(name, settings):
    if "url" in settings:
        with open(settings["token_file"], encoding="ascii") as file:
            settings["token"] = file.read().strip()
        pool.wait_for_template(settings)
    workloads.load(name)(settings, say)


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    if name in peers.NAMES:
        run_peer(name, settings)
    else:
        run_workload(name, settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
