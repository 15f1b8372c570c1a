"""An agency's webhook endpoints: registering, changing and removing them, and delivering past events again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from adapters.destination import ForbiddenAddressError
from adapters.receivers import Receivers, new_signing_secret
from crypto import Keyring, OpenError, Secret
from router.errors import ConflictError, InvalidError, NotFoundError, QuotaError, require
from router.events.deliveries import ask_for_endpoint
from router.events.samples import TEST, sample_call, sample_event
from router.events.sending import Attempt, Sender, write_event
from router.ids import new_id
from router.store.changes import Author, Changes
from router.store.events.deliveries import (
    Delivery,
    find_delivery,
    find_replays,
    list_events_since,
    replay_deliveries,
    resend_delivery,
)
from router.store.events.endpoints import (
    ContentType,
    WebhookEndpoint,
    change_secret,
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
from router.store.sealed import endpoint_secret_context, former_endpoint_secret_context
from router.store.tenants.agencies import lock_agency
from router.store.tenants.audit import count_entries

MOST_REPLAYED: Final = 5000
REPLAYED_A_SECOND: Final = 20
FORMER_SECRET_SIGNS: Final = timedelta(days=1)
MOST_TESTS: Final = 60  # an hour
_MOST: Final = 20
_HOUR: Final = timedelta(hours=1)
_TESTED: Final = "endpoint.tested"


@dataclass(frozen=True, slots=True)
class IssuedEndpoint:
    """An endpoint with a new secret, which signs its deliveries and is shown only this once."""

    id: str
    url: str
    events: list[str]
    content_type: ContentType
    description: str | None
    resting_until: datetime | None
    paused: bool
    gone_at: datetime | None
    former_until: datetime | None
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
            former_until=None,
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
                former_sealed=None,
                former_until=None,
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

    async def rotate_secret(
        self, agency_id: str, endpoint_id: str, author: Author, *, compromised: bool
    ) -> IssuedEndpoint:
        """A new secret. The one before also signs for a day, unless it was compromised. Raises NotFoundError."""
        await self.find(agency_id, endpoint_id)
        place, secret = (agency_id, endpoint_id), new_signing_secret(os.urandom)
        async with self.changes.begin(author, agency_id) as change:
            endpoint = require(await lock_endpoint(change.connection, endpoint_id), "endpoint")
            former = None if compromised else self._open(endpoint)
            until = None if former is None else self.changes.clock() + FORMER_SECRET_SIGNS
            await change_secret(
                change.connection,
                endpoint_id,
                self.keyring.seal(secret, *endpoint_secret_context(*place)),
                None if former is None else self.keyring.seal(former, *former_endpoint_secret_context(*place)),
                until,
            )
            await change.record("endpoint.secret_rotated", endpoint_id)
            return change.done(
                IssuedEndpoint(
                    id=endpoint.id,
                    url=endpoint.url,
                    events=[*endpoint.events],
                    content_type=endpoint.content_type,
                    description=endpoint.description,
                    resting_until=endpoint.resting_until,
                    paused=endpoint.paused,
                    gone_at=endpoint.gone_at,
                    former_until=until,
                    created_at=endpoint.created_at,
                    secret=secret,
                )
            )

    def _open(self, endpoint: WebhookEndpoint) -> Secret | None:
        """Its secret; None if it can no longer be read: then nothing is signed with it any more, either."""
        try:
            return self.keyring.open(endpoint.sealed, *endpoint_secret_context(endpoint.agency_id, endpoint.id))
        except OpenError:
            return None

    async def test(self, agency_id: str, endpoint_id: str, event: str | None, author: Author) -> Attempt:
        """Send an example now, also to an endpoint that is paused. Raises NotFoundError, QuotaError."""
        endpoint = await self.find(agency_id, endpoint_id)
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            since = self.changes.clock() - _HOUR
            if await count_entries(change.connection, agency_id, _TESTED, since, MOST_TESTS) >= MOST_TESTS:
                raise QuotaError(
                    f"An agency may send {MOST_TESTS} test events in an hour.", retry_after=int(_HOUR.total_seconds())
                )
            await change.record(_TESTED, endpoint_id)
        name, event_id = event or TEST, new_id("event")
        body = write_event(agency_id, sample_event(name, event_id), sample_call(name), test=True)
        attempt = await Sender(self.keyring, self.receivers, self.changes.clock).send(endpoint, event_id, body)
        async with self.changes.begin(author, agency_id) as change:
            return change.done(attempt)

    async def resend(self, agency_id: str, endpoint_id: str, delivery_id: str, author: Author) -> Delivery:
        """Have one delivery made now, again if it was made before. Raises NotFoundError, and ConflictError while the endpoint
        is paused.
        """
        await self.find(agency_id, endpoint_id)
        async with self.changes.begin(author, agency_id) as change:
            connection = change.connection
            endpoint = require(await lock_endpoint(connection, endpoint_id), "endpoint")
            require(await find_delivery(connection, agency_id, endpoint_id, delivery_id), "delivery")
            if endpoint.paused:
                raise ConflictError("The endpoint is paused. Resume it first, by setting paused to false.")
            await resend_delivery(connection, delivery_id, self.changes.clock())
            await ask_for_endpoint(connection, agency_id, slow=endpoint.slow)
            await change.record("delivery.resent", delivery_id)
            delivery = await find_delivery(connection, agency_id, endpoint_id, delivery_id)
            return change.done(require(delivery, "delivery"))

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
