"""The alerts that we ship: each is proven with promtool, explained in the runbook, and leads there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.router.telemetry.alert_cases import SITUATIONS, Situation

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
RUNBOOK = ROOT / "docs" / "runbook"
GROUPS = yaml.safe_load(ALERTS.read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
RULE_OF = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = [rule for rule in RULES if "record" in rule]
HEADINGS = ["What callers notice", "How to see it", "What to do", "How to know it is over"]
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")


def promtool(*arguments: str | Path) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def recorded_for(expression: str) -> list[dict[str, Any]]:
    """The recording rules that an expression needs, in the order in which Prometheus has to evaluate them."""
    names = set(re.findall(r"callrouter:[\w:]+", expression))
    needed = [rule for rule in RECORDED if rule["record"] in names]
    inner = {name for rule in needed for name in re.findall(r"callrouter:[\w:]+", rule["expr"])}
    return [rule for rule in RECORDED if rule["record"] in names | inner]


def test_of(alert: str, situation: Situation, rules: str) -> dict[str, Any]:
    return {
        "rule_files": [rules],
        "evaluation_interval": situation.interval,
        "tests": [
            {
                "interval": situation.interval,
                "input_series": [{"series": name, "values": values} for name, values in situation.series.items()],
                "alert_rule_test": [
                    {
                        "alertname": alert,
                        "eval_time": situation.at,
                        "exp_alerts": [
                            {"exp_labels": {**RULE_OF[alert]["labels"], **labels}} for labels in situation.fires
                        ],
                    }
                ],
            }
        ],
    }


test_of.__test__ = False  # type: ignore[attr-defined]


@needs_promtool
def test_prometheus_accepts_the_rules_and_the_example_of_a_configuration():
    promtool("check", "rules", ALERTS)
    promtool("check", "config", ALERTS.with_name("prometheus.yaml"))


@needs_promtool
def test_every_alert_fires_when_it_must_and_is_silent_when_it_need_not(tmp_path: Path):
    """Each rule alone, and without its texts, which promtool would compare as well."""
    files = []
    for alert, situations in SITUATIONS.items():
        rule = {name: value for name, value in RULE_OF[alert].items() if name != "annotations"}
        rules = tmp_path / f"{alert}.rules.yaml"
        group = {"name": "alone", "rules": [*recorded_for(rule["expr"]), rule]}
        rules.write_text(yaml.safe_dump({"groups": [group]}))
        for number, situation in enumerate(situations):
            files.append(tmp_path / f"{alert}-{number}.yaml")
            files[-1].write_text(yaml.safe_dump(test_of(alert, situation, rules.name)))
    promtool("test", "rules", *files)


@needs_promtool
def test_a_rule_that_does_not_fire_is_noticed(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "alone", "rules": [{"alert": "NoReplica", "expr": "vector(1) == 2"}]}]})
    )
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test_of("NoReplica", SITUATIONS["NoReplica"][0], "rules.yaml")))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", tmp_path / "test.yaml")


def test_there_are_situations_for_every_alert_in_which_it_fires_and_in_which_it_does_not():
    assert SITUATIONS.keys() == RULE_OF.keys()
    for alert, situations in SITUATIONS.items():
        assert {bool(situation.fires) for situation in situations} == {True, False}, alert


def test_every_alert_has_a_page_in_the_runbook_and_every_page_an_alert():
    assert {page.stem for page in RUNBOOK.glob("*.md")} == {*RULE_OF, "README"}


@pytest.mark.parametrize("alert", RULE_OF)
def test_a_page_says_what_callers_notice_how_to_see_it_what_to_do_and_how_it_ends(alert: str):
    page = (RUNBOOK / f"{alert}.md").read_text()
    assert page.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == HEADINGS
    parts = re.split(r"^## .*$", page, flags=re.MULTILINE)[1:]
    assert [part for part in parts if len(part.strip()) < 30] == []
    assert RULE_OF[alert]["annotations"]["runbook_url"].endswith(f"/{alert}.md")
    assert f"[{alert}]({alert}.md)" in (RUNBOOK / "README.md").read_text()


def test_pages_name_only_events_and_metrics_that_exist():
    from router.telemetry import EVENTS  # noqa: PLC0415
    from tests.router.telemetry.test_dashboards import unknown_names  # noqa: PLC0415

    for page in RUNBOOK.glob("*.md"):
        text = page.read_text()
        for block in re.findall(r"```promql\n(.*?)```", text, re.DOTALL):
            assert unknown_names(block) == set(), page.name
        named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", text))
        assert named <= EVENTS.keys(), page.name
