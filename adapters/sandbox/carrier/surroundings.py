"""What all calls of a simulated carrier have in common, and the clock that they share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from adapters.sandbox.carrier.far_end import FarEnd
from adapters.sandbox.carrier.requests import Requests
from adapters.sandbox.carrier.script import Quirks
from adapters.sandbox.carrier.timeline import Timeline

PassTime: TypeAlias = Callable[[float], Awaitable[None]]
Act: TypeAlias = Callable[[Timeline], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Account:
    """The carrier account that a call comes in on, and what is configured for the called number."""

    sid: str
    voice_url: str
    fallback_url: str | None
    status_url: str | None
    numbers: frozenset[str]


@dataclass(slots=True)
class Clock:
    """Virtual seconds since the first call came in; a call that comes in during that call shares it."""

    now: float = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all calls of a carrier have in common."""

    account: Account
    requests: Requests
    far_end: FarEnd
    quirks: Quirks
    pass_time: PassTime
    pass_stream_time: PassTime
    during_ai: Act | None = None  # called once in each AI's talk
    watch_every: float | None = None  # real seconds between looks for an update while a stream is up
