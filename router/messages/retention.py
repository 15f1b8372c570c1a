"""Deletes messages and calls older than an agency's `retention_days`, with their recordings at the carrier."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Carrier
from router.accounts import REQUEST_SECONDS, Accounts
from router.clock import Clock
from router.store.messages.retention import (
    AgencyRetention,
    OldMessage,
    delete_ended_calls,
    forget_calls,
    forget_deletions,
    list_messages_before,
    list_messages_of_call,
    list_retentions,
    note_forgotten,
)
from router.store.messages.voicemails import delete_voicemail
from router.store.pool import Database
from router.telemetry import emit

_AT_A_TIME: Final = 200
_SILENT: Final = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.UNREACHABLE, ErrorKind.TIMEOUT})


@dataclass(slots=True)
class Deleted:
    """How many messages were deleted, how many not yet, and how many are in accounts that refuse us."""

    gone: int = 0
    left: int = 0
    out_of_reach: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    clock: Clock
    database: Database
    accounts: Accounts
    carrier: Carrier

    async def apply(self) -> None:
        """For every agency with `retention_days`. What the carrier does not delete now is tried again the next day."""
        pool, after = self.database.settings, ""
        await forget_deletions(pool, self.clock())
        while agencies := await list_retentions(pool, after=after, limit=_AT_A_TIME):
            for agency in agencies:
                await self._apply_to(agency)
            after = agencies[-1].id

    async def _apply_to(self, agency: AgencyRetention) -> None:
        before = self.clock() - timedelta(days=agency.retention_days)
        deleted = await self.delete_messages(agency.id, before)
        forgotten = await self._forget_calls(agency, before)
        left = deleted.left + deleted.out_of_reach
        if deleted.gone or left or forgotten:
            emit("retention.applied", agency_id=agency.id, messages=deleted.gone, calls=forgotten, left=left)

    async def _forget_calls(self, agency: AgencyRetention, before: datetime) -> int:
        pool, forgotten, since, count = self.database.settings, 0, agency.calls_since, _AT_A_TIME
        while count == _AT_A_TIME:
            count, since = await forget_calls(
                pool, agency.id, since=since, before=before, now=self.clock(), limit=_AT_A_TIME
            )
            forgotten += count
        if forgotten:
            await note_forgotten(pool, agency.id, before)
        return forgotten

    async def delete_calls(self, agency_id: str, seconds: float) -> bool:
        """Calls that are over, of an agency that is being deleted: all of them in one transaction would take minutes.
        False if some are left after `seconds`.
        """
        until = time.monotonic() + seconds
        while await delete_ended_calls(self.database.settings, agency_id, _AT_A_TIME) == _AT_A_TIME:
            if time.monotonic() >= until:
                return False
        return True

    async def delete_messages(self, agency_id: str, before: datetime | None, seconds: float = float("inf")) -> Deleted:
        """Messages older than `before`, or all: the recording first, then the row. Stops after `seconds`."""
        deleted, until = Deleted(), time.monotonic() + seconds
        after: tuple[datetime, str] | None = None
        while messages := await list_messages_before(
            self.database.settings, agency_id, before, after=after, limit=_AT_A_TIME
        ):
            after = (messages[-1].at, messages[-1].id)
            await self._delete(agency_id, messages, deleted, until)
            if time.monotonic() >= until:
                break
        return deleted

    async def delete_messages_of_call(self, agency_id: str, call_id: str) -> Deleted:
        deleted = Deleted()
        messages = await list_messages_of_call(self.database.settings, agency_id, call_id)
        await self._delete(agency_id, messages, deleted, float("inf"))
        return deleted

    async def _delete(self, agency_id: str, messages: Iterable[OldMessage], deleted: Deleted, until: float) -> None:
        """After a refusal its account is not asked again, and after a silence the carrier is not."""
        closed: set[str] = set()
        silent = False
        for message in messages:
            if message.elsewhere:
                await delete_voicemail(self.database.settings, agency_id, message.id, self.clock())
                deleted.gone += 1
                continue
            account = await self.accounts.open(agency_id, message.account_sid)
            if account is None or message.account_sid in closed:
                deleted.out_of_reach += 1
                continue
            if silent or time.monotonic() >= until:
                deleted.left += 1
                continue
            try:
                await self.carrier.delete_recording(account, message.recording_sid, REQUEST_SECONDS)
            except ProviderError as error:
                if error.kind is ErrorKind.KEY_REJECTED:
                    closed.add(message.account_sid)
                    deleted.out_of_reach += 1
                    continue
                silent = error.kind in _SILENT
                deleted.left += 1
                continue
            await delete_voicemail(self.database.settings, agency_id, message.id, self.clock())
            deleted.gone += 1
