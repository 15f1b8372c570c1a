"""Sealing and opening with AES-256-GCM under a ring of platform keys.

An envelope is text, `2.KEYID.NONCE+CIPHERTEXT+TAG` in URL-safe base64, so that it fits a database column and a
URL alike. The version, the key id and the caller's context are authenticated with it: an envelope moved to
another agency, kind or version does not open.

The first part of the context is the purpose, such as `key` or `session`. A platform key seals nothing itself: for each
purpose a key is derived from it with HKDF-SHA256 (RFC 5869), so that what one purpose seals, or how much of it, says
nothing about another. Envelopes of a keyring that derives have version 2. The fallback keys do not derive (version 1),
because `callrouter fallback` may run an older release than the service that made its URLs.

Nonces are 96 random bits (NIST SP 800-38D, 8.2.2): one key serves 2**32 seals for each purpose; rotate it before.

Not here: where keys come from (router.settings) and what is sealed under which context (router.store).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto.secret import Secret

_PLAIN: Final = "1"
_DERIVED: Final = "2"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class KeyringError(ValueError):
    """The keyring's configuration is wrong. The text names the entry, never the key."""


class OpenError(Exception):
    """An envelope did not open: changed, sealed under a key we do not have, or bound to another context."""


def encrypt(cipher: AESGCM, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """AES-256-GCM as in NIST SP 800-38D; the 16-byte tag stands behind the ciphertext."""
    return cipher.encrypt(nonce, plaintext, associated)


def decrypt(cipher: AESGCM, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
    """The inverse of `encrypt`. Raises OpenError if anything was changed."""
    try:
        return cipher.decrypt(nonce, sealed, associated)
    except (InvalidTag, ValueError):
        raise OpenError("the sealed value was changed or belongs to another context") from None


def new_key_entry(random: Callable[[int], bytes] = os.urandom) -> str:
    """A fresh `id:base64` entry for CALLROUTER_PLATFORM_KEYS."""
    return f"k{random(4).hex()}:{base64.b64encode(random(_KEY_BYTES)).decode()}"


class Keyring:
    """The active platform key, which seals, and older ones, which still open."""

    __slots__ = ("_ciphers", "_keys", "_random", "_version", "active_id")

    def __init__(
        self, keys: Mapping[str, bytes], random: Callable[[int], bytes] = os.urandom, *, derives: bool = True
    ) -> None:
        if not keys:
            raise KeyringError("no key given: make one with `callrouter keys new`")
        self._keys = dict(keys)
        self._ciphers: dict[tuple[str, str], AESGCM] = {}  # by key id and purpose, made when first needed
        self._version = _DERIVED if derives else _PLAIN
        self._random = random
        self.active_id = next(iter(keys))

    @classmethod
    def parse(cls, text: str, random: Callable[[int], bytes] = os.urandom, *, derives: bool = True) -> Keyring:
        """Read `id:base64 of 32 bytes` entries, comma or line separated; the first is active. Raises KeyringError."""
        keys: dict[str, bytes] = {}
        for place, entry in enumerate(_entries(text), start=1):
            key_id, _, encoded = entry.partition(":")
            if not _KEY_ID.fullmatch(key_id):
                raise KeyringError(f"entry {place}: the id before ':' must be 1 to 32 of A-Z a-z 0-9 _ -")
            if key_id in keys:
                raise KeyringError(f"entry {place}: the id {key_id} is used twice")
            keys[key_id] = _decode_key(encoded, place)
        return cls(keys, random, derives=derives)

    def seal(self, plaintext: Secret | str | bytes, purpose: str, *context: str) -> str:
        """Seal under the active key, bound to the context. The same context opens it again."""
        nonce = self._random(_NONCE_BYTES)
        text = plaintext.reveal() if isinstance(plaintext, Secret) else plaintext
        data = text.encode() if isinstance(text, str) else text
        associated = _associated(self._version, self.active_id, purpose, *context)
        body = encrypt(self._cipher(self.active_id, purpose), nonce, data, associated)
        return f"{self._version}.{self.active_id}.{_encode(nonce + body)}"

    def open(self, envelope: str, purpose: str, *context: str) -> Secret:
        """Open an envelope that holds text. Raises OpenError."""
        text = _read_text(self.open_bytes(envelope, purpose, *context))
        if text is None:
            raise OpenError("the sealed value is not text")
        return Secret(text)

    def open_bytes(self, envelope: str, purpose: str, *context: str) -> bytes:
        """Open an envelope. Raises OpenError, whose text says why and holds nothing of the content."""
        version, key_id, encoded = _split(envelope)
        if version != self._version:
            raise OpenError("the sealed value has an unknown format")
        if key_id not in self._keys:
            raise OpenError("the sealed value needs a platform key that is not in the keyring")
        data = _decode(encoded)
        associated = _associated(version, key_id, purpose, *context)
        return decrypt(self._cipher(key_id, purpose), data[:_NONCE_BYTES], data[_NONCE_BYTES:], associated)

    def is_active(self, envelope: str) -> bool:
        """Whether the envelope is sealed under the active key already."""
        return _split(envelope)[1] == self.active_id

    def _cipher(self, key_id: str, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((key_id, purpose))
        if cipher is None:
            key = self._keys[key_id]
            cipher = AESGCM(_derive(key, purpose) if self._version == _DERIVED else key)
            self._ciphers[key_id, purpose] = cipher
        return cipher

    def __repr__(self) -> str:
        return f"Keyring(active={self.active_id}, keys={len(self._keys)})"


def _entries(text: str) -> Iterable[str]:
    return (entry for entry in (part.strip() for part in re.split(r"[,\n]", text)) if entry)


def _decode_key(encoded: str, place: int) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise KeyringError(f"entry {place}: what follows ':' is not base64") from None
    if len(key) != _KEY_BYTES:
        raise KeyringError(f"entry {place}: the key has {len(key)} bytes, not {_KEY_BYTES}")
    return key


def _split(envelope: str) -> tuple[str, str, str]:
    version, dot, rest = envelope.partition(".")
    key_id, second_dot, encoded = rest.partition(".")
    if not dot or not second_dot:
        raise OpenError("the sealed value has an unknown format")
    return version, key_id, encoded


def _read_text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:  # it carries what it could not decode, so it must not even be a context
        return None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(encoded: str) -> bytes:
    """Only the one spelling that `_encode` gives: base64 has unused bits, and two alphabets."""
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise OpenError("the sealed value is not readable") from None
    if _encode(data) != encoded:
        raise OpenError("the sealed value is not readable")
    return data


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"callrouter {purpose}".encode()).derive(key)


def _associated(*parts: str) -> bytes:
    """Every part carries its length, so that ("a", "bc") and ("ab", "c") differ."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
