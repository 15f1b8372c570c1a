"""Outgoing webhooks: creates deliveries of call events, and sends each until the receiver accepts it, for up to a day.

At least once, in no order: receivers recognise repeats by `webhook-id`, which is the event's id. An endpoint that fails
rests for a while, so that a slow receiver does not delay other deliveries.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from adapters.base import ProviderError
from adapters.destination import ForbiddenAddressError
from adapters.receivers import Receivers
from crypto import Keyring, OpenError
from router.ids import new_id
from router.jobs import Again, GiveUp, Job, JobRunner, RetryPolicy, enqueue_many
from router.store.calls.history import find_call, find_call_event
from router.store.events.endpoints import (
    EVERYTHING,
    DueDelivery,
    find_delivery,
    give_up_delivery,
    insert_deliveries,
    list_agencies_with_endpoints,
    list_endpoints,
    lock_endpoint,
    move_endpoint,
    note_delivered,
    note_failure,
)
from router.store.events.feed import read_events
from router.store.pool import COMMAND_SECONDS, Database
from router.store.sealed import endpoint_secret_context
from router.telemetry import emit, metrics

DELIVER: Final = "webhooks.deliver"
POLICY: Final = RetryPolicy(first=timedelta(seconds=5), factor=4.0, longest=timedelta(hours=6), attempts=11)
"""5 s, 20 s, 80 s, 5 min, 21 min, 85 min, then every six hours: a little over a day. The delivery counts its attempts,
because a job that waits while its endpoint rests is no attempt."""

_SECONDS: Final = 10.0
_AT_ONCE: Final = 20
_OF_ONE_ENDPOINT: Final = 4  # in one process
_FULL_SECONDS: Final = 1.0
_REST: Final = timedelta(seconds=30)
_SHORT_REST: Final = timedelta(seconds=5)
_PATIENCE: Final = 3  # failures in a row after which an endpoint rests for longer
_AT_A_TIME: Final = 200
_HELD_BACK_SECONDS: Final = 0.25


@dataclass(slots=True)
class Deliveries:
    """Creates deliveries (`fan_out`) and sends them (`deliver`)."""

    database: Database
    keyring: Keyring
    receivers: Receivers
    clock: Callable[[], datetime]
    _busy: Counter[str] = field(default_factory=Counter)

    def register(self, runner: JobRunner) -> None:
        runner.handle(DELIVER, self.deliver, at_once=_AT_ONCE, given_up=self.give_up)
        runner.repeat("webhooks.fan_out", "* * * * *", self.fan_out_all)

    async def hear(self, agency_id: str | None) -> None:
        """Calls of that agency have new events; None: any agency may have some."""
        await (self.fan_out_all() if agency_id is None else self.fan_out(agency_id))

    async def fan_out_all(self) -> None:
        for agency_id in await list_agencies_with_endpoints(self.database.settings):
            await self.fan_out(agency_id)

    async def fan_out(self, agency_id: str) -> None:
        for endpoint in await list_endpoints(self.database.settings, agency_id):
            while await self._advance(endpoint.id):
                pass

    async def deliver(self, job: Job) -> None:
        due = await find_delivery(self.database.settings, job.payload["delivery_id"])
        if due is None or due.state != "waiting":
            return
        self._make_way(due)
        body = await self._compose(due)
        if body is None:
            raise GiveUp("the event no longer exists")
        self._busy[due.endpoint.id] += 1
        try:
            await self._attempt(due, body)
        finally:
            self._busy[due.endpoint.id] -= 1

    async def give_up(self, job: Job) -> None:
        await give_up_delivery(self.database.settings, job.payload["delivery_id"])
        metrics.delivery_finished("dead")

    async def _advance(self, endpoint_id: str) -> bool:
        """Create deliveries of one batch of events for one endpoint. Returns whether there are more."""
        pool = self.database.settings
        async with pool.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            endpoint = await lock_endpoint(connection, endpoint_id)
            if endpoint is None:
                return False
            stretch = await read_events(connection, endpoint.agency_id, endpoint.position, _AT_A_TIME)
            fresh = [
                (new_id("delivery"), event.id)
                for event in stretch.events
                if EVERYTHING in endpoint.events or event.event in endpoint.events
            ]
            ids = await insert_deliveries(connection, endpoint.id, fresh, self.clock())
            await enqueue_many(connection, DELIVER, delivery_jobs(endpoint.agency_id, ids))
            if stretch.events:
                await move_endpoint(connection, endpoint.id, stretch.events[-1].position)
        if stretch.held_back:
            await asyncio.sleep(_HELD_BACK_SECONDS)
        return stretch.held_back or len(stretch.events) == _AT_A_TIME

    def _make_way(self, due: DueDelivery) -> None:
        """Raises Again while the endpoint rests, or has enough deliveries under way."""
        rest = due.endpoint.resting_until
        if rest is not None and rest > self.clock():
            raise Again((rest - self.clock()).total_seconds())
        if self._busy[due.endpoint.id] >= _OF_ONE_ENDPOINT:
            raise Again(_FULL_SECONDS)

    async def _attempt(self, due: DueDelivery, body: bytes) -> None:
        status: int | None = None
        try:
            secret = self.keyring.open(
                due.endpoint.sealed, *endpoint_secret_context(due.endpoint.agency_id, due.endpoint.id)
            )
            receipt = await self.receivers.deliver(
                due.endpoint.url,
                body,
                event_id=due.event_id,
                at=int(self.clock().timestamp()),
                secret=secret,
                limit=_SECONDS,
            )
            if receipt.taken:
                await note_delivered(self.database.settings, due, receipt.status, self.clock())
                metrics.delivery_finished("delivered")
                return
            status, error = receipt.status, f"it answered {receipt.status}"
        except ForbiddenAddressError as forbidden:
            error = f"this address is not allowed: {forbidden}"
        except ProviderError as failed:
            error = failed.kind.value
        except OpenError:
            error = "its signing secret can no longer be read"
        await self._note_failure(due, status, error)
        wait = POLICY.wait(due.tried + 1)
        if wait is None:
            raise GiveUp("not taken for a day")
        raise Again(wait.total_seconds())

    async def _note_failure(self, due: DueDelivery, status: int | None, error: str) -> None:
        rest = _REST if due.endpoint.failures >= _PATIENCE else _SHORT_REST
        now = self.clock()
        await note_failure(self.database.settings, due, status, error, now, now + rest)
        metrics.delivery_finished("failed")
        emit("delivery.failed", agency_id=due.endpoint.agency_id, endpoint_id=due.endpoint.id, reason=error)

    async def _compose(self, due: DueDelivery) -> bytes | None:
        """A CloudEvent (version 1.0, structured JSON) of the call event, with the call as it is now."""
        pool, agency_id = self.database.settings, due.endpoint.agency_id
        event = await find_call_event(pool, agency_id, due.event_id)
        call = await find_call(pool, agency_id, event.call_id) if event is not None else None
        if event is None or call is None:
            return None
        return json.dumps(
            {
                "specversion": "1.0",
                "id": event.id,
                "source": f"/v1/agencies/{agency_id}",
                "type": event.event,
                "subject": event.call_id,
                "time": event.at.isoformat(),
                "datacontenttype": "application/json",
                "data": {"event": event.as_json(), "call": call.as_json()},
            },
            separators=(",", ":"),
        ).encode()


def delivery_jobs(agency_id: str, delivery_ids: Iterable[str]) -> list[dict[str, Any]]:
    """The payloads of the jobs that send these."""
    return [{"agency_id": agency_id, "delivery_id": delivery_id} for delivery_id in delivery_ids]
