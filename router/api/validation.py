"""Messages for invalid fields.

pydantic's messages are for programmers and change with its versions; here each of its error types has plain words.
The value that was sent is never repeated: it may be a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from router.fields import OWN_WORDS


class FieldError(BaseModel):
    """What is wrong with one field of the body, or with one parameter."""

    model_config = ConfigDict(frozen=True)

    field: Annotated[
        str,
        Field(description="The field's name, with a dot before each nested field", examples=["routing.ring_seconds"]),
    ]
    message: Annotated[str, Field(description="What it must be", examples=["must be a whole number from 5 to 60"])]


_MAX_PART: Final = 60
_MAX_NAME: Final = 200
_A_TIME: Final = "must be a time by RFC 3339, such as 2026-03-31T12:00:00Z"
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a field here; see /openapi.json for those that are",
    "repeated": "must be given once",
    "none_required": "must be null",
    "string_type": "must be a string",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "unstorable": "must not hold NUL characters",
    "string_pattern_mismatch": "must match {pattern}",
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    **dict.fromkeys(("literal_error", "enum"), "must be {expected}"),
    "list_type": "must be a list",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "must be an object"),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _A_TIME),
    **dict.fromkeys(("datetime_object_invalid", "timezone_aware"), _A_TIME),
    "json_invalid": "is not JSON",
}


def explain_errors(errors: Iterable[Mapping[str, Any]]) -> Sequence[FieldError]:
    """For the errors of a RequestValidationError, each located in the query, path, header or body."""
    return [_explain(error) for error in errors]


def _explain(error: Mapping[str, Any]) -> FieldError:
    where, *place = error["loc"] or ("body",)
    name = _join(place) or str(error.get("ctx", {}).get("field", ""))
    if error["type"] == "extra_forbidden" and where != "body":
        return FieldError(field=name, message="is not a parameter here; see /openapi.json for those that are")
    return FieldError(field=name, message=_say(error))


def _say(error: Mapping[str, Any]) -> str:
    kind, facts = error["type"], error.get("ctx", {})
    if kind in {"value_error", OWN_WORDS}:
        return str(error["msg"]).removeprefix("Value error, ")
    if kind in {"string_too_short", "too_short"} and facts.get("min_length") == 1:
        return "must not be empty"
    return _WORDS[kind].format_map(facts) if kind in _WORDS else "is not valid"


def _join(place: Iterable[str | int]) -> str:
    """Names are cut short: a client may send a value where a name belongs, or nest its fields deeply."""
    return ".".join(str(part)[:_MAX_PART] for part in place)[:_MAX_NAME]
