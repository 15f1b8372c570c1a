"""The functions of an assistant as a form: a row for each parameter, and JSON only for what rows cannot say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from router.console.drawing import write_json
from router.console.forms import Form

KINDS: Final[Mapping[str, str]] = {
    "string": "Text",
    "number": "Number",
    "integer": "Whole number",
    "boolean": "Yes or no",
}
_TEXTS: Final = ("name", "url", "description", "schema")
_FIELD: Final = re.compile(r"function_([0-9]{1,4})_name")

Values: TypeAlias = Mapping[str, Any]


def values_of(function: Mapping[str, Any]) -> Values:
    """One function of the definition: `rows` of name, kind, "yes" if it is needed, and description; or a `schema`."""
    parameters = function["parameters"]
    rows = _rows(parameters)
    return {
        "name": function["name"],
        "url": function["url"],
        "description": function.get("description", ""),
        "rows": rows or [],
        "schema": write_json(parameters) if rows is None else "",
    }


def read_values(form: Form) -> list[Values]:
    """Those of which at least one field is filled in, in their order."""
    numbers = sorted({int(found[1]) for name in form if (found := _FIELD.fullmatch(name))})
    functions = [_read_one(form, f"function_{number}_") for number in numbers]
    return [one for one in functions if one["rows"] or any(one[name] for name in _TEXTS)]


def definition_of(values: Values, read_schema: Callable[[], Any]) -> dict[str, Any]:
    """The function for the API; `read_schema` reads the JSON of its schema."""
    said = {"description": values["description"]} if values["description"] else {}
    parameters = read_schema() if values["schema"] else _parameters(values["rows"])
    return {"name": values["name"], **said, "parameters": parameters, "url": values["url"]}


def has_odd_names(values: Values) -> bool:
    """Whether a parameter has no name, or the name of another."""
    names = [row[0] for row in values["rows"]]
    return "" in names or len(set(names)) != len(names)


def _read_one(form: Form, prefix: str) -> Values:
    columns = [form.get_all(f"{prefix}parameter_{column}") for column in ("name", "kind", "needed", "says")]
    rows = [tuple(cell.strip() for cell in row) for row in zip(*columns, strict=False)]
    return {name: form.lines(f"{prefix}{name}") for name in _TEXTS} | {
        "rows": [row for row in rows if row[0] or row[3]]
    }


def _parameters(rows: list[tuple[str, str, str, str]]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if rows:
        schema["properties"] = {
            name: {"type": kind} | ({"description": says} if says else {}) for name, kind, _, says in rows
        }
    if required := [name for name, _, needed, _ in rows if needed == "yes"]:
        schema["required"] = required
    return schema


def _rows(schema: Mapping[str, Any]) -> list[tuple[str, str, str, str]] | None:
    """None if rows would lose something of it."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not schema.keys() <= {"type", "properties", "required"} or not set(required) <= properties.keys():
        return None
    rows = []
    for name, one in properties.items():
        if not isinstance(one, dict) or not one.keys() <= {"type", "description"}:
            return None
        kind, says = one.get("type"), one.get("description", "")
        if not (isinstance(kind, str) and kind in KINDS and _is_line(name) and _is_line(says)):
            return None
        rows.append((name, kind, "yes" if name in required else "no", says))
    return rows


def _is_line(text: Any) -> bool:
    """Whether a field of one line sends it back as it is."""
    return isinstance(text, str) and text == text.strip() and not {"\n", "\r"} & set(text)
