"""Alerts and the dashboard of Grafana name what a server exports, and each alert has its runbook.

promtool tests when alerts fire (``make lint-images``); these tests need no program.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "floorline.rules.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
TESTS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "floorline.tests.yaml").read_text())
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "floorline.json").read_text())
QUERIES = [t["expr"] for panel in DASHBOARD["panels"] for t in panel.get("targets", [])]
RUNBOOKS = ROOT / "docs" / "runbooks"
_OF_PROMETHEUS = {"job", "namespace", "instance", "le"}
"""Labels that Prometheus adds, and that of buckets."""


def exported():
    """Labels of each metric, by its name; a test of metrics compares the page with a server."""
    rows = re.findall(
        r"^\| `(floorline_\w+)` \| ([\w ]+) \| ([^|]*) \|",
        (ROOT / "docs/metrics.md").read_text(),
        re.M,
    )
    found = {}
    for name, kind, labels in rows:
        known = set(re.findall(r"`(\w+)`", labels))
        names = (
            [name + end for end in ("_bucket", "_sum", "_count")] if kind == "histogram" else [name]
        )
        found |= dict.fromkeys(names, known)
    return found


METRICS = exported()


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in ALERTS.values()), *QUERIES])
def test_expressions_name_metrics_and_labels_that_a_server_exports(expression):
    matchers = re.findall(r"\{([^}]*)\}", expression)
    groups = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    rest = re.sub(r"\{[^}]*\}|\b(?:by|on) \([^)]*\)", "", expression)
    metrics = re.findall(r"\b(?:floorline|process)_\w+|\bup\b", rest)
    labels = {name for text in matchers for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", text)}
    labels |= {label.strip() for text in groups for label in text.split(",")}
    assert metrics
    ours = [name for name in metrics if name.startswith("floorline_")]
    assert set(ours) - METRICS.keys() == set()
    known = set().union(*(METRICS[name] for name in ours))
    assert labels - known - _OF_PROMETHEUS == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_runbook_and_tests_of_both_cases(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    page = RUNBOOKS / rule["annotations"]["runbook_url"].rpartition("/docs/runbooks/")[2]
    text = page.read_text()
    for part in (name, "**Meaning.**", "**How to see it**", "**What to do**"):
        assert part in text, f"{page.name}: {part}"
    assert name in (RUNBOOKS / "README.md").read_text()
    checks = [
        c for test in TESTS["tests"] for c in test["alert_rule_test"] if c["alertname"] == name
    ]
    assert any(check["exp_alerts"] for check in checks)


def test_the_files_of_the_chart_are_those_of_the_folders_beside_it():
    files = ROOT / "deploy" / "helm" / "floorline" / "files"
    assert yaml.safe_load((files / "floorline.rules.yaml").read_text()) == RULES
    assert json.loads((files / "dashboard.json").read_text()) == DASHBOARD


def test_panels_of_the_dashboard_do_not_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert taken & cells == set()
        assert at["x"] + at["w"] <= 24
        taken |= cells
