"""What deploy/ and docs/ say of metrics is what hearthd shows."""

import json
import os
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from native import ROOT

TARGET_LABELS = {"instance", "job"}  # Prometheus' own


@pytest.fixture
def shown(hearthd):
    """The labels of each sample's name, with the values that they take."""
    hearthd.start()
    hearthd.execute("a")  # so that there are requests
    shown = {}
    for family in text_string_to_metric_families(hearthd.get("metrics").text):
        for sample in family.samples:
            labels = shown.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return shown


def dashboard():
    with open(os.path.join(ROOT, "deploy", "grafana", "hearth.json")) as file:
        return json.load(file)


def rules():
    """The file is YAML of a plain kind: an alert's expression is one line, or an indented block."""
    with open(os.path.join(ROOT, "deploy", "prometheus", "hearth-alerts.yml")) as file:
        text = file.read()
    return re.findall(r"^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", text, re.M), text


def expressions():
    found = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    found += [variable["query"]["query"] for variable in dashboard()["templating"]["list"]
              if variable["type"] == "query"]
    return found + [block or line for block, line in rules()[0]]


def test_alerts_are_all_read():
    found, text = rules()
    assert len(found) == text.count("- alert:") > 5
    assert text.count("annotations:") == text.count("summary:") == len(found)


def test_expressions_use_what_exists(shown):
    used = set()
    for expression in expressions():
        names = re.findall(r"\b(?:hearth|process)_\w+", expression)
        assert names or expression.startswith("up{"), expression
        for name in names:
            assert name in shown, f"{name} in {expression}"
            used.add(name)
        for name, matchers in re.findall(r"\b((?:hearth|process)_\w+)\{([^}]*)\}", expression):
            for label, operator, value in re.findall(r'(\w+)(=~|!~|=|!=)"([^"]*)"', matchers):
                assert label in shown[name] or label in TARGET_LABELS, f"{label} in {expression}"
                if operator == "=" and label not in TARGET_LABELS:
                    assert value in shown[name][label], expression
                if label == "reason":
                    assert set(value.split("|")) <= shown[name][label], expression
    assert len(used) > 15


def test_sums_keep_labels_that_exist(shown):
    known = TARGET_LABELS | {label for labels in shown.values() for label in labels}
    for expression in expressions():
        for labels in re.findall(r"\bby \(([^)]*)\)", expression):
            assert set(re.split(r", ?", labels)) <= known, expression
        assert expression.count("(") == expression.count(")"), expression
        assert expression.count("{") == expression.count("}"), expression


def test_the_dashboard_is_laid_out():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"])
               for y in range(place["y"], place["y"] + place["h"])}
        assert not own & cells and place["x"] + place["w"] <= 24, panel["title"]
        cells |= own


def test_every_metric_is_documented(shown):
    with open(os.path.join(ROOT, "docs", "monitoring.md")) as file:
        section = file.read().split("## Metrics", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`(?:hearth|process)_.*?) \| (.*?) \| (.*?) \|", section, re.M)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for cell, kind, labels in cells
                  for name in re.findall(r"`(\w+)`", cell)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name): set(labels) - {"le"} for name, labels in shown.items()}
    assert {name: labels for name, (_, labels) in documented.items()} == families


def test_every_reason_is_documented(shown):
    with open(os.path.join(ROOT, "docs", "monitoring.md")) as file:
        table = file.read().split("Reasons of `hearth_errors_total`:", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == shown["hearth_errors_total"]["reason"]
