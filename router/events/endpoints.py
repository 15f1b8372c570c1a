"""An agency's webhook endpoints: registering and removing them, and delivering past events again."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from adapters.destination import ForbiddenAddressError
from adapters.receivers import Receivers, new_signing_secret
from crypto import Keyring, Secret
from router.errors import ConflictError, InvalidError, NotFoundError, require
from router.events.deliveries import DELIVER, delivery_jobs
from router.ids import new_id
from router.jobs import enqueue_many
from router.store.changes import Author, Changes
from router.store.events.endpoints import (
    WebhookEndpoint,
    delete_endpoint,
    find_endpoint,
    insert_deliveries,
    insert_endpoint,
    list_endpoints,
    list_events_since,
    lock_endpoint,
    revive_deliveries,
)
from router.store.events.feed import find_end
from router.store.sealed import endpoint_secret_context
from router.store.tenants.agencies import lock_agency

MOST_REPLAYED: Final = 5000
_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class IssuedEndpoint:
    """A new endpoint. `secret` signs its deliveries and is shown only this once."""

    id: str
    url: str
    events: list[str]
    resting_until: datetime | None
    created_at: datetime
    secret: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Replay:
    deliveries: int  # how many will be sent


@dataclass(frozen=True, slots=True)
class Endpoints:
    changes: Changes
    keyring: Keyring = field(repr=False)
    receivers: Receivers

    async def register(self, agency_id: str, url: str, events: list[str], author: Author) -> IssuedEndpoint:
        """Raises InvalidError for an address that is not allowed, ConflictError for one endpoint too many."""
        try:
            await self.receivers.check(url)
        except ForbiddenAddressError as forbidden:
            raise InvalidError("url", str(forbidden)) from None
        made = IssuedEndpoint(
            new_id("endpoint"), url, events, None, self.changes.clock(), new_signing_secret(os.urandom)
        )
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            if len(await list_endpoints(change.connection, agency_id)) >= _MOST:
                raise ConflictError(f"An agency may have {_MOST} endpoints. Delete one first.")
            endpoint = WebhookEndpoint(
                id=made.id,
                agency_id=agency_id,
                url=url,
                events=events,
                sealed=self.keyring.seal(made.secret, *endpoint_secret_context(agency_id, made.id)),
                position=await find_end(change.connection),
                resting_until=None,
                failures=0,
                created_at=made.created_at,
            )
            await insert_endpoint(change.connection, endpoint)
            await change.record("endpoint.created", made.id)
            return change.done(made)

    async def remove(self, agency_id: str, endpoint_id: str, author: Author) -> None:
        """Raises NotFoundError."""
        async with self.changes.begin(author, agency_id) as change:
            if not await delete_endpoint(change.connection, agency_id, endpoint_id):
                raise NotFoundError("endpoint")
            await change.record("endpoint.deleted", endpoint_id)
            change.done(None)

    async def find(self, agency_id: str, endpoint_id: str) -> WebhookEndpoint:
        """Raises NotFoundError."""
        return require(await find_endpoint(self.changes.database.settings, agency_id, endpoint_id), "endpoint")

    async def replay(self, agency_id: str, endpoint_id: str, since: datetime, author: Author) -> Replay:
        """Deliver all events since then, again if they were delivered before. Raises NotFoundError."""
        await self.find(agency_id, endpoint_id)
        now = self.changes.clock()
        async with self.changes.begin(author, agency_id) as change:
            endpoint = require(await lock_endpoint(change.connection, endpoint_id), "endpoint")
            events = await list_events_since(change.connection, endpoint, since, MOST_REPLAYED)
            fresh = [(new_id("delivery"), event_id) for event_id in events]
            ids = await revive_deliveries(change.connection, endpoint.id, events, now)
            ids += await insert_deliveries(change.connection, endpoint.id, fresh, now)
            await enqueue_many(change.connection, DELIVER, delivery_jobs(agency_id, ids))
            await change.record("endpoint.replayed", endpoint.id)
            return change.done(Replay(len(ids)))
