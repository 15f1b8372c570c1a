"""What the demo's providers report is read by the adapters as the providers' own reports are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.provider import Declaration
from adapters.registry import PROVIDERS
from adapters.sandbox.reports import REPORTERS, reports_of
from adapters.sandbox.talks import Ended, pick_talk


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_a_report_tells_what_was_said_what_it_cost_and_why_it_ended(provider: Declaration[Any]):
    ended = Ended(provider.name, "remote-1", "call_1", "+14155550123", "+15005550101", 90)
    assert provider.webhooks is not None
    events = [provider.webhooks.read_event(json.dumps(report).encode()) for report in reports_of(ended)]
    first, last = events[0], events[-1]
    talk = pick_talk("call_1")
    assert (first.kind, first.call_id, first.provider_call_id) == ("ended", "call_1", "remote-1")
    assert (first.seconds, last.summary) == (90, talk.summary)
    assert first.cost == pytest.approx(REPORTERS[provider.name].cost(90))
    assert first.failure is None
    assert talk.turns[1] in (first.transcript or "")
    assert [turn.text for turn in first.turns] == list(talk.turns)
    assert [(turn.speaker, turn.at) for turn in first.turns[:2]] == [("assistant", 2), ("caller", 6)]
    assert provider.call_ends[first.reason or ""] == "The caller hung up"


def test_a_call_to_a_providers_own_number_is_reported_with_its_numbers():
    (report, _) = reports_of(Ended("retell", "native-1", "", "+14155550123", "+14155550999", 6))
    assert report["call"]["metadata"] == {}
    assert (report["call"]["from_number"], report["call"]["to_number"]) == ("+14155550123", "+14155550999")
