"""What people may see of a key: everything but the key itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapters.registry import Providers
from crypto import OpenError
from router.accounts import CARRIER
from router.errors import require
from router.store.assistants.copies import Progress, count_assistants
from router.store.keys.versions import KeyStatus, StoredKey, find_key_in_use, list_keys_in_use
from router.store.pool import Connection, Database
from router.store.tenants.agencies import Agency, find_agency
from router.wanted import Wirings

UNKNOWN_SHARED_KEY: Final = (
    "Twilio signs its requests with a shared key that is not saved here, so they are refused and calls go to the fallback:"
    " save the shared key's id and secret with the account's token, or remove the webhook rule at Twilio"
)


@dataclass(frozen=True, slots=True)
class LinesInUse:
    """Concurrent calls, as the provider counts them; `used` None: it does not tell."""

    limit: int
    used: int | None


@dataclass(frozen=True, slots=True)
class SharedKeyId:
    """A shared key without its secret."""

    id: str


@dataclass(frozen=True, slots=True)
class ShownKey:
    """`webhook_url` is for linked assistants. None: it can no longer be read, or the provider sends no webhooks.

    `webhooks_signed`: a signature is required, because one has verified. None: the provider does not sign all webhooks.
    `shared_keys`: None for all but the carrier's key.
    """

    kind: str
    last4: str
    status: KeyStatus
    problem: str | None
    failing_since: datetime | None
    balance: float | None
    lines: LinesInUse | None
    checked_at: datetime
    version: int
    active: bool
    sync: Progress
    webhook_url: str | None
    webhooks_signed: bool | None
    shared_keys: tuple[SharedKeyId, ...] | None


@dataclass(frozen=True, slots=True)
class KeyViews:
    database: Database
    wirings: Wirings
    providers: Providers

    async def show_all(self, agency_id: str) -> Sequence[ShownKey]:
        """Raises NotFoundError."""
        pool = self.database.settings
        agency = require(await find_agency(pool, agency_id), "agency")
        keys = {key.kind: key for key in await list_keys_in_use(pool, agency.id)}
        order = (*self.providers, CARRIER)
        return [await self.show(pool, agency, keys[kind]) for kind in order if kind in keys]

    async def show_one(self, agency_id: str, kind: str) -> ShownKey:
        """Raises NotFoundError."""
        pool = self.database.settings
        agency = require(await find_agency(pool, agency_id), "agency")
        return await self.show(pool, agency, require(await find_key_in_use(pool, agency_id, kind), "key"))

    async def show(self, connection: Connection, agency: Agency, key: StoredKey) -> ShownKey:
        is_voice = key.kind in self.providers
        return ShownKey(
            kind=key.kind,
            last4=key.last4,
            status=key.status if key.unproven_at is None else "failing",
            problem=key.problem if key.unproven_at is None else UNKNOWN_SHARED_KEY,
            failing_since=key.failing_since or key.unproven_at,
            balance=key.balance,
            lines=None if key.lines_limit is None else LinesInUse(key.lines_limit, key.lines_used),
            checked_at=key.checked_at,
            version=key.version,
            active=key.kind == agency.active_provider,
            sync=await count_assistants(connection, agency.id, key.kind) if is_voice else Progress(),
            webhook_url=self._webhook_url(key),
            webhooks_signed=key.signed_at is not None if self._always_signs(key.kind) else None,
            shared_keys=None if is_voice else tuple(SharedKeyId(key_id) for key_id in key.shared_key_ids),
        )

    def _always_signs(self, kind: str) -> bool:
        webhooks = None if kind == CARRIER else self.providers[kind].webhooks
        return webhooks is not None and webhooks.proof == "always hmac"

    def _webhook_url(self, key: StoredKey) -> str | None:
        if key.kind == CARRIER:
            return self.wirings.addresses.voice
        if self.providers[key.kind].webhooks is None:
            return None
        try:
            return self.wirings.make(key).webhook_url
        except OpenError:
            return None
