"""A sweep of a busy account: how much memory it takes, and for how long live calls wait for it."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from adapters.carrier import Account, CarrierCall, CarrierRecording
from crypto import Secret
from router.calls.unseen import UnseenCalls
from router.store.pool import Database

CALLS: Final = 50_000
_BUSY: Final = "AC1"
_AT_A_STRETCH: Final = 50  # as the client of the real carrier


class _Carrier:
    """Lists as many calls as a large account has in half a day, none of which is ours. Other accounts have none."""

    async def list_calls(self, account: Account, *_: Any) -> AsyncIterator[CarrierCall]:
        at = datetime.now(UTC) - timedelta(minutes=20)
        for number in range(CALLS if account.sid == _BUSY else 0):
            if number % _AT_A_STRETCH == 0:
                await asyncio.sleep(0)
            yield CarrierCall(f"CX{number:032}", "+1", f"+1600{number}", "completed", True, at, at, 60)

    async def list_recordings(self, account: Account, *_: Any) -> AsyncIterator[CarrierRecording]:
        at = datetime.now(UTC) - timedelta(minutes=20)
        for number in range(CALLS // 10 if account.sid == _BUSY else 0):
            if number % _AT_A_STRETCH == 0:
                await asyncio.sleep(0)
            yield CarrierRecording(f"RX{number:032}", f"CX{number:032}", at, 9, complete=True)


class _Recorder:
    spooling = False

    async def flush(self, _limit: float) -> bool:
        return True


async def sweep(database: Database) -> tuple[float, float]:
    """The most memory that the sweep had at a time, in MB, and the longest that the event loop was held, in ms."""

    async def open_account(_agency_id: str, account_sid: str) -> Account:
        return Account(account_sid, Secret("token"))

    nothing = cast("Any", None)
    unseen = UnseenCalls(
        database=database,
        carrier=cast("Any", _Carrier()),
        open_account=open_account,
        closer=nothing,
        keep_message=nothing,
        events=nothing,
        recorder=cast("Any", _Recorder()),
        clock=lambda: datetime.now(UTC),
    )
    await database.settings.execute(
        """
        INSERT INTO sweeps SELECT 'AC1', now() - interval '1 hour', now()
        ON CONFLICT (account_sid) DO UPDATE SET next_at = excluded.next_at
        """
    )
    await database.settings.execute("UPDATE sweeps SET next_at = 'infinity' WHERE account_sid <> 'AC1'")
    held = asyncio.create_task(_longest_hold())
    await unseen.find()
    held.cancel()
    longest = await held
    await database.settings.execute("UPDATE sweeps SET next_at = '-infinity' WHERE account_sid = 'AC1'")
    tracemalloc.start()
    await unseen.find()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6, longest


async def _longest_hold() -> float:
    """Until it is cancelled. In milliseconds of processor time: how busy the machine is otherwise does not count."""
    longest = 0.0
    try:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, (time.thread_time() - began) * 1000)
    except asyncio.CancelledError:
        return longest
