"""Checks all keys regularly, and erases former versions that no call needs any more.

Each key has its own time (`keys.check_at`), spread at random. Each kind is checked by its own job, so that a provider
that does not answer delays no other provider's keys.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final

from crypto import OpenError
from router.accounts import CARRIER, SUBACCOUNT
from router.clock import Clock
from router.jobs import JobRunner
from router.keys.checks import KeyChecks, UntoldError
from router.keys.letters import KEY_FAILING
from router.mail import post
from router.store.keys.health import (
    DueKey,
    Finding,
    Noted,
    claim_due_keys,
    lacks_credit,
    note_finding,
    put_off,
)
from router.store.keys.versions import erase_retired_keys
from router.store.keys.webhook_tokens import erase_outlived_tokens
from router.store.pool import Database
from router.telemetry import emit, metrics
from router.wanted import WantedAssistants

AT_ONCE: Final = 8  # keys of one kind that are checked together
_ROUNDS_AT: Final = "* * * * * */15"  # croniter: seconds come last
_LEASE: Final = timedelta(minutes=2)
_EVERY: Final = timedelta(minutes=15)
_ACCOUNTS_EVERY: Final = timedelta(hours=1)
_WITHOUT_CREDIT: Final = timedelta(minutes=3)  # so that the page shows soon that somebody topped up
_UNTOLD: Final = timedelta(minutes=5)  # after a check without a result
_SPREAD: Final = 0.1
_ROUND_SECONDS: Final = 50.0


@dataclass(frozen=True, slots=True)
class KeyRounds:
    database: Database
    checks: KeyChecks
    wanted: WantedAssistants
    clock: Clock

    def register(self, runner: JobRunner) -> None:
        for kind in (*self.checks.providers, CARRIER, SUBACCOUNT):
            runner.repeat(f"keys.check.{kind}", _ROUNDS_AT, partial(self.check_due, kind))
        runner.repeat("keys.erase_retired", "*/5 * * * *", self.erase_retired, inside=True)

    async def erase_retired(self) -> None:
        """Erase versions that were replaced and that no call needs any more. Raises DATABASE_ERRORS."""
        await erase_outlived_tokens(self.database.settings, self.clock())
        for agency_id, kind, version in await erase_retired_keys(self.database.settings, self.clock()):
            emit("key.erased", agency_id=agency_id, kind=kind, key_version=version)

    async def check_due(self, kind: str) -> None:
        """One round. It ends early when no check gives a result: the provider is down, and is asked again later.

        Raises DATABASE_ERRORS.
        """
        ends = time.monotonic() + _ROUND_SECONDS
        while time.monotonic() < ends:
            now = self.clock()
            keys = await claim_due_keys(self.database.settings, kind, now, now + _LEASE, AT_ONCE)
            told = await asyncio.gather(*(self.check(key) for key in keys))
            if not any(told):
                return

    async def check(self, key: DueKey) -> bool:
        """Check it, store the result, and tell the agency if it fails. False: there was no result."""
        pool = self.database.settings
        try:
            finding = await self.checks.look_at(key)
        except OpenError:
            await put_off(pool, key, self.clock() + _spread(period_of(key.kind)))
            return True
        except UntoldError as untold:
            metrics.key_checked(key.kind, "untold")
            wait = _UNTOLD if untold.seconds is None else timedelta(seconds=min(untold.seconds, 3600.0))
            await put_off(pool, key, self.clock() + _spread(wait))
            return False
        if finding.status == "valid" and finding.balance is None and await lacks_credit(pool, key):
            # Some providers answer a check whatever the account owes, and refuse only calls.
            finding = replace(finding, status="out_of_credit", problem="it refused the last call for lack of credit")
        metrics.key_checked(key.kind, finding.status)
        noted = await self._note(key, finding)
        _tell(key, finding, noted)
        return True

    async def _note(self, key: DueKey, finding: Finding) -> Noted:
        now = self.clock()
        async with self.database.settings.acquire() as connection, connection.transaction():
            wait = _WITHOUT_CREDIT if finding.status == "out_of_credit" else period_of(key.kind)
            noted = await note_finding(connection, key, finding, now, now + _spread(wait))
            if noted.alert and key.kind != SUBACCOUNT:  # a subaccount belongs to the platform
                ids: dict[str, str | int] = {"agency_id": key.agency_id, "kind": key.kind, "version": key.version}
                await post(connection, KEY_FAILING, ids, once=f"{key.agency_id}/{key.kind}/{key.version}")
            if noted.change == "recovered":
                await self.wanted.want_after_recovery(connection, key.agency_id, key.kind)
        return noted


def period_of(kind: str) -> timedelta:
    """How often keys of this kind are checked."""
    return _ACCOUNTS_EVERY if kind in (CARRIER, SUBACCOUNT) else _EVERY


def _tell(key: DueKey, finding: Finding, noted: Noted) -> None:
    if noted.change == "failed":
        reason = "key_rejected" if finding.status == "failing" else finding.status
        emit("key.failing", agency_id=key.agency_id, kind=key.kind, reason=reason, key_version=key.version)
    elif noted.change == "recovered":
        emit("key.recovered", agency_id=key.agency_id, kind=key.kind, key_version=key.version)


def _spread(wait: timedelta) -> timedelta:
    """Keys that were checked together are not due together again."""
    return wait * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311  chance, not secrecy
