"""What a number's static fallback address carries: whom to ring, how long, what to say. Sealed, and all it needs.

Serving it is router.webhooks.fallback; this only packs and unpacks.
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
    phone: str | None  # E.164, the owner's; None goes straight to a message
    ring_seconds: int
    screen: bool
    caller_id: Literal["caller", "number"]
    language: str
    greeting: str | None
    voicemail_seconds: int


_FORM: Final = TypeAdapter(Fallback)


def fallback_address(keyring: Keyring, base_url: str, fallback: Fallback) -> str:
    """The whole VoiceFallbackUrl. Every call gives another text for the same content: nonces are random."""
    sealed = keyring.seal(_FORM.dump_json(fallback), _CONTEXT)
    return f"{base_url}/fallback/voice?{urlencode({'t': sealed})}"


def open_fallback(keyring: Keyring, sealed: str) -> Fallback:
    """Raises crypto.OpenError for anything that `fallback_address` did not make."""
    try:
        return _FORM.validate_json(keyring.open_bytes(sealed, _CONTEXT))
    except ValidationError:
        raise OpenError("the fallback was sealed by another version") from None
