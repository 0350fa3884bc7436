"""/metrics, as Prometheus' own parsers read it."""

import os
import re

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text


def scrape(hearthd, parse=parse_text, accept="text/plain"):
    response = hearthd.get("metrics", headers={"Accept": accept})
    assert response.status_code == 200, response.text
    return {family.name: family for family in parse(response.text)}


def value(families, family, sample=None, **labels):
    values = [s.value for s in families[family].samples if s.name == (sample or family) and s.labels == labels]
    assert len(values) == 1, (family, labels, families[family].samples)
    return values[0]


def test_both_formats_hold_the_same_families(hearthd):
    hearthd.start()
    assert hearthd.execute("a").status_code == 500
    text = scrape(hearthd)
    openmetrics = scrape(hearthd, parse_openmetrics, "application/openmetrics-text; version=1.0.0")
    assert set(text) == set(openmetrics)
    for name, family in text.items():
        assert family.type == openmetrics[name].type != "unknown", name
        assert family.documentation, name


def test_names_follow_the_conventions(hearthd):
    hearthd.start()
    for family in scrape(hearthd).values():
        assert re.fullmatch(r"(hearth|process)_[a-z_]+", family.name)
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            if family.type == "histogram":
                assert family.name.endswith("_seconds")
            assert not {"session", "identifier", "guid"} & set(sample.labels)


def test_histograms_are_cumulative_and_end_with_infinity(hearthd):
    hearthd.start()
    for family in scrape(hearthd).values():
        series = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                labels = {**sample.labels}
                bound = float(labels.pop("le"))
                series.setdefault(tuple(labels.items()), []).append((bound, sample.value))
        for buckets in series.values():
            assert buckets == sorted(buckets) and buckets[-1][0] == float("inf")
            assert [n for _, n in buckets] == sorted(n for _, n in buckets)


def test_what_happens_is_counted(hearthd):
    hearthd.start("--max-sessions", "3")
    before = scrape(hearthd)
    for i in range(3):
        assert hearthd.execute(f"s{i}").status_code == 500
    assert hearthd.get("session?identifier=x", token=False).status_code == 401
    after = scrape(hearthd)
    assert value(before, "hearth_executions", "hearth_executions_total", language="python", status="not_started") == 0
    assert value(after, "hearth_executions", "hearth_executions_total", language="python", status="not_started") == 3
    assert value(after, "hearth_errors", "hearth_errors_total", reason="allocation_failed") == 3
    assert value(after, "hearth_errors", "hearth_errors_total", reason="session_lost") == 3
    assert value(after, "hearth_errors", "hearth_errors_total", reason="unauthorized") == 1
    assert value(after, "hearth_sessions_started", "hearth_sessions_started_total", source="boot") == 3
    assert value(after, "hearth_http_requests", "hearth_http_requests_total", route="execution", code="500") == 3
    assert value(after, "hearth_pool_max_sessions", pool="default") == 3
    assert value(after, "hearth_pool_allocated_sessions", pool="default") == 0


def test_the_process_is_what_proc_says(hearthd):
    hearthd.start()
    families = scrape(hearthd)
    with open(f"/proc/{hearthd.process.pid}/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert abs(value(families, "process_resident_memory_bytes") - resident) < 4 << 20
    # One more or less for the connection that is closing.
    assert abs(value(families, "process_open_fds") - len(os.listdir(f"/proc/{hearthd.process.pid}/fd"))) <= 1
    assert value(families, "process_max_fds") > 1000
    assert value(families, "process_cpu_seconds", "process_cpu_seconds_total") > 0


def test_metrics_are_open_only_by_setting(hearthd):
    hearthd.start()
    assert hearthd.get("metrics", token=False).status_code == 401
    hearthd.stop()
    hearthd.start("--metrics-open", "true")
    assert hearthd.get("metrics", token=False).status_code == 200
    assert hearthd.get("listSessions", token=False).status_code == 401
