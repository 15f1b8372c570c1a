"""The catalogue and the schema that others rely on."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator, ValidationError

from router.telemetry.events import CALL_EVENTS, CATALOGUE, EVENTS, OF_EVERY_LINE, Event, Field
from tests.support.log_capture import SCHEMA_FILE, load_schema, validate_line

PROMISED = """
    service.started service.draining call.received handoff.requested handoff.succeeded handoff.late handoff.failed
    handoff.skipped call.answered call.fell_back call.ended voicemail.received key.saved key.rejected key.failing
    assistant.synced number.drifted circuit.opened circuit.closed webhook.rejected database.lost database.regained
    spool.replayed
""".split()

EXAMPLES = {
    "string": "text",
    "integer": 3,
    "number": 1.5,
    "boolean": True,
    "number_e164": "+*******0199",
    "exception": {"type": "ValueError", "frames": ["router/app.py:1 serve"], "causes": []},
}


def make_line(event: Event) -> dict[str, object]:
    fields = {field.name: field.values[0] if field.values else EXAMPLES[field.type] for field in event.fields}
    head = {"timestamp": "2026-01-31T23:59:59.123456Z", "level": event.level or "info", "event": event.name}
    head |= {field.name: EXAMPLES[field.type] for field in OF_EVERY_LINE}
    return head | fields


def values_of(event: str, field: str) -> set[str]:
    return set(find(event, field).values)


def find(event: str, field: str) -> Field:
    return next(known for known in EVENTS[event].fields if known.name == field)


def test_the_published_schema_is_the_catalogue() -> None:
    printed = subprocess.run([sys.executable, "-m", "router.telemetry"], capture_output=True, text=True, check=True)
    hint = "mend it with `python -m router.telemetry > deploy/log-events.schema.json`"
    assert printed.stdout == SCHEMA_FILE.read_text(), hint


def test_the_schema_is_a_valid_one() -> None:
    Draft202012Validator.check_schema(load_schema())


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.name)
def test_the_schema_describes_each_event_and_nothing_beside_its_fields(event: Event) -> None:
    whole = Draft202012Validator(load_schema())
    line = make_line(event)
    whole.validate(line)
    validate_line(line)
    assert not whole.is_valid(line | {"authorization": "Bearer x"})
    with pytest.raises(ValidationError, match="authorization"):
        validate_line(line | {"authorization": "Bearer x"})


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.name)
def test_each_event_is_described_once(event: Event) -> None:
    names = [field.name for field in event.fields]
    assert len(names) == len(set(names))
    assert [other.name for other in CATALOGUE].count(event.name) == 1
    assert re.fullmatch(r"[a-z]+(\.[a-z_]+)?", event.name)
    assert event.meaning.endswith(".")
    assert not {"timestamp", "level", "event", *(field.name for field in OF_EVERY_LINE)} & set(names)
    assert all(field.type == "string" for field in event.fields if field.values)


@pytest.mark.parametrize("name", PROMISED)
def test_the_promised_events_exist(name: str) -> None:
    assert name in EVENTS


def test_the_promised_reasons_and_outcomes_exist() -> None:
    failures = "key_rejected out_of_credit rate_limited at_capacity bad_request timeout unreachable provider_error"
    assert values_of("handoff.failed", "reason") == {*failures.split(), "malformed_reply"}
    skips = "circuit_open not_synced assistant_gone not_registered no_key no_time at_capacity destination_refused"
    assert values_of("handoff.skipped", "reason") == set(skips.split())
    assert values_of("call.answered", "by") == {"ai", "owner", "voicemail"}
    assert values_of("call.ended", "outcome") == {"ai", "owner", "voicemail", "abandoned", "rejected"}


def test_lines_about_a_call_can_carry_its_ids() -> None:
    common = {"call_id", "call_sid", "agency_id", "client_id", "provider", "duration_ms"}
    for name in CALL_EVENTS:
        assert common <= {field.name for field in EVENTS[name].fields}, name
        assert find(name, "call_id").required, name


def test_a_call_s_timeline_holds_what_happened_to_the_call() -> None:
    assert {"call.received", "handoff.failed", "owner.accepted", "voicemail.absent", "call.ended"} <= CALL_EVENTS
    assert not {"key.saved", "circuit.opened", "webhook.rejected", "log", "request.failed"} & CALL_EVENTS


def test_no_field_holds_a_full_phone_number() -> None:
    schema = json.dumps(load_schema())
    assert '"from"' not in schema
    for event in CATALOGUE:
        for field in event.fields:
            if field.name in {"caller", "to", "number"}:
                assert field.type == "number_e164", f"{event.name}.{field.name}"
