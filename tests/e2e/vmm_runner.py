"""Runs hearth-vmm where KVM is: on this machine, or in the lab."""

import json
import os
import subprocess
from dataclasses import dataclass

from service import ROOT

GUESTS = "build/guests"
KERNEL = "build/images/vmlinux"


@dataclass
class Result:
    status: int
    console: str  # what the guest wrote
    log: str  # what hearth-vmm wrote

    def why(self):
        """The sentence with which the VM ended."""
        endings = [line for line in self.log.splitlines() if ": ended status=" in line]
        assert len(endings) == 1, self.log
        return endings[0].split(": ended status=", 1)[1].split(": ", 1)[1]


class Vmm:
    def __init__(self, host):
        self.host = host

    def command(self, *command, timeout=60):
        """Any command beside KVM: (status, stdout, stderr)."""
        if self.host.is_lab:
            command = ("scripts/lab", "--timeout", str(timeout), "--", *command)
        result = subprocess.run(command, cwd=ROOT, env=self.host.environment, stdin=subprocess.DEVNULL, timeout=timeout + 60,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return result.returncode, result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")

    def run(self, *flags, timeout=60, program="build/hearth-vmm"):
        """hearth-vmm itself, without a control socket."""
        return Result(*self.command(program, *flags, timeout=timeout))

    def guest(self, name, *flags, timeout=60):
        """A guest of tests/guests, until its VM ends."""
        return self.run("--kernel", os.path.join(GUESTS, name), "--memory", "128", "--console", "-", *flags, timeout=timeout)

    def drive(self, actions, *flags, timeout=120):
        """hearth-vmm with a control socket: the list of what vmm_driver.py says, and the log."""
        status, output, log = self.command("/usr/bin/python3", "tests/e2e/vmm_driver.py", *actions.split(), "--",
                                           "build/hearth-vmm", *flags, timeout=timeout)
        assert status == 0, log
        return [json.loads(line) for line in output.splitlines()], log
