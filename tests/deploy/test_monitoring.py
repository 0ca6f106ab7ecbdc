"""Dashboard and alert rules name metrics that there are."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.support.paths import ROOT
from wq_hooks.core.monitoring.metrics import METRICS, PREFIX

MONITORING = ROOT / "deploy" / "monitoring"
KNOWN = {
    PREFIX + metric.name + ("_total" if metric.is_counter else "")
    for metric in METRICS
}
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text())
RULES = yaml.safe_load((MONITORING / "alerts.yml").read_text())


def queries():
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]
    for group in RULES["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("name", "query"), list(queries()))
def test_a_query_names_metrics_that_exist(name, query):
    del name
    found = set(re.findall(rf"{PREFIX}\w+", query))
    assert found
    assert found <= KNOWN


def test_each_alert_says_what_to_know():
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert rule["labels"]["severity"] in ("warning", "critical")


def test_panels_do_not_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        taken |= cells
