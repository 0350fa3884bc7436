"""`scripts/bench` and `hearth bench`, as far as they measure nothing."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT

BENCH = os.path.join(ROOT, "scripts", "bench")
HEARTH = os.path.join(ROOT, "build", "hearth")


def run(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **options)


def test_help_and_list():
    assert "--scale NAME=COUNT" in run(BENCH, "--help").stdout
    listed = run(BENCH, "--list")
    assert listed.returncode == 0 and "warm_start " in listed.stdout and "python_process " in listed.stdout


@pytest.mark.parametrize("arguments", [("--only", "nothing"), ("--runs", "0"), ("--concurrency", "1,x"), ("--scale", "x=3"),
                                       ("--concurrency", "0"), ("--surprise",)])
def test_wrong_options_are_told(arguments):
    result = run(BENCH, *arguments)
    assert result.returncode == 2 and result.stderr and "Traceback" not in result.stderr


def test_page_without_results_is_told(tmp_path):
    result = run(BENCH, "--page", "--out", str(tmp_path))
    assert result.returncode == 2 and "run scripts/bench first" in result.stderr


@pytest.mark.skipif(not os.path.exists(HEARTH), reason="build/hearth is not built")
def test_hearth_bench_is_the_same_tool(tmp_path):
    assert run(HEARTH, "bench", "--list").stdout == run(BENCH, "--list").stdout
    assert run(HEARTH, "bench", "--surprise").returncode == 2
    alone = shutil.copy(HEARTH, tmp_path / "hearth")
    result = run(alone, "bench", "--list")
    assert result.returncode == 3 and "is not installed" in result.stderr and result.stderr.count("\n") == 1
