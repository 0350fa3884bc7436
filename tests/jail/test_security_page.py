"""docs/security.md says what the source does."""

import os
import re
import subprocess

import pytest

from taken_vmm import ROOT


def table_of(program):
    return subprocess.run(["scripts/syscall-table", program], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def page(name):
    with open(os.path.join(ROOT, "docs", name)) as file:
        return file.read()


@pytest.mark.parametrize("program", ["vmm", "netd"])
def test_the_table_of_system_calls_is_that_of_the_source(program):
    assert f"<!-- scripts/syscall-table {program}: begins -->\n{table_of(program)}<!-- " in page("security.md"), \
        "run scripts/syscall-table --write"


def test_the_number_of_hearth_netds_system_calls():
    """Which two pages name in their text."""
    number = re.search(r"\*\*calls\*\*.*\*\*(\d+)\*\*", table_of("netd"))[1]
    for name in "security.md", "network.md":
        assert re.findall(r"(\d+) system calls", page(name)) == [number], name
