"""What the stand-ins and the simulated carrier make up: ids, keys and phone numbers."""

from __future__ import annotations

import secrets
import uuid


def new_id(prefix: str = "", digits: int = 32) -> str:
    """The prefix and random hexadecimal digits, as in the ids and keys of most providers."""
    return prefix + secrets.token_hex(digits // 2)


def new_uuid() -> str:
    return str(uuid.uuid4())


def new_number(area_code: int | str) -> str:
    """A North American phone number in that area code."""
    return f"+1{area_code}{secrets.randbelow(10**7):07d}"
