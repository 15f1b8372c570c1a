"""Sealing of keys, and values that cannot be printed. Knows nothing of what is sealed or where it is stored."""

from __future__ import annotations

from crypto.frames import clear_frames
from crypto.keyring import Keyring, KeyringError, OpenError, new_key_entry
from crypto.secret import Secret

__all__ = ["Keyring", "KeyringError", "OpenError", "Secret", "clear_frames", "new_key_entry"]
