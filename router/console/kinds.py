"""The kinds of keys, each with what its card and its form on the page of API keys need to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from adapters.features import About
from adapters.provider import Declaration
from adapters.registry import Declarations
from adapters.twilio import ABOUT
from router.accounts import CARRIER


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A voice provider's key, or the carrier's: its `voice` is None."""

    name: str
    about: About
    fields: tuple[str, ...]
    voice: Declaration[Any] | None = None
    is_first: bool = False

    @property
    def label(self) -> str:
        return self.about.label

    @property
    def is_voice(self) -> bool:
        return self.voice is not None

    @property
    def optional_fields(self) -> tuple[str, ...]:
        if self.voice is None:
            return ("shared_keys",)
        return (self.voice.webhook_secret.name,) if self.voice.webhook_secret else ()

    @property
    def keeps_assistants(self) -> bool:
        return self.voice is not None and self.voice.assistants is not None

    @property
    def tag(self) -> str:
        """What is said of a kind for which there is no key."""
        return "Recommended" if self.is_first else "Optional"


Kinds: TypeAlias = Mapping[str, KeyKind]


@cache
def kinds_of(providers: Declarations) -> Kinds:
    """By name: the voice providers in their order, then the carrier."""
    kinds = {one.name: KeyKind(one.name, one.about, ("key",), one, one is providers[0]) for one in providers}
    return kinds | {CARRIER: KeyKind(CARRIER, ABOUT, ("account_sid", "auth_token"))}
