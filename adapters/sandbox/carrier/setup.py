"""How a simulated carrier is set up: the account and its URLs, the far ends, and how time passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import KW_ONLY, dataclass, field
from typing import TypeAlias

import httpx

from adapters.sandbox.carrier.far_end import FarEnd
from adapters.sandbox.carrier.script import Quirks
from adapters.sandbox.carrier.timeline import Timeline
from crypto.secret import Secret

PassTime: TypeAlias = Callable[[float], Awaitable[None]]
Act: TypeAlias = Callable[[Timeline], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Setup:
    """What all calls of a carrier have in common.

    `voice_url`, `fallback_url`, `status_url`: what is configured for the numbers, the public URLs that requests are
    signed for; a `client` with a transport of its own may lead them elsewhere. `numbers`: the account's other
    numbers, which may be shown as caller ID. `pass_time` is told every virtual second that goes by, and
    `pass_stream_time` (default: the same) those in which a media stream is up or awaited: the only time that a
    router has to measure with its own clock. `strict`: `place_call` raises CarrierViolation.
    `during_ai` is called with the timeline while an AI talks, `ai_acts_after` seconds into it, and may do what an
    assistant would, such as asking for a transfer. What the carrier's API is asked to change takes effect there and
    whenever time goes by; with `watch_every`, also while a stream's time passes, checked every so many real seconds.
    """

    account_sid: str
    auth_token: Secret
    voice_url: str
    _: KW_ONLY
    far_end: FarEnd
    pass_time: PassTime
    pass_stream_time: PassTime | None = None
    fallback_url: str | None = None
    status_url: str | None = None
    numbers: Collection[str] = ()
    quirks: Quirks = field(default_factory=Quirks)
    strict: bool = True
    client: httpx.AsyncClient | None = None
    during_ai: Act | None = None
    watch_every: float | None = None
