"""The dashboard and the alerts that we ship speak of metrics and labels that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from router.telemetry import metrics

DEPLOY = Path(__file__).parents[3] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "callrouter.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
LABELS_OF = {
    f"{metric._name}{suffix}": {*metric._labelnames, *({"le"} if suffix == "_bucket" else ())}
    for metric in vars(metrics).values()
    if isinstance(metric, MetricWrapperBase)
    for suffix in {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}[metric._type]
} | {"up": set()}  # Prometheus' own
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
ALERTS = [rule for rule in RULES if "alert" in rule]


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]


def unknown_names(expression: str) -> set[str]:
    """Metrics that there are not, and labels that none of the metrics has."""
    names = set(re.findall(r"callrouter_\w+|\bup\b|callrouter:[\w:]+", expression))
    labels = {label for name in names for label in LABELS_OF.get(name, ())} | {"job", "instance"}  # the target's
    asked = {
        label.strip()
        for group in re.findall(r"by\s*\(([^)]*)\)", expression)
        for label in group.split(",")
        if label.strip()
    } | set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression))
    return (names - LABELS_OF.keys() - RECORDED) | (asked - labels)


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_expression_uses_existing_metrics_and_labels(where: str, expression: str):
    assert re.search(r"callrouter[_:]\w+|\bup\b", expression), where
    assert unknown_names(expression) == set()


def test_an_expression_with_an_unknown_metric_is_noticed():
    assert unknown_names('sum by (client) (callrouter_circuits_open{colour="red"})') == {"client", "colour"}
    assert unknown_names("callrouter_calls_received") == {"callrouter_calls_received"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]):
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")
    assert len(rule["annotations"]["action"]) > 40


def test_every_metric_is_on_the_dashboard():
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in LABELS_OF} - {"up"}
    assert {name for name in ours if name not in shown} == set()


def test_panels_do_not_overlap():
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
