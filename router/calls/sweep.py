"""Closes calls whose end never reached us: they are looked up with the carrier after a while. Corrects the counts of calls
at once, which such a call leaves too high.

A status callback is sent once. If it could not be received, the call would stay open forever. Calls that never reached us
at all are router.calls.unseen; calls to a provider's own numbers are reported by that provider alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, CarrierCall, CarrierCalls
from router.calls.ending import Closer
from router.calls.events import state_of
from router.calls.steps import END
from router.clock import Clock
from router.jobs import JobRunner
from router.routing.deadline import Deadline
from router.store.calls.calls import StoredCall
from router.store.calls.sweeps import OverdueCall, claim_overdue_calls, recount_calls_at_once
from router.store.pool import Database
from router.telemetry import emit

OpenAccount: TypeAlias = Callable[[str, str], Awaitable[Account | None]]
"""Opens a carrier account by agency id, which is "" for the platform's own, and account SID. None: no key opens it."""

REQUEST_SECONDS: Final = 8.0
CLOSE_OVERDUE: Final = "calls.close_overdue"
RECOUNT: Final = "calls.recount"

_SILENT: Final = timedelta(
    minutes=5
)  # without a step: most calls are over by then, and a look-up of a long one is cheap
_AGAIN: Final = timedelta(minutes=15)
_UNKNOWN_KEPT: Final = timedelta(days=1)  # for a call that cannot be looked up
_CALLS_A_TICK: Final = 50
_OF_ACCOUNT: Final = 10
_ACCOUNTS_AT_ONCE: Final = 5
_TICK_SECONDS: Final = 45.0
_WRITE_SECONDS: Final = 3.0
_NO_SUCH_CALL: Final = frozenset({ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST})


@dataclass(frozen=True, slots=True)
class OverdueCalls:
    """Closes them. Several processes may do so at once: each call is claimed before it is looked up."""

    database: Database
    carrier: CarrierCalls
    open_account: OpenAccount
    closer: Closer
    clock: Clock

    def register(self, runner: JobRunner) -> None:
        runner.repeat(CLOSE_OVERDUE, "* * * * *", self.close, inside=True)
        runner.repeat(RECOUNT, "* * * * *", self.recount, inside=True)

    async def recount(self) -> None:
        """Raises DATABASE_ERRORS."""
        await recount_calls_at_once(self.database.settings, self.clock())

    async def close(self) -> None:
        """Close some of them. Raises DATABASE_ERRORS."""
        now = self.clock()
        overdue = await claim_overdue_calls(
            self.database.settings,
            now,
            silent_since=now - _SILENT,
            not_since=now - _AGAIN,
            of_account=_OF_ACCOUNT,
            limit=_CALLS_A_TICK,
        )
        gate = asyncio.Semaphore(_ACCOUNTS_AT_ONCE)
        of_account: dict[tuple[str, str], list[OverdueCall]] = {}
        for each in overdue:
            of_account.setdefault((each.call.agency_id, each.call.account_sid), []).append(each)
        counts = await asyncio.gather(*(self._close_those(gate, calls) for calls in of_account.values()))
        if closed := sum(counts):
            emit("calls.swept", closed=closed)

    async def _close_those(self, gate: asyncio.Semaphore, overdue: list[OverdueCall]) -> int:
        """Close calls of one account. Returns how many; the others are tried again later."""
        first = overdue[0].call
        closed = 0
        async with gate:
            try:
                async with asyncio.timeout(_TICK_SECONDS):
                    account = await self.open_account(first.agency_id, first.account_sid)
                    for each in overdue:
                        closed += await self._look(account, each)
            except TimeoutError:
                emit("sweep.failed", account_sid=first.account_sid, reason="timeout")
            except ProviderError as error:  # asking about the others would fail too
                emit("sweep.failed", account_sid=first.account_sid, reason=error.kind.value)
        return closed

    async def _look(self, account: Account | None, overdue: OverdueCall) -> bool:
        call = overdue.call
        found = None if account is None else await self._find(account, call)
        if found is None:
            return await self._give_up(overdue)
        if found.is_live:
            return False
        params = {"CallStatus": found.status, "CallDuration": "" if found.seconds is None else str(found.seconds)}
        await self.closer.close(
            call.account_sid, call.call_sid, params, Deadline(_WRITE_SECONDS), at=found.ended_at or self.clock()
        )
        return True

    async def _find(self, account: Account, call: StoredCall) -> CarrierCall | None:
        """None: the carrier does not know the call, or refuses to say. Raises ProviderError."""
        try:
            return await self.carrier.find_call(account, call.call_sid, REQUEST_SECONDS)
        except ProviderError as error:
            if error.kind not in _NO_SUCH_CALL:
                raise
            return None

    async def _give_up(self, overdue: OverdueCall) -> bool:
        """After a day the call is certainly over. Its outcome follows from who answered it."""
        call = overdue.call
        if call.started_at > self.clock() - _UNKNOWN_KEPT:
            return False
        outcome = call.outcome or (call.answered_by if call.answered_by in ("ai", "owner") else None) or "abandoned"
        self.closer.end(state_of(call, END), outcome, at=overdue.last_step_at or call.started_at)
        return await self.closer.recorder.flush(_WRITE_SECONDS)


def legs_of(calls: Iterable[CarrierCall]) -> dict[str, int]:
    """The seconds of each call's longest answered leg, by the call's SID."""
    longest: dict[str, int] = {}
    for call in calls:
        if call.parent_sid is not None and call.status == "completed":
            longest[call.parent_sid] = max(longest.get(call.parent_sid, 0), call.seconds or 0)
    return longest
