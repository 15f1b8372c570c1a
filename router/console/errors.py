"""What went wrong with a form, at the fields where it can be mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from router.console.api import ApiProblem
from router.console.drawing import write_sentence


@dataclass(frozen=True, slots=True)
class FormErrors:
    """`by_field` is named as in the form; `general` belongs to no field. Empty: nothing went wrong."""

    by_field: Mapping[str, str] = field(default_factory=dict)
    general: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.by_field or self.general)

    def at(self, name: str) -> str | None:
        return self.by_field.get(name)


NO_ERRORS = FormErrors()


def form_errors(problem: ApiProblem, place: Callable[[str], str | None] = lambda name: name) -> FormErrors:
    """`place` gives the form's field for one of the API's; None if the form has none for it."""
    by_field: dict[str, str] = {}
    general: list[str] = []
    for one in problem.fields:
        name = place(one.field) if one.field else None
        if name is None:
            general.append(f"{one.field}: {one.message}" if one.field else one.message)
        else:
            by_field[name] = f"{by_field[name]}; {one.message}" if name in by_field else one.message
    if not problem.fields:
        general.append(problem.detail)
    return FormErrors({name: write_sentence(message) for name, message in by_field.items()}, tuple(general))


def one_error(name: str, message: str) -> FormErrors:
    return FormErrors({name: message})
