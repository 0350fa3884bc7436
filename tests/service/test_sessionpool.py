"""`hearth sessionpool` against hearthd: what its options make of a pool."""

import json

import pytest

POLICY = ("sessionNetworkConfiguration", "egressPolicy")


def shown(hearthd, *keys):
    result = hearthd.hearth("sessionpool", "show", "analysis", "-o", "json")
    assert result.returncode == 0, result.stderr
    value = json.loads(result.stdout)["properties"]
    for key in keys:
        value = value.get(key, {})
    return value


def order(hearthd, verb, *arguments):
    result = hearthd.hearth("sessionpool", verb, "analysis", *arguments)
    assert result.returncode == 0, result.stderr


def test_an_empty_list_replaces_the_one_that_was(start):
    hearthd = start()
    order(hearthd, "create", "--max-sessions", "3", "--egress-default-action", "Deny", "--egress-allow",
          "example.org,192.0.2.0/24", "--egress-deny", "bad.example.org")
    assert shown(hearthd, *POLICY) == {
        "defaultAction": "Deny", "allow": ["example.org", "192.0.2.0/24"], "deny": ["bad.example.org"]}
    order(hearthd, "update", "--egress-deny", "")
    assert shown(hearthd, *POLICY) == {"defaultAction": "Deny", "allow": ["example.org", "192.0.2.0/24"], "deny": []}


def test_an_update_touches_what_it_names(start):
    hearthd = start()
    order(hearthd, "create", "--max-sessions", "3", "--ready-sessions", "1", "--cooldown-period", "400", "--memory", "1Gi",
          "--max-processes", "50", "--pool-rate", "9")
    before = shown(hearthd)
    order(hearthd, "update", "--max-execution-time", "7")
    after = shown(hearthd)
    assert after["sessionLimits"].pop("executionTimeInSeconds") == 7
    before["sessionLimits"].pop("executionTimeInSeconds", None)
    assert after == before


@pytest.mark.parametrize("option", ["memory", "location", "template", "egress-default-action", "egress-allow", "egress-deny",
                                    "mi-user-assigned"])
def test_what_is_no_text_makes_no_pool(start, option):
    hearthd = start()
    result = hearthd.hearth("sessionpool", "create", "analysis", f"--{option}", "good,\udcff")
    assert result.returncode == 2 and f"--{option} takes text in UTF-8" in result.stderr
    assert hearthd.hearth("sessionpool", "show", "analysis").returncode == 4
