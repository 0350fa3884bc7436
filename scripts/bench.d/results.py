"""What was measured, as it comes in, and the figures that are made of it: the content of latest.json."""

import measure

FORMAT = 1
# Quotients, with what they should be: (name, title, above, below, limit, is the limit the least?, of which figures)
RATIOS = (
    ("cold_by_warm", "cold start ÷ warm start", "cold_start_ms", "warm_start_ms", 50, True, "median"),
    ("warm_by_reused", "warm start ÷ execution in a used session", "warm_start_ms", "reused_execution_ms", 2, False, "median"),
    ("restore_by_cold", "restore on demand ÷ cold start", "restore_start_ms", "cold_start_ms", 0.1, False, "median"),
    ("qemu_by_cold", "QEMU microvm cold ÷ cold start", "qemu_microvm_cold_ms", "cold_start_ms", 1.5, True, "median"),
    ("neighbour_busy_by_idle", "print(1) beside ten burning sessions ÷ beside ten at rest, p99", "neighbour_busy_ms", "neighbour_idle_ms",
     2, False, "p99"),
    ("echo_cold_by_warm", "a session of the echo image: cold start ÷ warm start", "echo_cold_start_ms", "echo_warm_start_ms", None,
     True, "median"),
    ("service_cold_by_warm", "a session of the service image: cold start ÷ warm start", "service_cold_start_ms",
     "service_warm_start_ms", None, True, "median"),
    ("container_by_warm", "container start ÷ warm start", "container_start_ms", "warm_start_ms", None, True, "median"),
)
# What isolation costs: (name, title, with it, without, of which figures)
PAIRS = (
    ("restore_jail", "restore on demand: with the jail, without", "restore_jailed_ms", "restore_unjailed_ms", "median"),
    ("warm_jail", "warm start: with the jail, without", "warm_jailed_ms", "warm_unjailed_ms", "median"),
    ("neighbour", "print(1): beside ten burning sessions, beside ten at rest", "neighbour_busy_ms", "neighbour_idle_ms", "median"),
    ("neighbour_p99", "the same, p99", "neighbour_busy_ms", "neighbour_idle_ms", "p99"),
)
# Plain numbers with a limit: (figure, title, limit, unit)
LIMITS = (
    ("idle_clone_private_kib", "private memory of a ready, never-used clone", 2048, "KiB"),
    ("used_clone_private_kib", "private memory of a clone after print(1)", 16384, "KiB"),
)


class Results:
    def __init__(self, machine):
        self.machine = machine
        self.runs, self.figure_names, self.titles = {}, {}, {}
        self.numbers, self.skipped, self.notes = {}, {}, []
        self.series, self.levels, self.points, self.scale = {}, [], {}, {}

    def begin(self, step):
        self.titles[step.name] = step.title
        self.figure_names[step.name] = step.figure

    def take(self, step_name, item):
        """One line of inside.py. What the workload has no name for is an error of ours."""
        if "ms" in item:
            self.runs.setdefault(step_name, []).append({"ms": item["ms"], "phases": item.get("phases", {})})
        elif "number" in item:
            self.numbers[item["number"]] = item["value"]
        elif "series" in item:
            self.series[item["series"]] = item["values"]
        elif "skipped" in item:
            self.skipped[step_name] = item["skipped"]
        elif "note" in item:
            self.notes.append(f"{step_name}: {item['note']}")
        elif "level" in item:
            self.levels.append(item["level"])
        elif "point" in item:
            self.points.setdefault(step_name, []).append(item["point"])
        elif "result" in item:
            self.scale[step_name] = item["result"]
        else:
            raise ValueError(f"{step_name} says {item}")

    def figures(self):
        """Summaries by the figures' names, then the plain numbers."""
        figures = {}
        for name, runs in self.runs.items():
            if self.figure_names.get(name):
                figures[self.figure_names[name]] = measure.summary(run["ms"] for run in runs)
        for name, values in self.series.items():
            if values:
                figures[name] = measure.summary(values)
        figures.update(self.numbers)
        return figures

    def phases(self):
        """For each workload the summary of each of its phases, in the order of the first run."""
        result = {}
        for name, runs in self.runs.items():
            parts = {}
            for run in runs:
                for phase, ms in run["phases"].items():
                    parts.setdefault(phase, []).append(ms)
            if parts:
                result[name] = {phase: measure.summary(values) for phase, values in parts.items()}
        return result

    def document(self):
        figures = self.figures()
        return {"format": FORMAT, "machine": self.machine, "figures": figures, "ratios": ratios(figures),
                "limits": limits(figures), "isolation": isolation(figures), "phases": self.phases(), "throughput": self.levels,
                "memory": self.points.get("footprint", []), "scale": self.scale,
                "points": {name: points for name, points in self.points.items() if name != "footprint"},
                "skipped": self.skipped, "notes": self.notes, "titles": self.titles,
                "figure_names": {name: figure for name, figure in self.figure_names.items() if figure},
                "runs": self.runs}


def ratios(figures):
    """Those whose both sides were measured: value, limit, and whether it is met (None: there is no limit)."""
    result = {}
    for name, title, above, below, limit, is_least, which in RATIOS:
        if above not in figures or below not in figures or not figures[below][which]:
            continue
        value = figures[above][which] / figures[below][which]
        met = None if limit is None else (value >= limit if is_least else value <= limit)
        sign = "" if limit is None else ("≥" if is_least else "≤")
        result[name] = {"title": title, "value": round(value, 3), "target": f"{sign} {limit}" if sign else "", "met": met}
    return result


def isolation(figures):
    """Those whose both sides were measured, with what lies between them."""
    result = {}
    for name, title, with_it, without, which in PAIRS:
        if with_it not in figures or without not in figures or not figures[without][which]:
            continue
        above, below = figures[with_it][which], figures[without][which]
        result[name] = {"title": title, "n": min(figures[with_it]["n"], figures[without]["n"]), "with_ms": above,
                        "without_ms": below, "difference_ms": round(above - below, 3), "ratio": round(above / below, 3)}
    return result


def limits(figures):
    return {name: {"title": title, "value": figures[name], "target": f"≤ {limit} {unit}", "met": figures[name] <= limit}
            for name, title, limit, unit in LIMITS if name in figures}
