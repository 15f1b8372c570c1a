"""The kinds of keys, each with what its card and its form on the page of API keys need to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from adapters.features import About, Offer
from adapters.provider import RegistrationForm, WebhookSecret
from adapters.registry import Declarations
from adapters.twilio import ABOUT
from router.accounts import CARRIER


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A voice provider's key, or the carrier's (its `offer` is None)."""

    name: str
    about: About
    fields: tuple[str, ...]
    key_label: str = ""
    secret: WebhookSecret | None = None
    offer: Offer | None = None
    sells_in: tuple[str, ...] = ()
    registration_form: RegistrationForm | None = None
    keeps_assistants: bool = False
    is_first: bool = False

    @property
    def label(self) -> str:
        return self.about.label

    @property
    def is_voice(self) -> bool:
        return self.offer is not None

    @property
    def optional_fields(self) -> tuple[str, ...]:
        return () if self.secret is None else (self.secret.name,)

    @property
    def tag(self) -> str:
        """What is said of a kind for which there is no key."""
        if not self.is_voice:
            return "Optional"
        return "Recommended" if self.is_first else "Not set up"


Kinds: TypeAlias = Mapping[str, KeyKind]


@cache
def kinds_of(providers: Declarations) -> Kinds:
    """By name: the voice providers in their order, then the carrier."""
    kinds = {
        one.name: KeyKind(
            one.name,
            one.about,
            ("key",),
            key_label=one.key_label,
            secret=one.webhook_secret,
            offer=one.offer,
            sells_in=one.shop.sells_in if one.shop is not None else (),
            registration_form=one.registration_form,
            keeps_assistants=one.assistants is not None,
            is_first=one is providers[0],
        )
        for one in providers
    }
    return kinds | {CARRIER: KeyKind(CARRIER, ABOUT, ("account_sid", "auth_token"))}
