"""An agency's webhook endpoints: registering, changing and removing them, and delivering past events again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from adapters.destination import ForbiddenAddressError
from adapters.receivers import Receivers, new_signing_secret
from crypto import Keyring, Secret
from router.errors import ConflictError, InvalidError, NotFoundError, require
from router.events.deliveries import ask_for_endpoint
from router.ids import new_id
from router.store.changes import Author, Changes
from router.store.events.deliveries import find_replays, list_events_since, replay_deliveries
from router.store.events.endpoints import (
    ContentType,
    WebhookEndpoint,
    delete_endpoint,
    find_endpoint,
    insert_endpoint,
    list_endpoints,
    lock_endpoint,
    pause_endpoint,
    resume_endpoint,
    update_endpoint,
)
from router.store.events.feed import find_end
from router.store.sealed import endpoint_secret_context
from router.store.tenants.agencies import lock_agency

MOST_REPLAYED: Final = 5000
REPLAYED_A_SECOND: Final = 20
_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class IssuedEndpoint:
    """A new endpoint. `secret` signs its deliveries and is shown only this once."""

    id: str
    url: str
    events: list[str]
    content_type: ContentType
    description: str | None
    resting_until: datetime | None
    paused: bool
    gone_at: datetime | None
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

    async def register(
        self,
        agency_id: str,
        url: str,
        events: list[str],
        content_type: ContentType,
        description: str | None,
        author: Author,
    ) -> IssuedEndpoint:
        """Raises InvalidError for an address that is not allowed, ConflictError for one endpoint too many."""
        await self._check_address(url)
        made = IssuedEndpoint(
            id=new_id("endpoint"),
            url=url,
            events=events,
            content_type=content_type,
            description=description,
            resting_until=None,
            paused=False,
            gone_at=None,
            created_at=self.changes.clock(),
            secret=new_signing_secret(os.urandom),
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
                content_type=content_type,
                description=description,
                sealed=self.keyring.seal(made.secret, *endpoint_secret_context(agency_id, made.id)),
                place=await find_end(change.connection),
                resting_until=None,
                failures=0,
                slow=False,
                paused=False,
                gone_at=None,
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

    async def change(
        self, agency_id: str, endpoint_id: str, wanted: Mapping[str, Any], author: Author
    ) -> WebhookEndpoint:
        """`wanted` holds the new values by field. Nothing that happens while deliveries are paused is delivered.

        Raises NotFoundError, and InvalidError for an address that is not allowed.
        """
        before = await self.find(agency_id, endpoint_id)
        fields = dict(wanted)
        paused = fields.pop("paused", None)
        if fields.get("url", before.url) != before.url:
            await self._check_address(fields["url"])
        async with self.changes.begin(author, agency_id) as change:
            endpoint = require(await lock_endpoint(change.connection, endpoint_id), "endpoint")
            if paused and not endpoint.paused:
                await pause_endpoint(change.connection, endpoint_id, "the endpoint was paused")
                await change.record("endpoint.paused", endpoint_id)
            if endpoint.paused and paused is False:
                await resume_endpoint(change.connection, endpoint_id, await find_end(change.connection))
                await change.record("endpoint.resumed", endpoint_id)
            changed = replace(endpoint, **fields)
            if changed != endpoint:
                await update_endpoint(change.connection, changed)
                await change.record("endpoint.changed", endpoint_id)
            if changed.url != endpoint.url:  # what waited as slow is no longer
                await ask_for_endpoint(change.connection, agency_id, slow=False)
            return change.done(require(await lock_endpoint(change.connection, endpoint_id), "endpoint"))

    async def _check_address(self, url: str) -> None:
        """Raises InvalidError."""
        try:
            await self.receivers.check(url)
        except ForbiddenAddressError as forbidden:
            raise InvalidError("url", str(forbidden)) from None

    async def replay(self, agency_id: str, endpoint_id: str, since: datetime, author: Author) -> Replay:
        """Deliver all events since then, again if they were delivered before, some each second. Raises NotFoundError, and
        ConflictError while the endpoint is paused or too many wait.
        """
        await self.find(agency_id, endpoint_id)
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            endpoint = require(await lock_endpoint(change.connection, endpoint_id), "endpoint")
            if endpoint.paused:
                raise ConflictError("The endpoint is paused. Resume it first, by setting paused to false.")
            waiting, last = await find_replays(change.connection, agency_id)
            if waiting >= MOST_REPLAYED:
                raise ConflictError(f"{waiting} replayed deliveries still wait. Try again when there are fewer.")
            now, interval = self.changes.clock(), timedelta(seconds=1 / REPLAYED_A_SECOND)
            first = max(now, last + interval) if last is not None else now
            events = await list_events_since(change.connection, endpoint, since, MOST_REPLAYED)
            fresh = [(new_id("delivery"), event_id) for event_id in events]
            count = await replay_deliveries(change.connection, endpoint.id, fresh, now, first=first, interval=interval)
            await ask_for_endpoint(change.connection, agency_id, slow=endpoint.slow)
            await change.record("endpoint.replayed", endpoint.id)
            return change.done(Replay(count))
