"""Statistics, and when a series ends."""

import measure
import pytest


def test_percentiles_are_nearest_rank():
    values = list(range(100, 0, -1))
    assert measure.percentile(values, 95) == 95
    assert measure.percentile(values, 99) == 99
    assert measure.percentile(values, 100) == 100
    assert measure.percentile([7], 1) == 7
    assert measure.percentile([1, 2], 50) == 1
    assert measure.percentile([1, 2], 51) == 2


@pytest.mark.parametrize("values, median", [([3, 1, 2], 2), ([4, 1, 2, 3], 2.5), ([5], 5), ([1, 1000], 500.5)])
def test_median(values, median):
    assert measure.median(values) == median


def test_nothing_has_no_figures():
    for function in (measure.median, lambda values: measure.percentile(values, 50)):
        with pytest.raises(ValueError):
            function([])


def test_summary_names_all_figures_and_does_not_change_its_input():
    values = [10.0, 30.0, 20.0]
    assert measure.summary(values) == {"n": 3, "min": 10, "median": 20, "p95": 30, "p99": 30, "max": 30}
    assert values == [10.0, 30.0, 20.0]
    assert measure.summary(iter([1.23456]))["median"] == 1.235
    assert isinstance(measure.summary([1])["n"], int)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("runs, seconds, least, step, made", [
    (5, 100, 1, 1.0, 5),     # the runs are made
    (50, 10, 1, 3.0, 4),     # the time is over: after 12 s
    (50, 10, 8, 30.0, 8),    # the time was too short for the least
    (3, 0, 10, 1.0, 3),      # the least is never more than the runs
    (1, 0, 1, 1.0, 1),
])
def test_budget(runs, seconds, least, step, made):
    clock = Clock()
    n = 0
    for _ in measure.Budget(runs, seconds, least, clock):
        n += 1
        clock.now += step
    assert n == made


def test_per_second_of_no_time_is_none():
    assert measure.per_second(10, 4) == 2.5
    assert measure.per_second(10, 0) == 0
