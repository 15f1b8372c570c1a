"""The examples of call events."""

from __future__ import annotations

from router.events.samples import TEST, sample, sample_event
from router.telemetry import CALL_EVENTS, EVENTS


def test_every_call_event_has_an_example_that_is_marked_with_its_name():
    assert {sample(name)["type"] for name in CALL_EVENTS} == CALL_EVENTS
    assert TEST not in CALL_EVENTS


def test_an_example_gives_a_reason_that_the_event_can_have():
    for name in CALL_EVENTS:
        reasons = next((field.values for field in EVENTS[name].fields if field.name == "reason"), ())
        assert not reasons or sample_event(name)["reason"] in reasons, name
