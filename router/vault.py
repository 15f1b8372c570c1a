"""Opens what is sealed in the database, for one piece of work, and says so once where it does not open.

A value that does not open was sealed under a platform key that is no longer in the keyring, or belongs to another row.
Each is told as `key.unreadable`; what the caller on the line or the agency gets then is the caller's decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from crypto import Keyring, OpenError, Secret
from router.store import sealed
from router.telemetry import emit, metrics


class KeyVersion(Protocol):
    """Which version of which key a row is about. What is sealed is bound to it."""

    @property
    def agency_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def version(self) -> int: ...


class SealedKey(KeyVersion, Protocol):
    """One version of a key as any of the store's rows has it."""

    @property
    def sealed(self) -> str: ...


class SealedToken(KeyVersion, Protocol):
    """The token of a key's webhook address."""

    @property
    def webhook_token_sealed(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Vault:
    """The methods tell of what does not open; then they raise crypto.OpenError, but where they say otherwise."""

    keyring: Keyring = field(repr=False)

    def open_key(self, key: SealedKey) -> Secret:
        try:
            return sealed.open_key(self.keyring, key.sealed, key.agency_id, key.kind, key.version)
        except OpenError:
            _tell(key.agency_id, key.kind, key_version=key.version)
            raise

    def open_webhook_secret(self, key: KeyVersion, text: str) -> Secret:
        """What the provider signs its webhooks with, where that is not the key itself."""
        try:
            return sealed.open_webhook_secret(self.keyring, text, key.agency_id, key.kind, key.version)
        except OpenError:
            _tell(key.agency_id, key.kind, reason="webhook_secret", key_version=key.version)
            raise

    def open_webhook_token(self, key: SealedToken) -> Secret:
        try:
            text = key.webhook_token_sealed or ""
            return sealed.open_webhook_token(self.keyring, text, key.agency_id, key.kind)
        except OpenError:
            _tell(key.agency_id, key.kind, reason="webhook_token", key_version=key.version)
            raise

    def open_carrier_key(self, text: str, agency_id: str, account_sid: str, provider: str) -> Secret:
        try:
            return sealed.open_carrier_key(self.keyring, text, agency_id, account_sid, provider)
        except OpenError:
            _tell(agency_id, "twilio", reason="carrier_key")
            raise

    def open_registration(self, text: str, agency_id: str, e164: str, provider: str) -> dict[str, str]:
        """What belongs to a number's registration at a provider. Empty for what does not open: it is made again then."""
        try:
            return sealed.open_registration(self.keyring, text, agency_id, e164, provider)
        except OpenError:
            _tell(agency_id, provider, reason="registration")
            return {}


def _tell(agency_id: str, kind: str, *, reason: str | None = None, key_version: int | None = None) -> None:
    metrics.key_unreadable(kind)
    facts = {"reason": reason, "key_version": key_version}
    emit("key.unreadable", agency_id=agency_id, kind=kind, **{name: it for name, it in facts.items() if it is not None})
