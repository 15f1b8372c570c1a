"""The words of the decision: a route is all that is needed to place one call. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from adapters.base import Target
from adapters.provider import Provider

RungKind: TypeAlias = Literal["ai", "owner", "voicemail"]


Mode: TypeAlias = Literal["ai", "owner_first", "ring_through", "voicemail"]
"""In which order rungs are tried: router.routing.ladder."""

OnFailure: TypeAlias = Literal["ring_through", "voicemail"]


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """Opening hours on some weekdays, from inclusive, to exclusive, in minutes after midnight; to < from spans midnight."""

    days: tuple[int, ...]  # Monday is 0
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hours:
    """When a client is open; outside, `closed_mode` orders the rungs."""

    timezone: str
    open: tuple[OpenSpan, ...] = ()
    closed_mode: Mode = "voicemail"


@dataclass(frozen=True, slots=True)
class Routing:
    """A client's routing settings. The defaults stand here alone: the API, its forms and the store read them."""

    mode: Mode = "ai"
    on_failure: OnFailure = "voicemail"  # after the AI, in mode ai
    ring_seconds: int = 15
    screen: bool = True
    voicemail_greeting: str | None = None
    voicemail_seconds: int = 120
    transcribe: bool = True
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """How a client's calls could reach one provider: the agency's sealed key and the client's assistant there."""

    provider: str
    target: Target = field(default_factory=Target)
    sealed_key: str | None = None
    key_version: int = 0
    lines_free: int | None = None  # of the agency's there, as the database knew at that moment; None: not known


@dataclass(frozen=True, slots=True)
class Route:
    """Number → client → agency → providers, with sealed keys and the way to a person."""

    agency_id: str
    client_id: str
    client_name: str
    account_sid: str
    number: str  # E.164, the client's
    caller_id: Literal["caller", "number"] = "caller"
    personal_phone: str | None = None
    transfer_to: str | None = None  # E.164, whoever asks the AI for a person is put through there
    language: str = "en-US"
    max_seconds: int | None = None  # how long the assistant may talk, where known
    client_provider: str | None = None
    active_provider: str | None = None
    former_provider: str | None = None
    fallback_providers: tuple[str, ...] | None = None  # None: every other provider with a key
    accesses: tuple[Access, ...] = ()
    routing: Routing = field(default_factory=Routing)

    def without_lines(self) -> Route:
        """The route without what is true for a moment only: what may be kept."""
        if all(access.lines_free is None for access in self.accesses):
            return self
        return replace(self, accesses=tuple(replace(access, lines_free=None) for access in self.accesses))

    def access(self, provider: str) -> Access:
        """The access to a provider; an empty one if nothing is set up there."""
        return next((access for access in self.accesses if access.provider == provider), Access(provider))


@dataclass(frozen=True, slots=True)
class Rung:
    """Who takes the call next, if it does."""

    kind: RungKind
    provider: str | None = None


class SkipReason(StrEnum):
    """Why a provider was not asked. The names are those of `handoff.skipped`."""

    CIRCUIT_OPEN = "circuit_open"
    NOT_SYNCED = "not_synced"
    NO_KEY = "no_key"
    NO_TIME = "no_time"
    AT_CAPACITY = "at_capacity"  # no line of the agency's is free there, or too many requests of ours are waiting


def why_unready(route: Route, provider: str, providers: Mapping[str, Provider[Any]]) -> SkipReason | None:
    """Why this provider cannot be asked for this client at all; None if it can."""
    if provider not in providers:
        return SkipReason.NOT_SYNCED
    access = route.access(provider)
    if access.sealed_key is None:
        return SkipReason.NO_KEY
    if providers[provider].calls.missing(access.target):
        return SkipReason.NOT_SYNCED
    return None
