"""The token in the address at which a provider reports an agency's calls: a new one on request.

The former token still proves reports for an hour, until all assistants and numbers have the new address; not if it was
leaked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from crypto import Keyring
from router.errors import require
from router.ids import new_secret
from router.keys.shown import KeyViews, ShownKey
from router.store.changes import Author, Changes
from router.store.keys.versions import find_key_in_use
from router.store.keys.webhook_tokens import erase_former_tokens, keep_former_token, set_webhook_token
from router.store.numbers.numbers import want_native_numbers
from router.store.sealed import webhook_token_context
from router.store.tenants.agencies import lock_agency
from router.wanted import WantedAssistants

_OVERLAP: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class WebhookTokens:
    changes: Changes
    keyring: Keyring
    wanted: WantedAssistants
    views: KeyViews

    async def renew(self, agency_id: str, kind: str, author: Author, *, compromised: bool) -> ShownKey:
        """Raises NotFoundError."""
        async with self.changes.begin(author, agency_id) as change:
            connection = change.connection
            agency = require(await lock_agency(connection, agency_id), "agency")
            key = require(await find_key_in_use(connection, agency_id, kind), "key")
            if compromised:
                await erase_former_tokens(connection, agency_id, kind)
            elif key.webhook_token_sealed is not None:
                await keep_former_token(connection, key, self.changes.clock() + _OVERLAP)
            key = replace(key, webhook_token_sealed=seal_new_token(self.keyring, agency_id, kind))
            await set_webhook_token(connection, key)
            await self.wanted.want_outdated(connection, agency_id, kind)
            await want_native_numbers(connection, agency_id, kind)
            await change.record("webhook_token.renewed", kind)
            return change.done(await self.views.show(connection, agency, key))


def seal_new_token(keyring: Keyring, agency_id: str, kind: str) -> str:
    return keyring.seal(new_secret("hook"), *webhook_token_context(agency_id, kind))
