"""Outgoing webhooks: creates deliveries of call events, and sends each until the receiver accepts it, for up to a day.

At least once, in no order: receivers recognise repeats by `webhook-id`, which is the event's id. Agencies take turns.
Endpoints that are slow or fail have turns of their own, with fewer places, and rest after a failure, so that they do not
delay other deliveries. An endpoint that answers 410 Gone is paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from router.events.order import Order
from router.events.sending import Attempt, Sender, write_event
from router.ids import new_id
from router.jobs import Job, JobRunner, RetryPolicy, Turns, ask_for_turn
from router.store.calls.history import find_call, find_call_event
from router.store.events.deliveries import (
    DueDelivery,
    Exchange,
    claim_deliveries,
    erase_exchanges,
    find_next_delivery,
    give_up_delivery,
    insert_deliveries,
    list_unattended_deliveries,
    note_delivered,
    note_failure,
    note_gone,
)
from router.store.events.endpoints import (
    EVERYTHING,
    list_agencies_with_endpoints,
    list_endpoints,
    lock_endpoint,
    move_endpoint,
)
from router.store.events.feed import Stretch, read_events
from router.store.pool import COMMAND_SECONDS, Connection, Database
from router.telemetry import emit, metrics

DELIVER: Final = "webhooks.deliver"
DELIVER_SLOWLY: Final = "webhooks.deliver_slowly"
POLICY: Final = RetryPolicy(first=timedelta(seconds=5), factor=4.0, longest=timedelta(hours=6), attempts=11)
"""5 s, 20 s, 80 s, 5 min, 21 min, 85 min, then every six hours: a little over a day."""

_AT_ONCE: Final = 10  # agencies, for each of the two kinds of turn
_OF_ENDPOINT: Final = 4  # deliveries at once; a slow endpoint gets one
_OF_AGENCY: Final = 8
_SLOW_MS: Final = 2000
_LEASE: Final = timedelta(seconds=30)
_GONE: Final = 410
_REST: Final = timedelta(seconds=30)
_SHORT_REST: Final = timedelta(seconds=5)
_PATIENCE: Final = 3  # failures in a row after which an endpoint rests for longer
_AT_A_TIME: Final = 200
_HELD_BACK_SECONDS: Final = 0.05
_EXCHANGES_KEPT: Final = timedelta(days=7)
_ERASED_AT_ONCE: Final = 1000
_BATCHES: Final = 100  # an hour


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Creates deliveries (`fan_out`) and sends them (`deliver`)."""

    database: Database
    sender: Sender
    clock: Callable[[], datetime]
    turns: Turns
    order: Order = field(default_factory=Order, repr=False)

    def register(self, runner: JobRunner) -> None:
        runner.handle(DELIVER, partial(self.deliver, slow=False), at_once=_AT_ONCE)
        runner.handle(DELIVER_SLOWLY, partial(self.deliver, slow=True), at_once=_AT_ONCE)
        runner.repeat("webhooks.fan_out", "* * * * *", self.catch_up)
        runner.repeat("webhooks.erase", "41 * * * *", self.erase_exchanges, inside=True)

    async def hear(self, agency_id: str | None) -> None:
        """Calls of that agency have new events; None: any agency may have some."""
        await (self.catch_up() if agency_id is None else self.fan_out([agency_id]))

    async def catch_up(self) -> None:
        """Create deliveries that are missing, and have those sent whose job was lost."""
        pool = self.database.settings
        await self.fan_out(await list_agencies_with_endpoints(pool))
        for agency_id, slow in await list_unattended_deliveries(pool, self.clock()):
            await ask_for_endpoint(pool, agency_id, slow=slow)

    async def erase_exchanges(self) -> None:
        """Payloads and answers are looked at while something is wrong: they are kept for some days."""
        before = self.clock() - _EXCHANGES_KEPT
        for _ in range(_BATCHES):
            if await erase_exchanges(self.database.settings, before, _ERASED_AT_ONCE) < _ERASED_AT_ONCE:
                return

    async def fan_out(self, agency_ids: Iterable[str]) -> None:
        """Create deliveries of new events, a batch for each endpoint in turn."""
        pool = self.database.settings
        behind = [endpoint.id for agency_id in agency_ids for endpoint in await list_endpoints(pool, agency_id)]
        while behind:
            settled = await self.order.look(pool)
            stretches = {endpoint_id: await self._advance(endpoint_id, settled) for endpoint_id in behind}
            if any(stretch.held_back for stretch in stretches.values()):
                await asyncio.sleep(_HELD_BACK_SECONDS)
            behind = [
                endpoint_id
                for endpoint_id, stretch in stretches.items()
                if stretch.held_back or len(stretch.events) == _AT_A_TIME
            ]

    async def deliver(self, job: Job, *, slow: bool) -> None:
        """One turn of an agency's slow, or other, endpoints."""
        agency_id = str(job.payload["agency_id"])
        find_next = partial(find_next_delivery, self.database.settings, agency_id, slow=slow)
        await self.turns.take(job, find_next, partial(self._deliver_some, agency_id, slow=slow))

    async def _deliver_some(self, agency_id: str, *, slow: bool) -> bool:
        now = self.clock()
        due = await claim_deliveries(
            self.database.settings,
            agency_id,
            now,
            now + _LEASE,
            slow=slow,
            of_endpoint=1 if slow else _OF_ENDPOINT,
            limit=_OF_AGENCY,
        )
        failures = await asyncio.gather(*map(self._deliver, due), return_exceptions=True)
        for failure in filter(None, failures):
            raise failure
        return bool(due)

    async def _deliver(self, due: DueDelivery) -> None:
        body = await self._compose(due)
        if body is None:  # the event no longer exists
            await give_up_delivery(self.database.settings, due.id)
            return
        is_slow = await self._note(due, await self.sender.send(due.endpoint, due.event_id, body))
        if is_slow != due.endpoint.slow:
            await ask_for_endpoint(self.database.settings, due.endpoint.agency_id, slow=is_slow)

    async def _advance(self, endpoint_id: str, settled: int) -> Stretch:
        """Create deliveries of one batch of settled events for one endpoint. Returns the batch."""
        pool = self.database.settings
        async with pool.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            endpoint = await lock_endpoint(connection, endpoint_id)
            if endpoint is None or endpoint.paused:
                return Stretch((), held_back=False)
            stretch = await read_events(connection, endpoint.agency_id, endpoint.place, settled, _AT_A_TIME)
            fresh = [
                (new_id("delivery"), event.id)
                for event in stretch.events
                if EVERYTHING in endpoint.events or event.event in endpoint.events
            ]
            if await insert_deliveries(connection, endpoint.id, fresh, self.clock()):
                await ask_for_endpoint(connection, endpoint.agency_id, slow=endpoint.slow)
            if stretch.events:
                await move_endpoint(connection, endpoint.id, stretch.events[-1].place)
        return stretch

    async def _note(self, due: DueDelivery, attempt: Attempt) -> bool:
        """Returns whether the endpoint is slow or failing."""
        exchange = Exchange(attempt.at, attempt.request, attempt.response, attempt.duration_ms)
        if attempt.error is None and attempt.status is not None:
            slow = attempt.duration_ms > _SLOW_MS
            await note_delivered(self.database.settings, due, attempt.status, exchange, slow=slow)
            metrics.delivery_finished("delivered")
            return slow
        await self._note_failure(due, attempt.status, attempt.error or "", exchange)
        return True

    async def _note_failure(self, due: DueDelivery, status: int | None, error: str, exchange: Exchange) -> None:
        pool, endpoint, now = self.database.settings, due.endpoint, self.clock()
        emit("delivery.failed", agency_id=endpoint.agency_id, endpoint_id=endpoint.id, reason=error)
        if status == _GONE:
            await note_gone(pool, due, status, error, exchange)
            metrics.delivery_finished("dead")
            emit("endpoint.gone", agency_id=endpoint.agency_id, endpoint_id=endpoint.id)
            return
        rest = _REST if endpoint.failures >= _PATIENCE else _SHORT_REST
        wait = POLICY.wait(due.tried + 1)
        due_at = now + wait if wait is not None else None
        await note_failure(pool, due, status, error, exchange, rest_until=now + rest, due_at=due_at)
        metrics.delivery_finished("failed" if wait is not None else "dead")

    async def _compose(self, due: DueDelivery) -> bytes | None:
        """The call event, with the call as it is now."""
        pool, agency_id = self.database.settings, due.endpoint.agency_id
        event = await find_call_event(pool, agency_id, due.event_id)
        call = await find_call(pool, agency_id, event.call_id) if event is not None else None
        if event is None or call is None:
            return None
        return write_event(agency_id, event.as_json(), call.as_json())


async def ask_for_endpoint(connection: Connection, agency_id: str, *, slow: bool) -> None:
    """Have the waiting deliveries to the agency's slow, or other, endpoints sent after this transaction."""
    await ask_for_turn(connection, _job(slow=slow), agency_id)


def _job(*, slow: bool) -> str:
    return DELIVER_SLOWLY if slow else DELIVER
