"""The log of a test: strict, kept in memory, and held against the published JSON Schema line by line.

`captured_events` is a fixture; a conftest makes it known by importing it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from router.telemetry import configure_logging, log, metrics

SCHEMA_FILE = Path(__file__).parents[2] / "deploy" / "log-events.schema.json"


class CapturedEvents:
    """What was logged so far."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def text(self) -> str:
        return self.stream.getvalue()

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def names(self) -> list[str]:
        return [line["event"] for line in self.all()]

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.all() if line["event"] == event]

    def only(self, event: str) -> dict[str, Any]:
        """The one line of that event. Fails unless there is exactly one."""
        (line,) = self.named(event)
        return line


@pytest.fixture
def captured_events() -> Iterator[CapturedEvents]:
    """Everything that is logged, from debug up. Afterwards each line must be as the schema says, and none left out."""
    before, dropped_before = log._pipeline.logger, count_dropped()
    captured = CapturedEvents()
    configure_logging("debug", "json", strict=True, stream=captured.stream)
    try:
        yield captured
        for line in captured.all():
            validate_line(line)
        assert count_dropped() == dropped_before, "the catalogue did not allow a line or a field of this test"
    finally:
        log._pipeline.logger = before


def validate_line(line: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError, naming the field, unless the schema describes this line."""
    assert line.get("event") in load_schema()["$defs"], f"the schema has no event {line.get('event')!r}"
    _validator(line["event"]).validate(line)


@cache
def load_schema() -> dict[str, Any]:
    return json.loads(SCHEMA_FILE.read_text())


@cache
def _validator(event: str) -> Draft202012Validator:
    return Draft202012Validator(load_schema()["$defs"][event], format_checker=FormatChecker())


def count_dropped() -> float:
    """Lines and fields that were left out of the log since the process started."""
    return sum(sample.value for sample in metrics.LOG_DROPPED.collect()[0].samples if sample.name.endswith("_total"))
