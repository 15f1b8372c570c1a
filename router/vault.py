"""Opens sealed values from the database for one piece of work, and reports each that does not open as `key.unreadable`.

Such a value was sealed under a platform key that is no longer in the keyring, or belongs to another row. What the caller
on the line or the agency gets then is up to the code that asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from crypto import Keyring, OpenError, Secret
from router.store.sealed import (
    carrier_key_context,
    key_context,
    registration_address_context,
    registration_context,
    webhook_secret_context,
    webhook_token_context,
)
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
    """Methods report a value that does not open, and then raise crypto.OpenError unless they say otherwise."""

    keyring: Keyring = field(repr=False)

    def open_key(self, key: SealedKey) -> Secret:
        with _reporting(key.agency_id, key.kind, key_version=key.version):
            return self.keyring.open(key.sealed, *key_context(key.agency_id, key.kind, key.version))

    def open_webhook_secret(self, key: KeyVersion, text: str) -> Secret:
        """What the provider signs its webhooks with, where that is not the key itself."""
        with _reporting(key.agency_id, key.kind, reason="webhook_secret", key_version=key.version):
            return self.keyring.open(text, *webhook_secret_context(key.agency_id, key.kind, key.version))

    def open_shared_key(self, key: KeyVersion, text: str, key_id: str) -> Secret:
        """One of the carrier account's shared keys, which are sealed together."""
        with _reporting(key.agency_id, key.kind, reason="webhook_secret", key_version=key.version):
            opened = self.keyring.open_bytes(text, *webhook_secret_context(key.agency_id, key.kind, key.version))
            return Secret(json.loads(opened)[key_id])

    def open_webhook_token(self, key: SealedToken) -> Secret:
        with _reporting(key.agency_id, key.kind, reason="webhook_token", key_version=key.version):
            return self.keyring.open(key.webhook_token_sealed or "", *webhook_token_context(key.agency_id, key.kind))

    def open_former_token(self, key: KeyVersion, text: str) -> Secret:
        """The token of the webhook address before this one."""
        with _reporting(key.agency_id, key.kind, reason="webhook_token", key_version=key.version):
            return self.keyring.open(text, *webhook_token_context(key.agency_id, key.kind))

    def open_carrier_key(self, text: str, agency_id: str, account_sid: str, provider: str) -> Secret:
        with _reporting(agency_id, "twilio", reason="carrier_key"):
            return self.keyring.open(text, *carrier_key_context(agency_id, account_sid, provider))

    def open_registration(self, text: str, agency_id: str, e164: str, provider: str) -> dict[str, str]:
        """The parts of a number's registration at a provider. Empty if they do not open: it is then made again."""
        with suppress(OpenError), _reporting(agency_id, provider, reason="registration"):
            parts: dict[str, str] = json.loads(
                self.keyring.open_bytes(text, *registration_context(agency_id, e164, provider))
            )
            return parts
        return {}

    def open_registration_address(self, text: str, agency_id: str, e164: str, provider: str) -> Secret | None:
        """The address that a provider's import wrote on the number. None if it does not open."""
        with suppress(OpenError), _reporting(agency_id, provider, reason="registration"):
            return self.keyring.open(text, *registration_address_context(agency_id, e164, provider))
        return None


@contextmanager
def _reporting(
    agency_id: str, kind: str, *, reason: str | None = None, key_version: int | None = None
) -> Iterator[None]:
    try:
        yield
    except OpenError:
        metrics.key_unreadable(kind)
        facts = {"reason": reason, "key_version": key_version}
        emit(
            "key.unreadable",
            agency_id=agency_id,
            kind=kind,
            **{k: fact for k, fact in facts.items() if fact is not None},
        )
        raise
