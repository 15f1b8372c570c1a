"""Which context every stored sealed value is bound to. Sealing itself is in `crypto`; the tables are next door."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from crypto import Keyring, Secret

Context: TypeAlias = tuple[str, ...]


def key_context(agency_id: str, kind: str, version: int) -> Context:
    return ("key", agency_id, kind, str(version))


def webhook_secret_context(agency_id: str, kind: str, version: int) -> Context:
    return ("webhook-secret", agency_id, kind, str(version))


def webhook_token_context(agency_id: str, kind: str) -> Context:
    return ("webhook-token", agency_id, kind)


def reply_context(scope: str, key: str) -> Context:
    return ("reply", scope, key)


def seal_key(keyring: Keyring, key: Secret, agency_id: str, kind: str, version: int) -> str:
    return keyring.seal(key.reveal(), *key_context(agency_id, kind, version))


def open_key(keyring: Keyring, sealed: str, agency_id: str, kind: str, version: int) -> Secret:
    """Raises crypto.OpenError, also for a row that was swapped with another agency's."""
    return keyring.open(sealed, *key_context(agency_id, kind, version))


def seal_webhook_secret(keyring: Keyring, secret: Secret, agency_id: str, kind: str, version: int) -> str:
    """What a provider signs its webhooks with, where that is not the key itself."""
    return keyring.seal(secret.reveal(), *webhook_secret_context(agency_id, kind, version))


def open_webhook_secret(keyring: Keyring, sealed: str, agency_id: str, kind: str, version: int) -> Secret:
    return keyring.open(sealed, *webhook_secret_context(agency_id, kind, version))


def seal_webhook_token(keyring: Keyring, token: Secret, agency_id: str, kind: str) -> str:
    """The unguessable part of the webhook address that an agency gives to a provider by hand."""
    return keyring.seal(token.reveal(), *webhook_token_context(agency_id, kind))


def open_webhook_token(keyring: Keyring, sealed: str, agency_id: str, kind: str) -> Secret:
    return keyring.open(sealed, *webhook_token_context(agency_id, kind))


def seal_reply(keyring: Keyring, reply: bytes, scope: str, key: str) -> str:
    """A stored API reply, which may hold a token shown once."""
    return keyring.seal(reply, *reply_context(scope, key))


def open_reply(keyring: Keyring, sealed: str, scope: str, key: str) -> bytes:
    return keyring.open_bytes(sealed, *reply_context(scope, key))


def carrier_key_context(agency_id: str, account_sid: str, provider: str) -> Context:
    return ("carrier-key", agency_id, account_sid, provider)


def seal_carrier_key(keyring: Keyring, secret: Secret, agency_id: str, account_sid: str, provider: str) -> str:
    """A revocable API key of a carrier account, made for one provider."""
    return keyring.seal(secret.reveal(), *carrier_key_context(agency_id, account_sid, provider))


def open_carrier_key(keyring: Keyring, sealed: str, agency_id: str, account_sid: str, provider: str) -> Secret:
    return keyring.open(sealed, *carrier_key_context(agency_id, account_sid, provider))


def registration_context(agency_id: str, e164: str, provider: str) -> Context:
    return ("registration", agency_id, e164, provider)


def seal_registration(keyring: Keyring, parts: Mapping[str, str], agency_id: str, e164: str, provider: str) -> str:
    """What belongs to a number's registration at a provider and may hold a secret."""
    return keyring.seal(json.dumps(dict(parts)), *registration_context(agency_id, e164, provider))


def open_registration(keyring: Keyring, sealed: str, agency_id: str, e164: str, provider: str) -> dict[str, str]:
    """Raises crypto.OpenError."""
    parts: dict[str, str] = json.loads(keyring.open_bytes(sealed, *registration_context(agency_id, e164, provider)))
    return parts


def endpoint_secret_context(agency_id: str, endpoint_id: str) -> Context:
    return ("endpoint-secret", agency_id, endpoint_id)


def seal_endpoint_secret(keyring: Keyring, secret: Secret, agency_id: str, endpoint_id: str) -> str:
    """What the deliveries to an agency's endpoint are signed with."""
    return keyring.seal(secret.reveal(), *endpoint_secret_context(agency_id, endpoint_id))


def open_endpoint_secret(keyring: Keyring, sealed: str, agency_id: str, endpoint_id: str) -> Secret:
    return keyring.open(sealed, *endpoint_secret_context(agency_id, endpoint_id))
