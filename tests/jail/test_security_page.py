"""docs/security.md says what the source does."""

import os
import subprocess

from taken_vmm import ROOT


def test_the_table_of_system_calls_is_that_of_the_source():
    table = subprocess.run(["scripts/syscall-table"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    with open(os.path.join(ROOT, "docs", "security.md")) as file:
        assert table in file.read(), "run scripts/syscall-table --write"
