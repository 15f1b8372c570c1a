"""Finds calls and messages that never reached us, because the static fallback answered while we were away.

They are found in the carrier's lists, account by account, and recorded under the ids that they would have had, so that
recording one twice changes nothing. Calls that are still going on are left for the next time. A list may be as long as
the account is busy: it is read page by page, and no more is kept than the calls that had not been seen.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar

from cachetools import FIFOCache

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier, CarrierCall, CarrierRecording
from router.callers import name_caller
from router.calls.ending import Closer
from router.calls.events import CallEvents, state_of
from router.calls.recorder import Recorder
from router.calls.state import CallState, call_id_of
from router.calls.steps import Step
from router.calls.sweep import REQUEST_SECONDS, OpenAccount, legs_of
from router.clock import Clock
from router.jobs import JobRunner
from router.routing.route import Route
from router.store.calls.sweeps import (
    AccountSweep,
    OurNumber,
    claim_sweeps,
    enrol_accounts,
    find_known_calls,
    find_numbers_on,
    find_unfiled,
    finish_sweep,
    insert_found_call,
    list_agencies_on,
    postpone_sweep,
)
from router.store.pool import Database
from router.telemetry import emit

FIND_UNSEEN: Final = "calls.find_unseen"

_EVERY: Final = timedelta(minutes=15)
_LEASE: Final = timedelta(minutes=10)
_OVERLAP: Final = timedelta(minutes=15)
_SETTLED: Final = timedelta(minutes=2)  # by then our webhooks have reported it, if they ever will
_UNFINISHED: Final = timedelta(hours=1)  # a recording that is incomplete by then is given up
_LONGEST_WAIT: Final = timedelta(days=1)  # for a call that does not end: then it is given up
_AFTER_REFUSAL: Final = timedelta(hours=1)
_AFTER_FAILURE: Final = timedelta(minutes=5)
_LEAST_AFTER_429: Final = 60.0
_ACCOUNTS_A_TICK: Final = 10
_ACCOUNT_SECONDS: Final = 120.0
_FLUSH_SECONDS: Final = 5.0
_AT_ONCE: Final = 100
_MOST_UNSEEN: Final = 2_000  # of an account in one sweep; the next one follows at once
_MOST_LEGS: Final = 10_000
# An owner who does not press 1 is hung up on well before that; a longer leg has talked to the caller.
_TALKED_SECONDS: Final = 45

_Record = TypeVar("_Record", CarrierCall, CarrierRecording)

KeepMessage: TypeAlias = Callable[[CallState, str, int | None, datetime], Awaitable[None]]
"""Files a message: the call, the recording's SID, its seconds if known, when it was left."""


@dataclass(slots=True)
class _Window:
    """The span of an account's lists that a sweep looks through, and what it holds back for the next one.

    `hold`: the earliest unfinished call or message, where the next sweep begins. `unfinished`: calls whose message is.
    """

    account: Account
    since: datetime
    settled: datetime
    now: datetime
    hold: datetime | None = None
    unfinished: set[str] = field(default_factory=set)

    def is_over(self, call: CarrierCall) -> bool:
        ended_at = call.ended_at or call.started_at
        return not call.is_live and ended_at is not None and ended_at <= self.settled

    def hold_back(self, moment: datetime) -> None:
        self.hold = moment if self.hold is None else min(self.hold, moment)

    def next_from(self) -> datetime:
        return max(min(self.settled, self.hold or self.settled), self.now - _LONGEST_WAIT)


@dataclass(slots=True)
class _Found:
    """Calls that had not been seen, by their SIDs, each with its longest answered leg in seconds.

    Lists may name a leg before its call: legs of calls that have not come yet are kept for them.
    """

    calls: dict[str, tuple[CallState, CarrierCall]] = field(default_factory=dict)
    longest_legs: dict[str, int] = field(default_factory=dict)
    _other_legs: FIFOCache[str, int] = field(default_factory=lambda: FIFOCache(_MOST_LEGS))

    def add(self, state: CallState, call: CarrierCall) -> None:
        self.calls[call.sid] = state, call
        self.longest_legs[call.sid] = self._other_legs.pop(call.sid, 0)

    def add_legs(self, page: Iterable[CarrierCall]) -> None:
        for sid, seconds in legs_of(page).items():
            legs = self.longest_legs if sid in self.calls else self._other_legs
            legs[sid] = max(legs.get(sid, 0), seconds)


@dataclass(frozen=True, slots=True)
class UnseenCalls:
    """Finds and files them. Several processes may do so at once: each account is leased."""

    database: Database
    carrier: Carrier
    open_account: OpenAccount
    closer: Closer
    keep_message: KeepMessage
    events: CallEvents
    recorder: Recorder
    clock: Clock

    def register(self, runner: JobRunner) -> None:
        runner.repeat(FIND_UNSEEN, "* * * * *", self.find)

    async def find(self) -> None:
        """Sweep the accounts that are due. Raises DATABASE_ERRORS.

        Does nothing while records wait in the spool, because a call that seems unseen may be among them.
        """
        if self.recorder.spooling:
            return
        now, pool = self.clock(), self.database.settings
        await enrol_accounts(pool, now)
        due = await claim_sweeps(pool, now, now + _LEASE, _ACCOUNTS_A_TICK)
        outcomes = await asyncio.gather(*(self._sweep(sweep, now) for sweep in due), return_exceptions=True)
        for failure in filter(None, outcomes):
            raise failure

    async def _sweep(self, sweep: AccountSweep, now: datetime) -> None:
        try:
            async with asyncio.timeout(_ACCOUNT_SECONDS):
                await self._look_through(sweep, now)
        except TimeoutError:
            await self._postpone(sweep, "timeout", now + _AFTER_FAILURE)
        except ProviderError as error:
            await self._postpone(sweep, error.kind.value, now + _pause_after(error))

    async def _postpone(self, sweep: AccountSweep, reason: str, until: datetime) -> None:
        emit("sweep.failed", account_sid=sweep.account_sid, reason=reason)
        await postpone_sweep(self.database.settings, sweep.account_sid, until)

    async def _look_through(self, sweep: AccountSweep, now: datetime) -> None:
        pool, account_sid = self.database.settings, sweep.account_sid
        account = await self._open(account_sid)
        if account is None:
            await self._postpone(sweep, "no_key", now + _AFTER_REFUSAL)
            return
        window = _Window(account, sweep.swept_until - _OVERLAP, now - _SETTLED, now)
        filed = await self._file_messages(window)
        found, has_more = await self._receive_unseen(window)
        if found.calls:
            filed += await self._file_messages(window, of=found.calls.keys())
        for sid, (state, call) in found.calls.items():
            outcome = conclude(call, has_message=sid in filed, longest_leg=found.longest_legs[sid])
            self.closer.end(state, outcome, call.seconds, at=call.ended_at)
        if not await self.recorder.flush(_FLUSH_SECONDS):
            await self._postpone(sweep, "not_durable", now + _AFTER_FAILURE)
            return
        if has_more:
            await postpone_sweep(pool, account_sid, now)
        else:
            await finish_sweep(pool, account_sid, window.next_from(), now + _EVERY)
        if found.calls or filed:
            emit("calls.swept", account_sid=account_sid, found=len(found.calls), messages=filed.total())

    async def _open(self, account_sid: str) -> Account | None:
        """Open the account: the platform's, or with the key of any agency that has numbers on it."""
        for agency_id in ("", *await list_agencies_on(self.database.settings, account_sid)):
            if account := await self.open_account(agency_id, account_sid):
                return account
        return None

    async def _receive_unseen(self, window: _Window) -> tuple[_Found, bool]:
        """Record the calls that are over; the window holds the others back. True: there are more than one sweep takes."""
        found = _Found()
        calls = self.carrier.list_calls(window.account, None, window.since, REQUEST_SECONDS)
        async for page in _in_pages(calls):
            await self._receive_page(window, page, found)
            if len(found.calls) >= _MOST_UNSEEN:
                return found, True
        return found, False

    async def _receive_page(self, window: _Window, page: Sequence[CarrierCall], found: _Found) -> None:
        account_sid, pool = window.account.sid, self.database.settings
        found.add_legs(page)
        from_outside = [
            call for call in page if call.inbound and call.parent_sid is None and call.started_at is not None
        ]
        known = await find_known_calls(pool, account_sid, [call.sid for call in from_outside])
        unknown = [call for call in from_outside if call.sid not in known]
        numbers = await find_numbers_on(pool, account_sid, {call.to for call in unknown})
        for call in unknown:
            number, started_at = numbers.get(call.to), call.started_at
            if number is None or started_at is None or started_at < number.created_at.replace(microsecond=0):
                continue  # of another number, or from before it was ours: the carrier tells whole seconds
            if not window.is_over(call) or call.sid in window.unfinished:
                window.hold_back(started_at)
            elif state := await self._receive(account_sid, call, number, started_at, window.now):
                found.add(state, call)

    async def _receive(
        self, account_sid: str, call: CarrierCall, number: OurNumber, started_at: datetime, now: datetime
    ) -> CallState | None:
        state = CallState(
            call_id=call_id_of(account_sid, call.sid),
            account_sid=account_sid,
            call_sid=call.sid,
            from_number=name_caller(call.caller),
            caller=None,
            route=Route(number.agency_id, number.client_id, "", account_sid, number.e164),
            rungs=(),
            started_at=started_at.timestamp(),
        )
        is_new = await insert_found_call(self.database.settings, state.record, now)
        if not is_new:
            return None
        self.events.note(
            state, "call.received", reason="found_by_sweep", at=started_at, caller=state.from_number, to=number.e164
        )
        return state

    async def _file_messages(self, window: _Window, of: Collection[str] | None = None) -> Counter[str]:
        """File the messages of recorded calls, or only `of` these. Returns how many each call got, by its SID."""
        filed: Counter[str] = Counter()
        recordings = self.carrier.list_recordings(window.account, None, window.since, REQUEST_SECONDS)
        async for page in _in_pages(recordings):
            messages = [each for each in page if each.is_message and (of is None or each.call_sid in of)]
            for each in messages:
                if not each.complete and each.made_at is not None and each.made_at > window.now - _UNFINISHED:
                    window.hold_back(each.made_at)
                    window.unfinished.add(each.call_sid)
            filed += await self._file_page(window, messages)
        return filed

    async def _file_page(self, window: _Window, messages: Sequence[CarrierRecording]) -> Counter[str]:
        complete = {
            each.sid: each
            for each in messages
            if each.complete and each.seconds != 0 and (each.made_at is None or each.made_at <= window.settled)
        }
        asked = [(each.sid, each.call_sid) for each in complete.values()]
        filed: Counter[str] = Counter()
        for recording_sid, call in await find_unfiled(self.database.settings, window.account.sid, asked):
            recording = complete[recording_sid]
            await self.keep_message(
                state_of(call, Step("voicemail")),
                recording_sid,
                recording.seconds,
                recording.made_at or self.clock(),
            )
            filed[call.call_sid] += 1
        return filed


async def _in_pages(records: AsyncIterator[_Record]) -> AsyncIterator[list[_Record]]:
    """As many at a time as one statement is asked about. A whole list may be longer than what memory is for."""
    page: list[_Record] = []
    async for record in records:
        page.append(record)
        if len(page) >= _AT_ONCE:
            yield page
            page = []
    if page:
        yield page


def conclude(call: CarrierCall, *, has_message: bool, longest_leg: int) -> str:
    """The outcome of a call that never reached us. `longest_leg`: the seconds of its longest answered leg.

    A call is "busy" only if the fallback rejected it because the owner's phone had forwarded it back.
    """
    if has_message:
        return "voicemail"
    if call.status == "busy":
        return "rejected"
    return "owner" if longest_leg >= _TALKED_SECONDS else "abandoned"


def _pause_after(error: ProviderError) -> timedelta:
    if error.kind is ErrorKind.RATE_LIMITED:
        return timedelta(seconds=max(error.retry_after or 0.0, _LEAST_AFTER_429))
    return _AFTER_REFUSAL if error.kind is ErrorKind.KEY_REJECTED else _AFTER_FAILURE
