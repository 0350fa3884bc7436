"""docs/benchmarks.md, made from latest.json."""

import containers_report
import header
import table

LAB_CAVEAT = """\
The lab is software emulation, 10 to 20 times slower than hardware: its figures compare with one another only. Later
microVMs boot slower there than the first one, because the emulator translates code anew in pages that held other code.
"""


def markdown_table(head, rows):
    if not rows:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1),
                      *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)]) + "\n"


def part(title, words, *tables):
    tables = [text for text in tables if text]
    if not tables:
        return ""
    return "\n".join([f"## {title}\n", *([words + "\n"] if words else []), *tables])


def times(document):
    rows = [[f"`{figure}`", document["titles"][name], *(table.number(document["figures"][figure][column])
                                                      for column in table.COLUMNS)]
            for name, figure in document["figure_names"].items() if figure in document["figures"]]
    return markdown_table(["figure", "what", *table.COLUMNS], rows).replace("| --- | ---: |", "| --- | --- |", 1)


def phases(document):
    names = list(dict.fromkeys(phase for parts in document["phases"].values() for phase in parts))
    rows = [[f"`{name}`", *(table.number(parts[phase]["median"]) if phase in parts else "" for phase in names)]
            for name, parts in document["phases"].items()]
    return markdown_table(["ms", *names], rows)


def numbers(document):
    return markdown_table(["figure", ""], [[f"`{name}`", table.number(value)]
                                           for name, value in document["figures"].items() if not isinstance(value, dict)])


def throughput(document):
    return markdown_table(["clients", "sessions/s", "median ms", "p95 ms", "refused (429)"],
                          [[level["clients"], table.number(level["sessions_per_second"]),
                            table.number(level["start_ms"]["median"]), table.number(level["start_ms"]["p95"]),
                            level["refused"]] for level in document["throughput"]])


def isolation(document):
    return markdown_table(["what", *table.ISOLATION], table.isolation_rows(document))


def targets(document):
    return markdown_table(["what", "value", "target", ""],
                          [[item["title"], table.number(item["value"]), item["target"], table.verdict(item["met"])]
                           for item in (*document["ratios"].values(), *document["limits"].values())])


def scale(document):
    rows = [[name, ", ".join(f"{key} {value}" for key, value in result.items() if value != "")]
            for name, result in document["scale"].items()]
    return markdown_table(["what", "result"], rows).replace("---:", "---")


def remarks(document):
    lines = [*(f"- `{name}` was skipped: {reason}." for name, reason in document["skipped"].items()),
             *(f"- {note}." for note in document["notes"])]
    return "\n".join(lines) + "\n" if lines else ""


def page(document):
    """The whole page. Nothing in it is written by hand, so that it is what was measured."""
    facts = "\n".join(f"- {line}" for line in header.sentences(document["machine"])[:3])
    lab = LAB_CAVEAT + "\n" if document["machine"]["accelerator"] == "lab" else ""
    parts = [
        "# Benchmarks\n\nMade by `make bench` and then `scripts/bench --page`; `scripts/bench --help` tells what else it can."
        f"\n\n{facts}\n\n{lab}Times are milliseconds of wall clock from the order to the result of `print(1)`, as a client "
        "beside the\nservice sees them. p95 and p99 are nearest-rank: values that were measured.\n",
        part("Times", "", times(document)),
        part("Where the time goes", "Medians of the parts that hearthd tells in `x-hearth-timing` ([api.md](api.md)); "
             "`other` is what they leave of the total:\nconnecting, HTTP, queueing and the client itself. Of the peers: "
             "what the guest and the control socket tell.", phases(document)),
        part("Memory and counts", "KiB as in `/proc/PID/smaps`: private is what goes when the process ends "
             "(`Private_Clean` + `Private_Dirty`).", numbers(document)),
        part("Sessions a second", "Each client starts a session, runs `print(1)` and ends it.", throughput(document)),
        part("Isolation", "With and without are two services that differ in `unsafe-no-jail` alone, whose starts took turns "
             "(medians);\nand a session beside ten others that burn CPU, memory, disk and output, and beside the same ones "
             "at rest, in turns, too.", isolation(document)),
        part("Containers", "What requests to a session of the echo image take through hearthd and a microVM, beside nginx "
             "with proxy_pass and the same\nserver without a VM, one process each. Small ones are GETs by wrk over connections "
             "that last; `new to container` counts those\nthat hearthd made to it meanwhile. KiB are hearthd's VmRSS. How "
             "such sessions start is above; what an import takes, below.",
             *(markdown_table(*table_of) for table_of in containers_report.tables(document, table.number))),
        part("Targets", "Quotients are of this run: of medians, unless they say p99.", targets(document)),
        part("Scale", "By `scripts/bench --scale`.", scale(document)),
        part("Remarks", "", remarks(document)),
    ]
    return "\n".join(text for text in parts if text)
