"""Reading a request's body: limited while it arrives, and checked to be JSON that the database can store."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from starlette.requests import Request

from router import bodies
from router.api.problems import Problem
from router.bodies import TooLargeError
from router.errors import InvalidError

_MAX_DEPTH: Final = 100


async def read_body(request: Request, limit: int) -> bytes:
    """Raises Problem as soon as it is too large, CutOffError."""
    try:
        return await bodies.read_body(request, limit)
    except TooLargeError:
        raise Problem("too-large", f"A body may have up to {limit // 1024} kB here.") from None


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
    _refuse_unstorable(document, ())
    return document


def _too_deep() -> Problem:
    return Problem("invalid", f"The body is nested too deeply: {_MAX_DEPTH} levels at most.")


def _refuse_unstorable(value: Any, place: tuple[str, ...]) -> None:
    """PostgreSQL cannot store NUL, half a surrogate pair, infinity or NaN in JSON."""
    if len(place) > _MAX_DEPTH:
        raise _too_deep()
    match value:
        case dict():
            for name, inner in value.items():
                _refuse_unstorable(name, place)
                _refuse_unstorable(inner, (*place, name))
        case list():
            for number, inner in enumerate(value):
                _refuse_unstorable(inner, (*place, str(number)))
        case str() if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise InvalidError(_name(place), "must not hold NUL characters or halves of surrogate pairs")
        case float() if not math.isfinite(value):
            raise InvalidError(_name(place), "must be a finite number")


def _name(place: tuple[str, ...]) -> str:
    return ".".join(part.encode("ascii", "replace").decode()[:60] for part in place)
