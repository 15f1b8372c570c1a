"""The sealed content of a number's static fallback URL: whom to ring, when and how long, what to say.

router.webhooks.fallback serves it. An address has 4,000 characters at most, as many as Twilio takes for a status
callback (Twilio docs: error 21609), also with the longest of the steps that follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError

from crypto import Keyring, OpenError
from router.routing.ladder import is_open, order_kinds
from router.routing.route import Hours, OpenSpan, Routing

LONGEST_ADDRESS: Final = 4000
_CONTEXT: Final = "fallback"
_LONGEST_STEP: Final = "recorded"


@dataclass(frozen=True, slots=True)
class RingTimes:
    """When the owner's phone is rung, if that depends on the opening hours: `while_open`, or else while closed.

    Each span is weekdays (Monday is 0), from and to, in minutes after midnight: up to fifty must fit an address.
    """

    timezone: str
    open: tuple[tuple[str, int, int], ...]
    while_open: bool

    def include(self, now: datetime) -> bool:
        spans = tuple(OpenSpan(tuple(map(int, days)), start, end) for days, start, end in self.open)
        return is_open(Hours(self.timezone, spans), now) is self.while_open


@dataclass(frozen=True, slots=True)
class Fallback:
    """The last resort of one number. Seconds are whole."""

    agency_id: str
    client_id: str
    client_name: str
    number: str  # E.164, the client's
    phone: str | None  # E.164, the owner's; None: always straight to voicemail
    ring_seconds: int
    screen: bool
    caller_id: Literal["caller", "number"]
    language: str
    greeting: str | None
    voicemail_seconds: int
    ring_times: RingTimes | None = None  # None: at any time

    def phone_at(self, now: datetime) -> str | None:
        """Whom to ring then; None: nobody."""
        return self.phone if self.ring_times is None or self.ring_times.include(now) else None


_FORM: Final = TypeAdapter(Fallback)


def when_the_owner_rings(routing: Routing) -> RingTimes | bool:
    """True: always, False: never. As calls do: the phone rings there if it is a rung of the ladder of that moment."""
    hours = routing.hours
    rings = "owner" in order_kinds(routing.mode, routing.on_failure)
    if hours is None or rings == ("owner" in order_kinds(hours.closed_mode, routing.on_failure)):
        return rings
    spans = ("".join(map(str, span.days)) for span in hours.open)
    return RingTimes(
        hours.timezone,
        tuple((days, span.start, span.end) for days, span in zip(spans, hours.open, strict=True)),
        while_open=rings,
    )


def fallback_address(keyring: Keyring, base_url: str, fallback: Fallback) -> str:
    """The whole VoiceFallbackUrl. It differs each time, even for the same content: nonces are random."""
    return _address(keyring, base_url, as_carried(keyring, base_url, fallback))


def as_carried(keyring: Keyring, base_url: str, fallback: Fallback) -> Fallback:
    """What the address holds: without a greeting that does not fit, so that callers there hear the standard one."""
    longest = len(_address(keyring, base_url, fallback, _LONGEST_STEP))
    return fallback if longest <= LONGEST_ADDRESS else replace(fallback, greeting=None)


def _address(keyring: Keyring, base_url: str, fallback: Fallback, step: str = "voice") -> str:
    sealed = keyring.seal(_FORM.dump_json(fallback, exclude_defaults=True), _CONTEXT)
    return f"{base_url}/fallback/{step}?{urlencode({'t': sealed})}"


def open_fallback(keyring: Keyring, sealed: str) -> Fallback:
    """Raises crypto.OpenError for what `fallback_address` did not seal."""
    try:
        return _FORM.validate_json(keyring.open_bytes(sealed, _CONTEXT))
    except ValidationError:
        raise OpenError("the fallback was sealed by another version") from None
