"""The parts of a start, from what hearthd tells of it."""

import pytest
from workloads import common


def test_boot():
    parts = common.phases({"source": "boot", "allocation": 900.0, "vmm": 200.0, "kernel": 500.0, "agent": 100.0,
                           "first_byte": 2100.0, "interpreter": 2000.0, "execution": 50.0, "total": 3100.0}, 3200.0)
    assert parts == {"vmm": 200, "kernel": 500, "agent": 100, "allocation": 100, "first byte": 100, "interpreter": 2000,
                     "execution": 50, "other": 150}
    assert sum(parts.values()) == pytest.approx(3200)


def test_warm():
    parts = common.phases({"source": "warm", "allocation": 0.5, "resume": 2.0, "first_byte": 20.0, "interpreter": 0.0,
                           "execution": 10.0, "total": 31.0}, 40.0)
    assert parts == {"allocation": 0.5, "resume": 2, "first byte": 18, "execution": 10, "other": 9.5}


def test_parts_never_exceed_each_other():
    assert common.phases({"allocation": 1.0, "vmm": 5.0, "execution": 9.0}, 10.0) == {"vmm": 5, "execution": 9}
    assert common.phases({}, 10.0) == {"other": 10}
