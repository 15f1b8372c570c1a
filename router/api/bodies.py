"""Reading a request's body: limited while it arrives and before it is parsed, and checked to be JSON that the database
can store.

Parsing and validation hold the interpreter's lock, and with it everybody's calls: their work is limited by what is sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from starlette.requests import Request

from router import bodies
from router.api.problems import Problem
from router.bodies import TooLargeError, count_parts
from router.errors import InvalidError

_MAX_DEPTH: Final = 100
_MAX_VALUES: Final = 2000
_BYTES_OF_A_PART: Final = 32  # on average; a prompt has a comma every 50 characters or so
_LONGEST_PART: Final = 60  # characters of a field's name
_LONGEST_NAME: Final = 200  # with the names of the fields that it is in

_Place: TypeAlias = tuple["_Place", str] | None
"""Of a value: the place of the object or list that it is in, and its name there; None of the document itself."""


async def read_body(request: Request, limit: int) -> bytes:
    """Raises Problem as soon as it is too large, CutOffError."""
    try:
        body = await bodies.read_body(request, limit)
    except TooLargeError:
        raise Problem("too-large", f"A body may have up to {limit // 1024} kB here.") from None
    most_parts = limit // _BYTES_OF_A_PART
    if count_parts(body) > most_parts:
        raise Problem("too-large", f"A body may have up to {most_parts} commas and opening brackets here.")
    return body


def read_json(raw: bytes) -> dict[str, Any]:
    """A JSON object that PostgreSQL can store. Raises Problem, InvalidError."""
    try:
        document = json.loads(raw)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise Problem("invalid", f"The body is not JSON: line {error.lineno}, column {error.colno}.") from None
    except ValueError:  # not UTF-8, or a number of thousands of digits
        raise Problem("invalid", "The body is not JSON in UTF-8.") from None
    if not isinstance(document, dict):
        raise Problem("invalid", "The body must be a JSON object.")
    _check(document)
    return document


def _too_deep() -> Problem:
    return Problem("invalid", f"The body is nested too deeply: {_MAX_DEPTH} levels at most.")


def _check(document: dict[str, Any]) -> None:
    """Look at every field and entry once, level by level. Raises Problem, InvalidError."""
    level: list[tuple[_Place, Any]] = [(None, document)]
    values = 0
    for _ in range(_MAX_DEPTH + 1):
        level = [inner for place, value in level for inner in _look_into(place, value)]
        if not level:
            return
        values += len(level)
        if values > _MAX_VALUES:
            raise Problem("too-large", f"A body may have up to {_MAX_VALUES} fields and entries of lists.")
    raise _too_deep()


def _look_into(place: _Place, value: Any) -> Iterator[tuple[_Place, Any]]:
    """What is in an object or a list. Raises InvalidError for a name or value that PostgreSQL cannot store in JSON."""
    match value:
        case dict():
            for name, inner in value.items():
                _refuse_unstorable(place, name)
                yield (place, name), inner
        case list():
            for number, inner in enumerate(value):
                yield (place, str(number)), inner
        case _:
            _refuse_unstorable(place, value)


def _refuse_unstorable(place: _Place, value: Any) -> None:
    """NUL, half a surrogate pair, infinity or NaN."""
    if isinstance(value, str) and not _is_storable(value):
        raise InvalidError(_name(place), "must not hold NUL characters or halves of surrogate pairs")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidError(_name(place), "must be a finite number")


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _name(place: _Place) -> str:
    parts: list[str] = []
    while place is not None:
        place, part = place
        parts.append(part.encode("ascii", "replace").decode()[:_LONGEST_PART])
    return ".".join(reversed(parts))[:_LONGEST_NAME]
