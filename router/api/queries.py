"""Parameters of an address that are more than a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import TypeAdapter, ValidationError

from router.api.problems import invalid
from router.fields import E164

_NUMBER: Final[TypeAdapter[str]] = TypeAdapter(E164)


def read_number(query: Mapping[str, str], name: str) -> str | None:
    """None if it is left out. Raises Problem for what is no E.164 number."""
    text = query.get(name)
    if not text:
        return None
    # A plus sign that was not encoded arrives as a space; no number begins with one.
    number = f"+{text[1:]}" if text.startswith(" ") else text
    try:
        return _NUMBER.validate_python(number)
    except ValidationError:
        raise invalid(name, "must be a phone number in E.164 form, such as +14155550123") from None
