"""Remembers routes of numbers seen lately, and the tokens of their accounts: enough to place a call without a database.

The memory is bounded and holds sealed keys only. It is kept on disk (router.calls.route_file), so that a service that
starts while the database is away can answer calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from cachetools import FIFOCache

from router.calls.route_file import MOST_ROUTES, KnownAccount, KnownRoute, Number, Remembered, RouteFile
from router.routing.route import Route
from router.store.calls.calls import find_routes
from router.store.guard import Guard
from router.store.keys.proofs import SealedToken, find_account_tokens
from router.store.pool import Database
from router.telemetry import emit

MOST_ACCOUNTS: Final = 10_000
_AT_ONCE: Final = 50  # routes read by one statement: reading more would keep live calls waiting


class RouteMemory:
    """What one process remembers. Of two answers, the one that was asked for later counts, even if it arrived first:
    `asked` is always `now()` from before the question.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._routes: FIFOCache[Number, KnownRoute] = FIFOCache(MOST_ROUTES)
        self._accounts: FIFOCache[str, KnownAccount] = FIFOCache(MOST_ACCOUNTS)
        # Numbers that the database no longer has, and accounts, whose number here is "".
        self._gone: FIFOCache[Number, float] = FIFOCache(MOST_ROUTES)
        self._changed = False

    def __len__(self) -> int:
        return len(self._routes)

    def now(self) -> float:
        return self._clock()

    def keep_route(self, route: Route, asked: float) -> None:
        if self._put_route(KnownRoute(asked, route.without_lines())):
            self._changed = True

    def forget_route(self, account_sid: str, number: str, asked: float) -> None:
        """The database no longer has the number."""
        known = self._routes.get((account_sid, number))
        if not self._is_overtaken((account_sid, number), known, asked):
            self._routes.pop((account_sid, number), None)
            self._forget((account_sid, number), asked)

    def find_route(self, account_sid: str, number: str) -> Route | None:
        known = self._routes.get((account_sid, number))
        return known.route if known else None

    def numbers_of(self, agency_id: str | None) -> list[Number]:
        """The remembered numbers of an agency; None: of all agencies."""
        return [number for number, known in self._routes.items() if agency_id in (None, known.route.agency_id)]

    def keep_tokens(self, account_sid: str, tokens: tuple[SealedToken, ...], asked: float) -> None:
        """An empty tuple forgets the account."""
        if tokens:
            if self._put_account(account_sid, KnownAccount(asked, tokens)):
                self._changed = True
        elif not self._is_overtaken((account_sid, ""), self._accounts.get(account_sid), asked):
            self._accounts.pop(account_sid, None)
            self._forget((account_sid, ""), asked)

    def find_tokens(self, account_sid: str) -> tuple[SealedToken, ...] | None:
        known = self._accounts.get(account_sid)
        return known.tokens if known else None

    def accounts_of(self, agency_id: str | None) -> list[str]:
        """The accounts with a remembered token of the agency; None: of any agency."""
        return [
            account_sid
            for account_sid, known in self._accounts.items()
            if agency_id is None or any(token.agency_id == agency_id for token in known.tokens)
        ]

    def changes(self) -> Remembered | None:
        """What to write to disk; None if nothing has changed since the last call."""
        if not self._changed:
            return None
        self._changed = False
        return Remembered(tuple(self._routes.values()), dict(self._accounts), dict(self._gone))

    def change_again(self) -> None:
        """What `changes` returned could not be written."""
        self._changed = True

    def adopt(self, others: Remembered) -> list[Number]:
        """Take over what other processes asked for later. Returns the numbers whose routes are new to this one."""
        for account_sid, account in others.accounts.items():
            self._put_account(account_sid, account)
        return [known.number for known in others.routes if self._put_route(known)]

    def _put_route(self, known: KnownRoute) -> bool:
        """Whether it is news. Does nothing if what is remembered was asked for later."""
        mine = self._routes.get(known.number)
        if self._is_overtaken(known.number, mine, known.at):
            return False
        self._routes[known.number] = known
        return mine is None or mine.route != known.route

    def _put_account(self, account_sid: str, known: KnownAccount) -> bool:
        mine = self._accounts.get(account_sid)
        if self._is_overtaken((account_sid, ""), mine, known.at):
            return False
        self._accounts[account_sid] = known
        return mine is None or mine.tokens != known.tokens

    def _forget(self, number: Number, asked: float) -> None:
        self._changed = True
        self._gone[number] = asked

    def _is_overtaken(self, number: Number, known: KnownRoute | KnownAccount | None, asked: float) -> bool:
        return self._gone.get(number, 0.0) > asked or (known is not None and known.at > asked)


@dataclass(frozen=True, slots=True)
class MemoryKeeper:
    """Keeps the memory up to date while the database answers, and saves it to disk."""

    memory: RouteMemory
    file: RouteFile
    database: Database
    guard: Guard

    async def load(self) -> None:
        """Read what the last run remembered."""
        await self._adopt(await asyncio.to_thread(self.file.read))

    async def refresh(self, agency_id: str | None) -> None:
        """The agency's settings changed (None: any agency's). Read again what is remembered of it.

        Raises DatabaseAwayError.
        """
        await self._read_again(self.memory.numbers_of(agency_id))
        for account_sid in self.memory.accounts_of(agency_id):
            asked = self.memory.now()
            question = partial(find_account_tokens, self.database.webhooks, account_sid, datetime.now(UTC))
            self.memory.keep_tokens(account_sid, await self.guard.ask(question), asked)

    async def exchange(self) -> None:
        """Save, and remember what other processes on this machine have seen meanwhile. Raises DatabaseAwayError: then
        it remembers what they wrote.
        """
        await self._read_again(await self.save())

    async def save(self) -> list[Number]:
        """Write what has changed, and adopt what others wrote. Returns the numbers that are new."""
        changes = self.memory.changes()
        try:
            others = await asyncio.to_thread(self.file.exchange, changes)
        except OSError as error:
            self.memory.change_again()
            emit("settings.warning", setting="CALLROUTER_DATA_DIR", message=f"cannot be written: {error.strerror}")
            return []
        return await self._adopt(others)

    async def _adopt(self, others: Remembered) -> list[Number]:
        news = []
        for stretch in others.stretches():
            news += self.memory.adopt(stretch)
            await asyncio.sleep(0)
        return news

    async def _read_again(self, numbers: list[Number]) -> None:
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            asked = self.memory.now()
            routes = await self.guard.ask(partial(find_routes, self.database.webhooks, some))
            for route in routes:
                self.memory.keep_route(route, asked)
            for account_sid, number in set(some) - {(route.account_sid, route.number) for route in routes}:
                self.memory.forget_route(account_sid, number, asked)
