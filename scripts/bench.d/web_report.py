"""The results as one HTML file that needs nothing else: tables and plots."""

import html

import containers_report
import header
import plots
import table

STYLE = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 900px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2em; }
table { border-collapse: collapse; margin: .6em 0; } td, th { padding: .25em .8em; border-bottom: 1px solid #ddd; }
th { text-align: left; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.met { color: #267a3c; } td.missed { color: #b03030; font-weight: bold; }
p.facts { color: #555; } figure { margin: 1em 0; } figcaption { color: #555; } svg { width: 100%; height: auto; }
"""
STARTS = ("cold_start", "qemu_microvm_cold", "qemu_microvm_restore", "restore_start", "fork", "resume", "warm_start")


def cells(words, kind="td"):
    first, *others = (html.escape(str(word)) for word in words)
    return f"<tr><{kind}>{first}</{kind}>" + "".join(f'<{kind} class="number">{word}</{kind}>' for word in others) + "</tr>"


def html_table(head, rows):
    return "\n".join(["<table>", cells(head, "th"), *(cells(row) for row in rows), "</table>"]) if rows else ""


def figure(svg, caption):
    return f"<figure>\n{svg}\n<figcaption>{html.escape(caption)}</figcaption></figure>" if svg else ""


def section(title, *parts):
    parts = [part for part in parts if part]
    return "\n".join([f"<h2>{html.escape(title)}</h2>", *parts]) if parts else ""


def times(document):
    named = document["figure_names"]
    rows = [[document["titles"].get(name, name), *(table.number(document["figures"][figure_name][column])
                                                  for column in table.COLUMNS)]
            for name, figure_name in named.items() if figure_name in document["figures"]]
    return html_table(["milliseconds", *table.COLUMNS], rows)


def all_starts(document):
    rows = [(name.replace("_", " "), [run["ms"] for run in runs]) for name, runs in document["runs"].items()]
    rows.sort(key=lambda row: -max(row[1]))
    return figure(plots.strips(rows, "time to the result of print(1)"),
                  "Time to the result of print(1), or to a container's first answer: a dot for each run, a bar at the median.")


def medians(document, names):
    return [(name.replace("_", " "), {phase: value["median"] for phase, value in document["phases"][name].items()})
            for name in names if name in document["phases"]]


def parts_of_starts(document):
    """All on one scale; then those again that are too short to be read there."""
    rows = medians(document, STARTS)
    longest = max((sum(parts.values()) for _, parts in rows), default=0)
    short = [(name, parts) for name, parts in rows if sum(parts.values()) < longest / 4]
    return "\n".join([
        figure(plots.stacks(rows, "where the time goes"), "Medians of the parts of each start."),
        figure(plots.stacks(short, "where the time of the short ones goes"), "The short ones again, at their own scale."),
    ]).strip()


def distributions(document):
    pictures = []
    for name, phases in document["phases"].items():
        rows = [(phase, [run["phases"][phase] for run in document["runs"][name] if phase in run["phases"]])
                for phase in phases]
        title = f"{name.replace('_', ' ')}: its parts"
        pictures.append(figure(plots.strips(rows, title), f"{document['titles'].get(name, name)}: each part in each run."))
    return "\n".join(pictures)


def isolation(document):
    return html_table(["what", *table.ISOLATION], table.isolation_rows(document))


def targets(document):
    items = [*document["ratios"].values(), *document["limits"].values()]
    if not items:
        return ""
    rows = [f"<tr><td>{html.escape(item['title'])}</td><td class='number'>{table.number(item['value'])}</td>"
            f"<td class='number'>{html.escape(item['target'])}</td>"
            f"<td class='{table.verdict(item['met'])}'>{table.verdict(item['met'])}</td></tr>" for item in items]
    head = cells(["medians of this run", "value", "target", ""], "th")
    return "\n".join(["<table>", head, *rows, "</table>"])


def memory(document):
    points = document["memory"]
    lines = [(name, [(0, 0), *((point["sessions"], point[key] / 1024) for point in points)])
             for name, key in (("private to their VMMs", "private_kib"), ("taken of the machine", "machine_kib"))]
    plot = plots.curves(lines, "memory by sessions", "used sessions alive", "MiB") if points else ""
    numbers = [[name, table.number(value)] for name, value in document["figures"].items()
               if not isinstance(value, dict) and name.endswith("_kib")]
    return html_table(["KiB", ""], numbers) + figure(plot, "What used sessions hold in all, by their number.")


def throughput(document):
    levels = document["throughput"]
    rows = [[level["clients"], table.number(level["sessions_per_second"]), table.number(level["start_ms"]["median"]),
             table.number(level["start_ms"]["p95"]), level["refused"]] for level in levels]
    plot = plots.curves([("sessions a second", [(level["clients"], level["sessions_per_second"]) for level in levels])],
                        "sessions a second", "clients at once", "sessions/s") if levels else ""
    return html_table(["clients", "sessions/s", "median ms", "p95 ms", "refused (429)"], rows) + figure(
        plot, "Sessions started, used and ended each second.")


def containers(document):
    return "\n".join(html_table(*table_of) for table_of in containers_report.tables(document, table.number))


def scale(document):
    parts = []
    for name, result in document["scale"].items():
        rows = [[key, value if isinstance(value, (int, str)) else table.number(value)]
                for key, value in result.items() if not isinstance(value, dict)]
        points = document["points"].get(name, [])
        keys = [key for key in ("sessions", "ready") if points and key in points[0]]
        plot = ""
        if keys and "machine_kib" in points[0]:
            plot = plots.curves([("memory taken", [(point[keys[0]], point["machine_kib"] / 1024) for point in points])],
                                name, keys[0], "MiB")
        parts.append(html_table([name, ""], rows) + figure(plot, f"{name}: memory of the whole machine"))
    return "\n".join(parts)


def remarks(document):
    items = [*(f"Skipped {name}: {reason}" for name, reason in document["skipped"].items()), *document["notes"]]
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>" if items else ""


def page(document):
    facts = "<br>\n".join(html.escape(line) for line in header.sentences(document["machine"]))
    counts = html_table(["a restore costs", ""], [[name.removeprefix("restore_"), table.number(value)]
                                                 for name, value in document["figures"].items()
                                                 if name.startswith("restore_") and not isinstance(value, dict)])
    sections = [section("Warm, cold, and what else there is", all_starts(document), times(document)),
                section("Isolation", isolation(document)), section("Targets", targets(document)), section("Where the time goes", parts_of_starts(document), counts),
                section("Each part in each run", distributions(document)), section("Memory", memory(document)),
                section("Sessions a second", throughput(document)), section("Containers", containers(document)),
                section("Scale", scale(document)), section("Remarks", remarks(document))]
    body = "\n".join(part for part in sections if part)
    return (f"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Hearth: benchmark</title>\n"
            f"<style>{STYLE}</style></head>\n<body><h1>Hearth: benchmark</h1>\n<p class=\"facts\">{facts}</p>\n"
            f"{body}\n</body></html>\n")
