"""The consequences of each kind of failure, in one table: for circuits, keys and assistants, and its words for people.

Which kind an answer is (a 403, say) is decided by the provider's package, in its `api` module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from adapters.base import ErrorKind

Scope: TypeAlias = Literal["agency", "provider"]


@dataclass(frozen=True, slots=True)
class Effect:
    """The consequences of one kind."""

    counts_against: Scope | None  # whose circuit
    words: str  # in the console
    doubts_key: bool = False  # the key is checked soon
    overflows: bool = False  # the agency is told that calls find no free line
    marks_assistant: bool = False  # the client's assistant is checked before it gets more calls


EFFECTS: Final[Mapping[ErrorKind, Effect]] = {
    ErrorKind.KEY_REJECTED: Effect("agency", "Its key is refused: save a new one", doubts_key=True),
    ErrorKind.OUT_OF_CREDIT: Effect("agency", "No credit left at the provider: top up there", doubts_key=True),
    ErrorKind.RATE_LIMITED: Effect("agency", "The provider takes no more requests just now"),
    ErrorKind.AT_CAPACITY: Effect("agency", "All lines are taken", doubts_key=True, overflows=True),
    ErrorKind.BAD_REQUEST: Effect(
        None, "The provider finds something wrong with this client's assistant or number", marks_assistant=True
    ),
    ErrorKind.TIMEOUT: Effect("provider", "The provider did not answer in time"),
    ErrorKind.UNREACHABLE: Effect("provider", "The provider cannot be reached"),
    ErrorKind.PROVIDER_ERROR: Effect("provider", "The provider failed"),
    ErrorKind.MALFORMED_REPLY: Effect("provider", "The provider's answer made no sense"),
}

REFUSALS: Final = frozenset(kind for kind, effect in EFFECTS.items() if effect.counts_against == "agency")
FAILURES: Final = frozenset(kind for kind, effect in EFFECTS.items() if effect.counts_against == "provider")
