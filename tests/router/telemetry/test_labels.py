"""After whatever traffic, labels hold only values that were known beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.sandbox.carrier import Script
from router.telemetry import metrics
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio

RESULTS = {
    *metrics._HANDOFF_RESULTS,
    *metrics._DELIVERY_RESULTS,
    *metrics._JOB_RESULTS,
    *metrics._KEY_RESULTS,
}
CLASSES = {"1xx", "2xx", "3xx", "4xx", "5xx"}
OTHER = {"other"}


def known_values() -> dict[str, set[str]]:
    """What each label may hold. Providers, jobs and routes are those that the service has."""
    providers = {*metrics._providers, "none"}
    return {
        "by": {*metrics._ANSWERERS} | OTHER,
        "outcome": {*metrics._OUTCOMES, *metrics._REQUEST_OUTCOMES} | OTHER,
        "provider": providers | OTHER,
        "result": RESULTS | OTHER,
        "reason": {*metrics._SKIP_REASONS, *metrics._REJECTIONS, *metrics._LOG_FAULTS, *metrics._CONNECTION_ENDS}
        | OTHER,
        "scope": {*metrics._CIRCUIT_SCOPES} | OTHER,
        "route": {*metrics._routes} | OTHER,
        "status": CLASSES | OTHER,
        "step": {*metrics._RUNGS, *metrics._FALLBACK_STEPS} | OTHER,
        "kind": {*metrics._providers, "twilio"} | OTHER,
        "system": {*metrics._providers, "twilio"} | OTHER,
        "name": {*metrics._jobs} | OTHER,
        "pool": {*metrics._POOLS, metrics._RECORDS},
        "sealed": {*metrics._SEALED},
        "event": {*metrics._ERRORS},
        "version": {version("callrouter")},
        "command": {"serve", "worker", "fallback"},
    }


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path, jobs=True) as world:
        yield world


def labels_on(page: str) -> list[tuple[str, str, str]]:
    """Metric, label and value of all series of ours; where buckets end is no choice of anybody's."""
    return [
        (family.name, label, value)
        for family in text_string_to_metric_families(page)
        if family.name.startswith("callrouter_")
        for sample in family.samples
        for label, value in sample.labels.items()
        if label != "le"
    ]


async def test_labels_do_not_grow_with_requests(world: World):
    client = await world.add_client(providers=("vapi", "retell"), fallback_providers=["retell"])
    await world.call(client, Script(ai="answers"))
    world.sandbox.state.faults.set("vapi", "503")
    await world.call(client, Script(ai="answers"))
    world.sandbox.state.faults.set("retell", "garbage")
    await world.call(client, Script(owner="accepts"), from_="+14155550188")
    for path in (
        "/webhooks/vapi/agency_nobody",
        f"/webhooks/retell/{client.agency_id}",
        "/webhooks/bland/%00",
        "/webhooks/twilio/voice",
        "/webhooks/twilio/calls/call_x/ai-9",
        "/webhooks/stranger/agency_nobody",
        "/fallback/voice?t=x",
        "/v1/agencies/agency_nobody/calls",
    ):
        await world.http.post(f"{world.urls[0]}{path}", content=b"{}")
    page = (await world.http.get(f"{world.urls[0]}/metrics")).text
    known = known_values()
    assert {(metric, label, value) for metric, label, value in labels_on(page) if value not in known[label]} == set()


async def test_traffic_is_counted_by_webhook_rung_and_system(world: World):
    def value(page: str, metric: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )

    counted = [
        ("callrouter_rungs_taken_total", {"step": "ai", "provider": "retell"}),
        ("callrouter_answer_seconds_count", {"by": "ai"}),
        ("callrouter_outgoing_request_seconds_count", {"system": "vapi", "outcome": "5xx"}),
        ("callrouter_outgoing_request_seconds_count", {"system": "retell", "outcome": "2xx"}),
        ("callrouter_webhook_request_seconds_count", {"route": "/webhooks/twilio/voice", "status": "2xx"}),
        ("callrouter_webhook_request_seconds_count", {"route": "/webhooks/vapi/{agency_id}", "status": "4xx"}),
    ]
    client = await world.add_client(providers=("vapi", "retell"), fallback_providers=["retell"])
    before = metrics.render()[0].decode()
    world.sandbox.state.faults.set("vapi", "503")
    await world.call(client, Script(ai="answers"))
    await world.http.post(f"{world.urls[0]}/webhooks/vapi/{client.agency_id}", content=b"{}")
    after = metrics.render()[0].decode()
    grown = [value(after, name, **labels) - value(before, name, **labels) for name, labels in counted]
    assert all(each >= 1 for each in grown), dict(zip(map(str, counted), grown, strict=True))
