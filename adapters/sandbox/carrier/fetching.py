"""A document to request, one that can be executed, and how its execution goes on after or in the middle of a verb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, TypeAlias
from urllib.parse import urljoin

from adapters.sandbox.carrier.document import Element


@dataclass(frozen=True, slots=True)
class Fetch:
    """A document to be requested: where, how, with which parameters beside the normal ones, and what for."""

    url: str
    purpose: str
    method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that can be executed, and the URL that its relative URLs start from."""

    url: str
    root: Element

    def locate(self, reference: str) -> str:
        """The URL of a reference in this document, without fragment; the document's own for an empty one.

        An invalid one comes back as it is: the rules have complained, and requesting it will fail.
        """
        try:
            return urljoin(self.url, reference.strip()).partition("#")[0]
        except ValueError:
            return reference

    def callback(self, element: Element, name: str, purpose: str, parameters: Mapping[str, str]) -> Fetch:
        """The request that reports to the URL in the attribute `name`, by the method in `{name}Method`."""
        return Fetch(self.locate(element.get(name)), purpose, element.get(f"{name}Method", "POST"), parameters)

    def action(self, element: Element, purpose: str, parameters: Mapping[str, str]) -> Fetch:
        """What is requested when an element is done; without an action, this document once more."""
        return Fetch(self.locate(element.get("action")), purpose, element.get("method", "POST"), parameters)


class _Mark(Enum):
    NEXT = "next"
    END = "end"


NEXT: Final = _Mark.NEXT  # with the verb that follows
END: Final = _Mark.END  # not at all: the call is over

Outcome: TypeAlias = Fetch | Document | Literal[_Mark.NEXT, _Mark.END]


class Interrupted(Exception):  # noqa: N818 - not an error: it happens to the call
    """The carrier's API was asked to change the call: its current verb ends, and the call goes on elsewhere or is over.

    `update` is the form that the API was sent (Twilio docs: Call resource, Update).
    """

    def __init__(self, update: Mapping[str, str]) -> None:
        super().__init__()
        self.update = update

    @property
    def is_end(self) -> bool:
        return "Status" in self.update
