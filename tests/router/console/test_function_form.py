"""A function's rows and its JSON Schema say the same; what rows cannot say stays JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.console import function_form
from router.console.forms import Form

SIMPLE: dict[str, Any] = {
    "name": "book",
    "description": "Books a chair",
    "parameters": {
        "type": "object",
        "properties": {"at": {"type": "string", "description": "When"}, "heads": {"type": "integer"}},
        "required": ["at"],
    },
    "url": "https://bella.example/book",
}


def sent(values: function_form.Values, number: int = 0) -> Form:
    """As a browser sends the form that shows these values, with its empty rows."""
    prefix = f"function_{number}_"
    pairs = [(f"{prefix}{name}", values[name]) for name in ("name", "url", "description", "schema")]
    for row in [*values["rows"], ("", "string", "yes", "")]:
        pairs += zip((f"{prefix}parameter_{part}" for part in ("name", "kind", "needed", "says")), row, strict=True)
    return Form(pairs)


def read_schema(values: function_form.Values) -> Any:
    return json.loads(values["schema"])


def test_simple_parameters_are_rows_and_come_back_as_they_were():
    values = function_form.values_of(SIMPLE)
    assert values["rows"] == [("at", "string", "yes", "When"), ("heads", "integer", "no", "")]
    [read] = function_form.read_values(sent(values))
    assert function_form.definition_of(read, lambda: read_schema(read)) == SIMPLE


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"at": {"type": "string", "enum": ["am", "pm"]}}},
        {"type": "object", "properties": {"who": {"type": "array", "items": {}}}},
        {"type": "object", "properties": {"who": True}},
        {"type": "object", "additionalProperties": False},
        {"type": "object", "required": ["at"]},
        {"type": "object", "properties": {"at": {"type": ["string", "null"]}}},
        {"type": "object", "properties": {"at": {"type": "string", "description": "When.\nNot on Mondays."}}},
    ],
)
def test_parameters_that_rows_cannot_say_stay_json(schema: dict[str, Any]):
    function = SIMPLE | {"parameters": schema}
    [read] = function_form.read_values(sent(function_form.values_of(function)))
    assert function_form.definition_of(read, lambda: read_schema(read)) == function


def test_functions_without_anything_in_them_are_left_out():
    empty = {"name": "", "url": "", "description": "", "schema": "", "rows": []}
    function = function_form.values_of(SIMPLE | {"parameters": {"type": "object"}})
    pairs = [pair for number, one in enumerate((empty, function, empty)) for pair in sent(one, number).items()]
    assert [one["name"] for one in function_form.read_values(Form(pairs))] == ["book"]
