"""What a form brings: read once, with limits, and never repeated in an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from router.bodies import CutOffError, TooLargeError, read_body

_MAX_BYTES: Final = 3 << 20  # what the API takes, as browsers spell it: up to three characters for one
_MAX_FIELDS: Final = 2000
_MEDIA: Final = "application/x-www-form-urlencoded"


class UnreadableFormError(Exception):
    """Too large, or no form at all."""


class Form(Mapping[str, str]):
    """A form's fields. Of a field that came several times `[]` gives the last, `get_all` all."""

    def __init__(self, pairs: list[tuple[str, str]] | None = None) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs or ():
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Form({', '.join(self._values)})"

    def get_all(self, name: str) -> list[str]:
        return list(self._values.get(name, ()))

    def text(self, name: str) -> str:
        """Without white space around it; empty if it is not there."""
        return self._values.get(name, [""])[-1].strip()

    def text_or_none(self, name: str) -> str | None:
        return self.text(name) or None

    def lines(self, name: str) -> str:
        """Several lines as people mean them: browsers send each with a carriage return."""
        return self.text(name).replace("\r\n", "\n")

    def ticked(self, name: str) -> bool:
        return name in self._values

    def number(self, name: str) -> int | str | None:
        """Text that is no whole number stays as it is: the API says what is wrong with it."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text or None  # noqa: PLR2004


async def read_form(request: Request) -> Form:
    """Raises UnreadableFormError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA:
        raise UnreadableFormError
    try:
        body = await read_body(request, _MAX_BYTES)
    except (TooLargeError, CutOffError):
        raise UnreadableFormError from None
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise UnreadableFormError from None
    return Form(pairs)
