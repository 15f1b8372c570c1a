"""What is wrong with a request's fields, in our own words.

pydantic's messages are for programmers and change with its versions; here each of its kinds of error has plain words.
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
        str, Field(description="Its name; within another one, behind a dot", examples=["routing.ring_seconds"])
    ]
    message: Annotated[str, Field(description="What it must be", examples=["must be a whole number from 5 to 60"])]


_MAX_NAME: Final = 60
_A_TIME: Final = "must be a time by RFC 3339, such as 2026-03-31T12:00:00Z"
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a field here; see /openapi.json for those that are",
    "repeated": "must be given once",
    "none_required": "must be null",
    "string_type": "must be a string",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "list_type": "must be a list",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "datetime_type": _A_TIME,
    "datetime_parsing": _A_TIME,
    "datetime_from_date_parsing": _A_TIME,
    "datetime_object_invalid": _A_TIME,
    "timezone_aware": _A_TIME,
    "json_invalid": "is not JSON",
}
_AT_LEAST_ONE: Final = frozenset({"string_too_short", "too_short"})
_OURS: Final = frozenset({"value_error", OWN_WORDS})
_PARAMETERS: Final = frozenset({"query", "path", "header"})
_UNKNOWN_PARAMETER: Final = "is not a parameter here; see /openapi.json for those that are"


def explain_errors(errors: Iterable[Mapping[str, Any]]) -> Sequence[FieldError]:
    """From the errors of a RequestValidationError, whose places begin with where the field stands."""
    return [_explain(error) for error in errors]


def _explain(error: Mapping[str, Any]) -> FieldError:
    where, *place = error["loc"] or ("body",)
    name = _join(place) or str(error.get("ctx", {}).get("field", ""))
    if error["type"] == "extra_forbidden" and where in _PARAMETERS:
        return FieldError(field=name, message=_UNKNOWN_PARAMETER)
    return FieldError(field=name, message=_say(error))


def _say(error: Mapping[str, Any]) -> str:
    kind, facts = error["type"], error.get("ctx", {})
    if kind in _OURS:
        return str(error["msg"]).removeprefix("Value error, ")
    if kind in _AT_LEAST_ONE and facts.get("min_length") == 1:
        return "must not be empty"
    return _WORDS[kind].format_map(facts) if kind in _WORDS else "is not valid"


def _join(place: Iterable[str | int]) -> str:
    """Names are cut short: somebody may have put a value where a name belongs."""
    return ".".join(str(part)[:_MAX_NAME] for part in place)
