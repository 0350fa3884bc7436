"""What is told of a series of measurements, and when a series is long enough."""

import math
import time


def percentile(values, percent):
    """The nearest-rank percentile: always a value that was measured, never one between two of them."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


def median(values):
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there is no median of nothing")
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def summary(values):
    """The figures of a series, in the unit of its values. Of 20 runs or fewer, p95 and p99 are the slowest ones."""
    values = list(values)
    figures = {"n": len(values), "min": min(values), "median": median(values), "p95": percentile(values, 95),
               "p99": percentile(values, 99), "max": max(values)}
    return {name: value if name == "n" else round(value, 3) for name, value in figures.items()}


def per_second(n_done, seconds):
    return round(n_done / seconds, 3) if seconds > 0 else 0.0


class Budget:
    """Ends a series after `runs` runs, or sooner when `seconds` are over and `least` runs were made."""

    def __init__(self, runs, seconds, least=1, clock=time.monotonic):
        self.runs, self.seconds, self.least = runs, seconds, min(least, runs)
        self.clock = clock
        self.began = clock()
        self.made = 0

    def __iter__(self):
        while self.made < self.runs and (self.made < self.least or self.clock() - self.began < self.seconds):
            yield self.made
            self.made += 1
