"""What a form brings: read once, with limits, and never repeated in an error; and what was wrong with it."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from router.bodies import CutOffError, TooLargeError, read_body
from router.console.api import ApiProblem
from router.console.drawing import write_sentence
from router.console.words import name_field

SMALL_FORM: Final = 16 << 10  # bytes
LARGE_FORM: Final = 3 << 20  # what the API takes, as browsers spell it: up to three characters for one
_MAX_FIELDS: Final = 2000
_MEDIA: Final = "application/x-www-form-urlencoded"


class UnreadableFormError(Exception):
    """Too large, or no form at all."""


class Form(Mapping[str, str]):
    """A form's fields. For a field that is sent several times, `[]` gives the last value and `get_all` all of them."""

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
        """Without surrounding white space; empty if the field is missing."""
        return self.get(name, "").strip()

    def text_or_none(self, name: str) -> str | None:
        return self.text(name) or None

    def texts(self, *names: str) -> dict[str, str]:
        return {name: self.text(name) for name in names}

    def lines(self, name: str) -> str:
        """Several lines, without the carriage returns that browsers add."""
        return self.text(name).replace("\r\n", "\n")

    def ticked(self, name: str) -> bool:
        return name in self._values

    def number(self, name: str) -> int | str | None:
        """Text that is not a whole number stays as it is: the API says what is wrong with it."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text or None  # noqa: PLR2004


async def read_form(request: Request, most_bytes: int) -> Form:
    """Raises UnreadableFormError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA:
        raise UnreadableFormError
    try:
        body = await read_body(request, most_bytes)
    except (TooLargeError, CutOffError):
        raise UnreadableFormError from None
    if body.count(b"&") >= _MAX_FIELDS:
        raise UnreadableFormError
    fields = [field.partition(b"=") for field in body.split(b"&") if field]
    return Form([(_decode(name), _decode(value)) for name, _, value in fields])


def _decode(text: bytes) -> str:
    """What browsers send for a text. The standard library's decoder takes half a second for 3 MB, in which no call is
    answered; quoted-printable is the same code with = in the place of %, and its decoder is written in C.
    """
    quoted = text.replace(b"+", b" ").replace(b"=", b"=3D").replace(b"%", b"=")
    return binascii.a2b_qp(quoted).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class FormErrors:
    """`by_field` has the form's field names; `general` is about the form as a whole. Empty: nothing is wrong."""

    by_field: Mapping[str, str] = field(default_factory=dict)
    general: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.by_field or self.general)

    def at(self, name: str) -> str | None:
        return self.by_field.get(name)

    @property
    def named(self) -> Mapping[str, str]:
        """By field, with what people call it: for the list above the form."""
        return {name: _name(name, message) for name, message in self.by_field.items()}


NO_ERRORS = FormErrors()


def _name(field: str, message: str) -> str:
    return f"{name_field(field)}: {message[:1].lower()}{message[1:]}"


def form_errors(problem: ApiProblem, place: Callable[[str], str | None] = lambda name: name) -> FormErrors:
    """`place` returns the form's field for one of the API's, or None if the form has none."""
    by_field: dict[str, str] = {}
    general: list[str] = []
    for one in problem.fields:
        name = place(one.field) if one.field else None
        if name is None:
            general.append(_name(one.field, one.message) if one.field else write_sentence(one.message))
        else:
            by_field[name] = f"{by_field[name]}; {one.message}" if name in by_field else one.message
    if not problem.fields:
        general.append(problem.detail)
    return FormErrors({name: write_sentence(message) for name, message in by_field.items()}, tuple(general))
