"""The results as text: what scripts/bench prints."""

import containers_report
import header

COLUMNS = ("n", "min", "median", "p95", "p99", "max")


def number(value):
    if isinstance(value, int):
        return f"{value}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def aligned(rows):
    """Columns as wide as their longest cell; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [("  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])).rstrip()
            for row in rows]


def summary_rows(figures):
    return [[name, *(number(value[column]) for column in COLUMNS)]
            for name, value in figures.items() if isinstance(value, dict)]


def verdict(met):
    return {None: "", True: "met", False: "missed"}[met]


ISOLATION = ("n", "with ms", "without ms", "difference ms", "ratio")


def isolation_rows(document):
    """A latest.json of before has none."""
    return [[item["title"], number(item["n"]), number(item["with_ms"]), number(item["without_ms"]),
             f"{item['difference_ms']:+.1f}", f"{item['ratio']:.2f}"] for item in document.get("isolation", {}).values()]


def text(document):
    lines = [*header.sentences(document["machine"]), ""]
    figures = document["figures"]
    rows = summary_rows(figures)
    if rows:
        lines += [*aligned([["milliseconds", *COLUMNS], *rows]), ""]
    for name, phases in document["phases"].items():
        lines.append(f"parts of {name} (medians, ms): " +
                     ", ".join(f"{phase} {number(value['median'])}" for phase, value in phases.items()))
    if document["phases"]:
        lines.append("")
    plain = [[name, number(value)] for name, value in figures.items() if not isinstance(value, dict)]
    if plain:
        lines += [*aligned([["numbers", ""], *plain]), ""]
    if document["throughput"]:
        rows = [[str(level["clients"]), number(level["sessions_per_second"]), number(level["start_ms"]["median"]),
                 number(level["start_ms"]["p95"])] for level in document["throughput"]]
        lines += [*aligned([["clients", "sessions/s", "median ms", "p95 ms"], *rows]), ""]
    rows = isolation_rows(document)
    if rows:
        lines += [*aligned([["isolation", *ISOLATION], *rows]), ""]
    for head, rows in containers_report.tables(document, number):
        lines += [*aligned([head, *([str(cell) for cell in row] for row in rows)]), ""]
    targets = [[item["title"], number(item["value"]), item["target"], verdict(item["met"])]
               for item in (*document["ratios"].values(), *document["limits"].values())]
    if targets:
        lines += [*aligned([["against the targets", "value", "target", ""], *targets]), ""]
    lines += [f"{name}: {', '.join(f'{key} {value}' for key, value in result.items())}"
              for name, result in document["scale"].items()]
    lines += [f"skipped {name}: {reason}" for name, reason in document["skipped"].items()]
    lines += [f"note: {note}" for note in document["notes"]]
    return "\n".join(lines).rstrip() + "\n"
