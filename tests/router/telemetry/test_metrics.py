"""Metrics: documented, bounded, there before their first event, and added up over workers."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from router.telemetry import metrics

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
OURS = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]


def full_name(metric: MetricWrapperBase) -> str:
    return metric._name + ("_total" if metric._type == "counter" else "")


def value_of(name: str, **labels: str) -> float:
    """The value now; other tests of this process may have counted before. NaN if there is no such series."""
    value = REGISTRY.get_sample_value(name, labels)
    return math.nan if value is None else value


def documented() -> dict[str, tuple[str, list[str]]]:
    rows = re.findall(r"^\| `(callrouter_\w+)` \| (\w+) \|([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (kind, re.findall(r"`(\w+)`(?=[:,])", labels.strip())) for name, kind, labels in rows}


def test_every_metric_is_documented_with_its_kind_and_labels() -> None:
    assert documented() == {full_name(metric): (metric._type, list(metric._labelnames)) for metric in OURS}


@pytest.mark.parametrize("metric", OURS, ids=full_name)
def test_no_label_is_one_that_prometheus_sets_itself(metric: MetricWrapperBase) -> None:
    """It would be renamed to `exported_job`, and `by (job)` would mean something else."""
    assert not {"job", "instance"} & set(metric._labelnames)


@pytest.mark.parametrize("values", [metrics._ANSWERERS, metrics._OUTCOMES, metrics._SKIP_REASONS, metrics._LOG_FAULTS])
def test_the_values_of_a_label_are_documented(values: tuple[str, ...]) -> None:
    assert f": {', '.join(values)} |" in DOCUMENT.read_text()


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("callrouter_calls_received_total", {}),
        ("callrouter_calls_answered_total", {"by": "owner"}),
        ("callrouter_calls_ended_total", {"outcome": "abandoned"}),
        ("callrouter_handoffs_skipped_total", {"reason": "no_time"}),
        ("callrouter_webhooks_rejected_total", {"reason": "wrong_signature"}),
        ("callrouter_fallbacks_served_total", {"step": "voice", "sealed": "opened"}),
        ("callrouter_errors_logged_total", {"event": "request.failed"}),
        ("callrouter_pool_wait_seconds_count", {"pool": "calls"}),
        ("callrouter_keys_unreadable_total", {"kind": "twilio"}),
        ("callrouter_log_dropped_total", {"reason": "backlog"}),
    ],
)
def test_counters_are_there_before_their_first_event(name: str, labels: dict[str, str]) -> None:
    assert value_of(name, **labels) >= 0


def test_a_provider_s_series_are_there_once_it_is_registered() -> None:
    assert math.isnan(value_of("callrouter_handoff_seconds_count", provider="newcomer", result="timeout"))
    metrics.register_providers(["newcomer"])
    assert value_of("callrouter_handoff_seconds_count", provider="newcomer", result="timeout") == 0
    assert value_of("callrouter_keys_unreadable_total", kind="newcomer") == 0
    assert value_of("callrouter_outgoing_request_seconds_count", system="newcomer", outcome="timeout") == 0
    failed = {"route": "/webhooks/newcomer/{agency_id}", "status": "5xx"}
    assert value_of("callrouter_webhook_request_seconds_count", **failed) == 0


def test_unexpected_values_create_no_new_series() -> None:
    metrics.call_ended("a-value-from-outside")
    metrics.handoff_finished("a-value-from-outside", "a-value-from-outside", 1.0)
    metrics.key_unreadable("a-value-from-outside")
    metrics.request_finished("/a-value-from-outside", 200, 0.1)
    metrics.outgoing_finished("a-value-from-outside", "a-value-from-outside", 0.1)
    metrics.rung_taken("a-value-from-outside", "a-value-from-outside")
    metrics.call_answered_after("a-value-from-outside", 1.0)
    body, _ = metrics.render()
    assert b"a-value-from-outside" not in body
    assert value_of("callrouter_calls_ended_total", outcome="other") >= 1


def test_a_waiting_caller_counts_while_waiting() -> None:
    before = value_of("callrouter_calls_in_flight")
    with metrics.call_in_flight():
        assert value_of("callrouter_calls_in_flight") == before + 1
    assert value_of("callrouter_calls_in_flight") == before


@pytest.mark.parametrize(
    ("count", "name", "labels"),
    [
        (metrics.call_received, "calls_received_total", {}),
        (lambda: metrics.call_answered("ai"), "calls_answered_total", {"by": "ai"}),
        (lambda: metrics.call_ended("abandoned"), "calls_ended_total", {"outcome": "abandoned"}),
        (lambda: metrics.handoff_skipped("no_key"), "handoffs_skipped_total", {"reason": "no_key"}),
        (lambda: metrics.webhook_rejected("too_large"), "webhooks_rejected_total", {"reason": "too_large"}),
        (
            lambda: metrics.fallback_served("done", "opened"),
            "fallbacks_served_total",
            {"step": "done", "sealed": "opened"},
        ),
        (lambda: metrics.error_logged("request.failed"), "errors_logged_total", {"event": "request.failed"}),
        (lambda: metrics.key_unreadable("twilio"), "keys_unreadable_total", {"kind": "twilio"}),
        (lambda: metrics.recorder_flushed(0.004, 7), "recorder_flush_seconds_count", {}),
        (lambda: metrics.call_answered_after("owner", 12.5), "answer_seconds_count", {"by": "owner"}),
        (lambda: metrics.rung_taken("voicemail", None), "rungs_taken_total", {"step": "voicemail", "provider": "none"}),
    ],
)
def test_each_function_counts_what_its_name_says(count: Callable[[], None], name: str, labels: dict[str, str]) -> None:
    before = value_of(f"callrouter_{name}", **labels)
    count()
    assert value_of(f"callrouter_{name}", **labels) == before + 1


def test_durations_are_recorded_by_route_and_status_class() -> None:
    metrics.register_providers(["arrival"])
    labels = {"route": "/webhooks/arrival/{agency_id}/transfer", "status": "2xx"}
    metrics.request_finished(labels["route"], 204, 0.02)
    assert value_of("callrouter_webhook_request_seconds_count", **labels) == 1
    assert value_of("callrouter_webhook_request_seconds_sum", **labels) == pytest.approx(0.02)


def test_gauges_show_the_latest_value() -> None:
    metrics.recorder_queue(5)
    metrics.database_up("records", True)
    assert value_of("callrouter_recorder_queue") == 5
    assert value_of("callrouter_database_up", pool="records") == 1
    metrics.recorder_queue(0)
    metrics.database_up("records", False)
    metrics.spool_bytes(123)
    assert value_of("callrouter_spool_bytes") == 123
    metrics.spool_bytes(0)
    assert value_of("callrouter_spool_bytes") == 0
    assert value_of("callrouter_recorder_queue") == 0
    assert value_of("callrouter_database_up", pool="records") == 0


def test_the_page_is_what_prometheus_reads() -> None:
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {metric._name for metric in OURS} <= names


def test_several_workers_are_added_up(tmp_path: Path) -> None:
    script = """
from router.telemetry import metrics
metrics.call_received()
metrics.database_up("calls", {up})
metrics.started("1.0", "serve")
with metrics.call_in_flight():
    {then}
"""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def run(**parts: object) -> str:
        command = [sys.executable, "-c", script.format(**parts)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    run(up=True, then="metrics.leave()")
    page = run(up=True, then="print(metrics.render()[0].decode())")
    assert "callrouter_calls_received_total 2.0" in page
    assert "callrouter_calls_in_flight 1.0" in page
    assert 'callrouter_database_up{pool="calls"} 1.0' in page
    assert 'callrouter_build_info{command="serve",version="1.0"} 1.0' in page
