"""Makes ids and tokens: opaque, with a prefix that says what they identify."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Final

from crypto import Secret

_BYTES: Final = 15  # 24 characters of base32, without padding
_DIGITS: Final = 24  # of a digest: nobody can choose the name that somebody else's id comes from
_SECRET_BYTES: Final = 32


def new_id(prefix: str) -> str:
    """An id with 120 random bits: it cannot be guessed."""
    return f"{prefix}_{base64.b32encode(os.urandom(_BYTES)).decode().lower()}"


def derive_id(prefix: str, name: str) -> str:
    """An id that is always the same for the same name."""
    return f"{prefix}_{hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]}"


def new_secret(prefix: str) -> Secret:
    """256 random bits, with a prefix by which secret scanners recognise it."""
    return Secret(f"{prefix}_{base64.urlsafe_b64encode(os.urandom(_SECRET_BYTES)).decode().rstrip('=')}")
