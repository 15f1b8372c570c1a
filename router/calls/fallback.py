"""The sealed content of a number's static fallback URL: whom to ring, how long, what to say.

router.webhooks.fallback serves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError

from crypto import Keyring, OpenError

_CONTEXT: Final = "fallback"


@dataclass(frozen=True, slots=True)
class Fallback:
    """The last resort of one number. Seconds are whole."""

    agency_id: str
    client_id: str
    client_name: str
    number: str  # E.164, the client's
    phone: str | None  # E.164, the owner's; None: straight to voicemail
    ring_seconds: int
    screen: bool
    caller_id: Literal["caller", "number"]
    language: str
    greeting: str | None
    voicemail_seconds: int


_FORM: Final = TypeAdapter(Fallback)


def fallback_address(keyring: Keyring, base_url: str, fallback: Fallback) -> str:
    """The whole VoiceFallbackUrl. It differs each time, even for the same content: nonces are random."""
    sealed = keyring.seal(_FORM.dump_json(fallback), _CONTEXT)
    return f"{base_url}/fallback/voice?{urlencode({'t': sealed})}"


def open_fallback(keyring: Keyring, sealed: str) -> Fallback:
    """Raises crypto.OpenError for what `fallback_address` did not seal."""
    try:
        return _FORM.validate_json(keyring.open_bytes(sealed, _CONTEXT))
    except ValidationError:
        raise OpenError("the fallback was sealed by another version") from None
