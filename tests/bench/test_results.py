"""From what the workloads say to figures, table, pages and plots."""

import json
import re
import xml.etree.ElementTree

import page
import peers
import plan
import plots
import pytest
import results
import table
import web_report
from workloads import proxying

MACHINE = {"date": "2026-01-02 03:04 UTC", "accelerator": "lab", "processor": "A <B> & C", "cpus": 2, "memory_mib": 6000,
           "load": 0.5, "kernel": "6.1.0", "host_kernel": "6.1.0", "versions": {"hearth": "abc"}, "guest_kernel": "vmlinux-1",
           "guest_image": "image-1", "session_memory_mib": 512, "session_cpus": 1}


def collect(**series):
    """Results as if each of the named workloads had these times."""
    collected = results.Results(MACHINE)
    for step in plan.steps():
        if step.name in series:
            collected.begin(step)
            for ms in series[step.name]:
                collected.take(step.name, {"ms": ms, "phases": {"kernel": ms / 4, "other": ms * 3 / 4}})
    return collected


@pytest.fixture
def document():
    collected = collect(cold_start=[6000.0, 6500.0, 6200.0], warm_start=[40.0, 50.0, 45.0],
                        reused_execution=[30.0, 30.0], restore_start=[700.0], qemu_microvm_cold=[9000.0],
                        container_start=[240.0])
    for name, value in (("idle_clone_private_kib", 1500), ("used_clone_private_kib", 20000), ("vmm_private_kib", 288)):
        collected.take("footprint", {"number": name, "value": value})
    collected.take("resume", {"series": "suspend_ms", "values": [1.0, 3.0]})
    for name, values in (("warm_jailed_ms", [36.0, 37.0, 41.0]), ("warm_unjailed_ms", [29.0, 31.0])):
        collected.take("isolation", {"series": name, "values": values})
    collected.take("fork", {"skipped": "there is <no> fork"})
    collected.take("warm_start", {"note": "a note & more"})
    collected.take("footprint", {"point": {"sessions": 1, "private_kib": 4096, "shared_kib": 9, "machine_kib": 5000}})
    collected.take("footprint", {"point": {"sessions": 2, "private_kib": 9096, "shared_kib": 9, "machine_kib": 9900}})
    for clients in (1, 2):
        collected.take("throughput", {"level": {"clients": clients, "sessions": 9, "refused": 0,
                                                "sessions_per_second": 4.5 * clients,
                                                "start_ms": results.measure.summary([40.0, 50.0])}})
    collected.take("churn", {"result": {"sessions": 2000, "lost": 0, "hearthd_before": {"rss_kib": 5000}}})
    return json.loads(json.dumps(collected.document()))  # as it comes back from latest.json


def test_figures_have_the_names_and_fields_that_others_read(document):
    figures = document["figures"]
    for name in ("cold_start_ms", "warm_start_ms", "restore_start_ms", "reused_execution_ms", "qemu_microvm_cold_ms",
                 "container_start_ms", "suspend_ms"):
        assert set(figures[name]) == {"n", "min", "median", "p95", "p99", "max"}
    assert figures["cold_start_ms"] == {"n": 3, "min": 6000, "median": 6200, "p95": 6500, "p99": 6500, "max": 6500}
    assert figures["idle_clone_private_kib"] == 1500
    assert "fork_ms" not in figures and document["skipped"]["fork"] == "there is <no> fork"


def test_plan_has_a_figure_for_each_name_of_the_report():
    names = {step.figure for step in plan.steps()}
    assert {"cold_start_ms", "warm_start_ms", "restore_start_ms", "fork_ms", "resume_ms", "reused_execution_ms",
            "qemu_microvm_cold_ms", "container_start_ms", "python_process_ms"} <= names
    assert sum(step.seconds for step in plan.steps()) < plan.TOTAL_SECONDS


def test_ratios_and_limits(document):
    ratios, limits = document["ratios"], document["limits"]
    assert ratios["cold_by_warm"]["value"] == pytest.approx(6200 / 45, abs=0.001) and ratios["cold_by_warm"]["met"]
    assert ratios["warm_by_reused"]["met"] is True
    assert ratios["restore_by_cold"]["met"] is False
    assert ratios["qemu_by_cold"]["met"] is False
    assert ratios["container_by_warm"]["met"] is None
    assert limits["idle_clone_private_kib"]["met"] and not limits["used_clone_private_kib"]["met"]


def containers():
    collected = collect(echo_cold_start=[1500.0], echo_warm_start=[30.0])
    for step, point in (
            ("proxied_requests", {"connections": 8, "hearthd_per_second": 250.0, "hearthd_median_ms": 30.0, "hearthd_p99_ms": 60.0,
                                  "nginx_per_second": 1000.0, "nginx_median_ms": 8.0, "nginx_p99_ms": 20.0,
                                  "connections_to_container": 9}),
            ("proxied_bodies", {"way": "upload", "mib": 64, "hearthd_mib_per_second": 5.0, "nginx_mib_per_second": 50.0,
                                "rss_before_kib": 15000, "rss_most_kib": 15100, "rss_after_kib": 15050}),
            ("proxied_streams", {"streams": 200, "sessions": 4, "rss_before_kib": 15000, "rss_during_kib": 35000,
                                 "rss_after_kib": 16000, "descriptors": 600, "descriptors_left": 0})):
        collected.take(step, {"point": point})
    return collected.document()


@pytest.mark.parametrize("report", [page.page, table.text, web_report.page])
def test_reports_compare_the_way_to_containers_with_nginx(report):
    text = report(containers())
    for words in ("25 %", "3.00", "10 %", "15100", "600", "100.0", "echo image: cold start ÷ warm start", "50.0"):
        assert words in text, words


WRK = """Running 3s test @ http://127.0.0.1:8099/hello
  Latency Distribution
     50%  839.00us
     75%    1.10ms
     90%    1.50s
     99%    2.00s\x20
  36 requests in 3.01s, 10.29KB read
Requests/sec:     11.98
"""


def test_what_wrk_says_is_understood():
    assert proxying.parse_wrk(WRK) == {"per_second": 11.98, "median_ms": 0.839, "p99_ms": 2000.0}
    with pytest.raises(proxying.rest.RestError):
        proxying.parse_wrk(WRK + "  Non-2xx or 3xx responses: 3\n")


def test_unmeasured_sides_make_no_ratio():
    document = collect(cold_start=[6000.0]).document()
    assert document["ratios"] == {} and document["limits"] == {} and document["isolation"] == {}


def test_what_isolation_costs(document):
    assert document["isolation"] == {"warm_jail": {
        "title": "warm start: with the jail, without", "n": 2, "with_ms": 37, "without_ms": 30, "difference_ms": 7,
        "ratio": 1.233}}
    assert "| warm start: with the jail, without | 2 | 37.0 | 30.0 | +7.0 | 1.23 |" in page.page(document)
    assert "+7.0   1.23" in table.text(document) and "+7.0" in web_report.page(document)
    del document["isolation"]  # as before it was measured
    assert "Isolation" not in page.page(document)


def test_unknown_line_of_a_workload_is_an_error():
    with pytest.raises(ValueError):
        collect().take("fork", {"surprise": 1})


def test_table_tells_all(document):
    text = table.text(document)
    for words in ("cold_start_ms", "6200", "missed", "skipped fork: there is <no> fork", "vmm_private_kib", "in the lab",
                  "9.0", "churn"):
        assert words in text
    assert all(line == line.rstrip() for line in text.splitlines())


def svgs(text):
    return [xml.etree.ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.S)]


def test_report_is_complete_and_needs_nothing_else(document):
    text = web_report.page(document)
    pictures = svgs(text)
    assert len(pictures) >= 9  # all starts, two of parts, each start's parts, memory, throughput
    assert not re.search(r"(src|href)=|@import|url\(|<script", text)
    assert "A &lt;B&gt; &amp; C" in text and "<no>" not in text
    dots = sum(len(picture.findall("{*}circle")) for picture in pictures)
    assert dots >= 11 * 3  # each run once among the starts and once for each of its two parts
    for picture in pictures:
        width, height = (float(size) for size in picture.get("viewBox").split()[2:])
        for words in picture.findall("{*}text"):
            assert 0 <= float(words.get("x")) <= width and 0 <= float(words.get("y")) <= height


def test_report_of_next_to_nothing():
    document = collect(python_process=[12.0]).document()
    assert "python process" in web_report.page(document)
    assert "python_process_ms" in page.page(document)
    assert web_report.page(results.Results(MACHINE).document())


def test_page_is_markdown_with_whole_tables(document):
    text = page.page(document)
    for words in ("`cold_start_ms`", "| `vmm_private_kib` | 288 |", "≤ 2048 KiB", "make bench", "emulation"):
        assert words in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    assert "\n\n\n" not in text


@pytest.mark.parametrize("greatest, step", [(0, 1), (1.2, 0.2), (7, 1), (35, 5), (6200, 1000), (0.03, 0.005)])
def test_linear_scale_has_few_round_steps(greatest, step):
    scale = plots.LinearScale([greatest], 0, 100)
    assert scale.step == pytest.approx(step)
    assert scale.top >= greatest and 1 <= len(scale.ticks()) - 1 <= 10
    assert scale.at(0) == 0 and scale.at(scale.top) == 100


def test_log_scale_holds_all_values():
    scale = plots.LogScale([0.0, 3.0, 9000.0], 0, 100)
    assert scale.at(1) == 0 and scale.at(10000) == pytest.approx(100)
    assert scale.at(0.0) == 0 and 0 < scale.at(3.0) < scale.at(9000.0) < 100
    assert scale.ticks()[0] == 1 and scale.ticks()[-1] == 10000


def test_names_at_a_plots_edge_do_not_cover_each_other():
    used = []
    places = [plots.free_place(100, used) for _ in range(5)]
    assert all(abs(a - b) >= 16 for i, a in enumerate(places) for b in places[:i])


def test_each_peer_has_its_interface():
    for name in peers.NAMES:
        peer = peers.load(name)
        assert peer.TITLE and peer.RUNS > 0 and peer.SECONDS > 0
        assert peer.is_available({"kernel": "/nowhere", "image": "/nowhere"}) is None or name != "python_process"
        assert hasattr(peer.Peer, "run") and hasattr(peer.Peer, "__enter__")
    with pytest.raises(ValueError):
        peers.load("os")
