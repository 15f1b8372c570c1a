"""Finds calls and messages that never reached us, because the static fallback answered while we were away.

They are found in the carrier's lists, account by account, and recorded under the ids that they would have had, so that
recording one twice changes nothing. Calls that are still going on are left for the next time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

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
    find_unfiled,
    finish_sweep,
    insert_found_call,
    list_numbers_on,
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
# An owner who does not press 1 is hung up on well before that; a longer leg has talked to the caller.
_TALKED_SECONDS: Final = 45


KeepMessage: TypeAlias = Callable[[CallState, str, int | None, datetime], Awaitable[None]]
"""Files a message: the call, the recording's SID, its seconds if known, when it was left."""


@dataclass(slots=True)
class _Window:
    """An account's calls and recordings since the last sweep. `hold`: unfinished ones, where the next sweep begins."""

    calls: Sequence[CarrierCall]
    recordings: Sequence[CarrierRecording]
    settled: datetime
    hold: list[datetime] = field(default_factory=list)

    def is_over(self, call: CarrierCall) -> bool:
        ended_at = call.ended_at or call.started_at
        return not call.is_live and ended_at is not None and ended_at <= self.settled

    def next_from(self, now: datetime) -> datetime:
        return max(min([self.settled, *self.hold]), now - _LONGEST_WAIT)


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
        numbers = {number.e164: number for number in await list_numbers_on(pool, account_sid)}
        account = await self._open(account_sid, numbers.values())
        if account is None:
            await self._postpone(sweep, "no_key", now + _AFTER_REFUSAL)
            return
        window = await self._read(account, sweep.swept_until - _OVERLAP, now)
        found = await self._receive_unseen(account_sid, window, numbers, now)
        filed = await self._file_messages(account_sid, window)
        legs = legs_of(window.calls)
        for state, call in found:
            outcome = conclude(call, has_message=call.sid in filed, longest_leg=legs.get(call.sid, 0))
            await self.closer.end(state, outcome, call.seconds, at=call.ended_at)
        if not await self.recorder.flush(_FLUSH_SECONDS):
            await self._postpone(sweep, "not_durable", now + _AFTER_FAILURE)
            return
        await finish_sweep(pool, account_sid, window.next_from(now), now + _EVERY)
        if found or filed:
            emit("calls.swept", account_sid=account_sid, found=len(found), messages=len(filed))

    async def _open(self, account_sid: str, numbers: Iterable[OurNumber]) -> Account | None:
        """Open the account with the key of any agency that has numbers on it."""
        for agency_id in sorted({number.agency_id for number in numbers}):
            if account := await self.open_account(agency_id, account_sid):
                return account
        return None

    async def _read(self, account: Account, since: datetime, now: datetime) -> _Window:
        recordings = [each async for each in self.carrier.list_recordings(account, None, since, REQUEST_SECONDS)]
        calls = [each async for each in self.carrier.list_calls(account, None, since, REQUEST_SECONDS)]
        window = _Window(calls, [each for each in recordings if each.is_message], now - _SETTLED)
        window.hold += [
            each.made_at
            for each in window.recordings
            if each.made_at and not each.complete and each.made_at > now - _UNFINISHED
        ]
        return window

    async def _receive_unseen(
        self, account_sid: str, window: _Window, numbers: Mapping[str, OurNumber], now: datetime
    ) -> list[tuple[CallState, CarrierCall]]:
        """Record the calls that are over, oldest first. The window holds the others."""
        ours = [call for call in window.calls if _is_ours(call, numbers)]
        known = await find_known_calls(self.database.settings, account_sid, [call.sid for call in ours])
        unfinished = {each.call_sid for each in window.recordings if each.made_at in window.hold and not each.complete}
        found = []
        for call in sorted(ours, key=lambda each: each.started_at or now):
            if call.sid in known or call.started_at is None:
                continue
            if not window.is_over(call) or call.sid in unfinished:
                window.hold.append(call.started_at)
            elif state := await self._receive(account_sid, call, numbers[call.to], call.started_at, now):
                found.append((state, call))
        return found

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

    async def _file_messages(self, account_sid: str, window: _Window) -> frozenset[str]:
        """File the messages of recorded calls. Returns the SIDs of the calls that got one."""
        complete = {
            each.sid: each
            for each in window.recordings
            if each.complete and each.seconds != 0 and (each.made_at is None or each.made_at <= window.settled)
        }
        asked = [(each.sid, each.call_sid) for each in complete.values()]
        filed = set()
        for recording_sid, call in await find_unfiled(self.database.settings, account_sid, asked):
            recording = complete[recording_sid]
            await self.keep_message(
                state_of(call, Step("voicemail")),
                recording_sid,
                recording.seconds,
                recording.made_at or self.clock(),
            )
            filed.add(call.call_sid)
        return frozenset(filed)


def conclude(call: CarrierCall, *, has_message: bool, longest_leg: int) -> str:
    """The outcome of a call that never reached us. `longest_leg`: the seconds of its longest answered leg.

    A call is "busy" only if the fallback rejected it because the owner's phone had forwarded it back.
    """
    if has_message:
        return "voicemail"
    if call.status == "busy":
        return "rejected"
    return "owner" if longest_leg >= _TALKED_SECONDS else "abandoned"


def _is_ours(call: CarrierCall, numbers: Mapping[str, OurNumber]) -> bool:
    """A call from outside to a number that was ours when it came in."""
    number = numbers.get(call.to)
    if number is None or not call.inbound or call.parent_sid is not None or call.started_at is None:
        return False
    return call.started_at >= number.created_at.replace(microsecond=0)  # the carrier tells whole seconds


def _pause_after(error: ProviderError) -> timedelta:
    if error.kind is ErrorKind.RATE_LIMITED:
        return timedelta(seconds=max(error.retry_after or 0.0, _LEAST_AFTER_429))
    return _AFTER_REFUSAL if error.kind is ErrorKind.KEY_REJECTED else _AFTER_FAILURE
