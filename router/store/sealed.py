"""The context that every stored sealed value is bound to: a value that was moved to another row or column does not open.

sealed = keyring.seal(key, *key_context(agency_id, kind, version))
key = keyring.open(sealed, *key_context(agency_id, kind, version))
"""

from __future__ import annotations

from typing import TypeAlias

Context: TypeAlias = tuple[str, ...]


def key_context(agency_id: str, kind: str, version: int) -> Context:
    return ("key", agency_id, kind, str(version))


def webhook_secret_context(agency_id: str, kind: str, version: int) -> Context:
    """For what a provider signs its webhooks with, where that is not the key itself."""
    return ("webhook-secret", agency_id, kind, str(version))


def webhook_token_context(agency_id: str, kind: str) -> Context:
    """For the unguessable part of the webhook address that an agency enters at a provider."""
    return ("webhook-token", agency_id, kind)


def reply_context(scope: str, key: str) -> Context:
    """For a stored API reply, which may hold a token that is shown once."""
    return ("reply", scope, key)


def carrier_key_context(agency_id: str, account_sid: str, provider: str) -> Context:
    """For a revocable API key of a carrier account, made for one provider."""
    return ("carrier-key", agency_id, account_sid, provider)


def leftover_carrier_key_context(account_sid: str, key_sid: str) -> Context:
    """For the token of an account in which this API key is still to be revoked. Its agency is gone."""
    return ("leftover-carrier-key", account_sid, key_sid)


def registration_context(agency_id: str, e164: str, provider: str) -> Context:
    """For the parts of a number's registration at a provider, as JSON: they may hold a secret."""
    return ("registration", agency_id, e164, provider)


def registration_address_context(agency_id: str, e164: str, provider: str) -> Context:
    """For the address that a provider's import wrote on the number: whoever knows it can use the account there."""
    return ("registration-address", agency_id, e164, provider)


def endpoint_secret_context(agency_id: str, endpoint_id: str) -> Context:
    """For the secret that signs deliveries to an agency's endpoint."""
    return ("endpoint-secret", agency_id, endpoint_id)


def alert_address_context(agency_id: str) -> Context:
    """For the address to which an agency's alerts are posted: whoever knows it may post there."""
    return ("alert-address", agency_id)


def former_endpoint_secret_context(agency_id: str, endpoint_id: str) -> Context:
    """For the secret before it, which also signs for a while."""
    return ("former-endpoint-secret", agency_id, endpoint_id)
