"""The data of the routing decision. A route is everything needed to place one call."""

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
    """A client's routing settings. The API, its forms and the store take their defaults from here."""

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
    lines_free: int | None = None  # of the agency's lines there, at the time of the query; None: unknown
    gone: bool = False  # the client links an assistant that does not exist there any more


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
    transfer_to: str | None = None  # E.164, to which the AI transfers callers who ask for a person
    language: str = "en-US"
    max_seconds: int | None = None  # how long the assistant may talk, where known
    client_provider: str | None = None
    active_provider: str | None = None
    former_provider: str | None = None
    fallback_providers: tuple[str, ...] | None = None  # None: every other provider with a key
    accesses: tuple[Access, ...] = ()
    routing: Routing = field(default_factory=Routing)

    def without_lines(self) -> Route:
        """The route without free lines, which change by the moment: what may be kept."""
        if all(access.lines_free is None for access in self.accesses):
            return self
        return replace(self, accesses=tuple(replace(access, lines_free=None) for access in self.accesses))

    def access(self, provider: str) -> Access:
        """The access to a provider; an empty one if nothing is set up there."""
        return next((access for access in self.accesses if access.provider == provider), Access(provider))


@dataclass(frozen=True, slots=True)
class Rung:
    """Who is to take the call next."""

    kind: RungKind
    provider: str | None = None


class SkipReason(StrEnum):
    """Why a provider was not asked. The names are those of `handoff.skipped`."""

    CIRCUIT_OPEN = "circuit_open"
    NOT_SYNCED = "not_synced"
    ASSISTANT_GONE = "assistant_gone"
    NOT_REGISTERED = "not_registered"  # the called number
    NO_KEY = "no_key"
    NO_TIME = "no_time"
    AT_CAPACITY = "at_capacity"  # the agency has no free line there, or too many of our requests are waiting
    DESTINATION_REFUSED = "destination_refused"  # it wants a number dialled that may not be


def why_unready(route: Route, provider: str, providers: Mapping[str, Provider[Any]]) -> SkipReason | None:
    """Why this provider cannot be asked for this client at all; None if it can."""
    if provider not in providers:
        return SkipReason.NOT_SYNCED
    access = route.access(provider)
    if access.sealed_key is None:
        return SkipReason.NO_KEY
    if access.gone:
        return SkipReason.ASSISTANT_GONE
    match providers[provider].calls.missing(access.target):
        case "assistant":
            return SkipReason.NOT_SYNCED
        case "registration":
            return SkipReason.NOT_REGISTERED
        case None:
            return None
