"""Where a provider reaches us about an agency's calls."""

from __future__ import annotations

from urllib.parse import urlencode

from adapters.portable import Wiring
from router.agencies.services import ApiServices
from router.store.keys import StoredKey
from router.store.sealed import open_webhook_token


def make_wiring(services: ApiServices, key: StoredKey) -> Wiring:
    """Raises crypto.OpenError: the address cannot be read any more, and a new key brings a new one."""
    token = open_webhook_token(services.keyring, key.webhook_token_sealed or "", key.agency_id, key.kind)
    base = f"{services.public_url}/webhooks/{key.kind}/{key.agency_id}"
    query = urlencode({"token": token.reveal()})
    return Wiring(webhook_url=f"{base}?{query}", transfer_url=f"{base}/transfer?{query}", secret=token)
