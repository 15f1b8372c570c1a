"""Routes of numbers seen lately, and what their accounts sign with: enough to place a call without a database.

Bounded, and sealed keys only. On the disk it is router.calls.route_file, from which a service that starts while the
database is away answers what the last run remembered.
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
from router.store.keys.account_tokens import SealedToken, find_account_tokens
from router.store.pool import Database
from router.telemetry import emit

MOST_ACCOUNTS: Final = 10_000
_AT_ONCE: Final = 500  # routes that are asked for in one statement


class RouteMemory:
    """What one process remembers. Of two answers the one counts that was asked for later, not the one that came later:
    every `asked` is the `now()` of before the question.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._routes: FIFOCache[Number, KnownRoute] = FIFOCache(MOST_ROUTES)
        self._accounts: FIFOCache[str, KnownAccount] = FIFOCache(MOST_ACCOUNTS)
        self._gone: FIFOCache[Number, float] = FIFOCache(
            MOST_ROUTES
        )  # what the database said is not there; of an account: ""
        self._changed = False

    def __len__(self) -> int:
        return len(self._routes)

    def now(self) -> float:
        return self._clock()

    def keep_route(self, route: Route, asked: float) -> None:
        route = route.without_lines()
        number = (route.account_sid, route.number)
        known = self._routes.get(number)
        if self._is_overtaken(number, known, asked):
            return
        if known is None or known.route != route:
            self._changed = True
        self._routes[number] = KnownRoute(asked, route)

    def forget_route(self, account_sid: str, number: str, asked: float) -> None:
        """The database says that the number is not there any more."""
        known = self._routes.get((account_sid, number))
        if not self._is_overtaken((account_sid, number), known, asked):
            self._routes.pop((account_sid, number), None)
            self._forget((account_sid, number), asked)

    def find_route(self, account_sid: str, number: str) -> Route | None:
        known = self._routes.get((account_sid, number))
        return known.route if known else None

    def numbers_of(self, agency_id: str | None) -> list[Number]:
        """The numbers that are remembered of an agency; of all agencies for None."""
        return [number for number, known in self._routes.items() if agency_id in (None, known.route.agency_id)]

    def keep_tokens(self, account_sid: str, tokens: tuple[SealedToken, ...], asked: float) -> None:
        """An empty tuple forgets the account."""
        known = self._accounts.get(account_sid)
        if self._is_overtaken((account_sid, ""), known, asked):
            return
        if not tokens:
            self._accounts.pop(account_sid, None)
            self._forget((account_sid, ""), asked)
            return
        if known is None or known.tokens != tokens:
            self._changed = True
        self._accounts[account_sid] = KnownAccount(asked, tokens)

    def find_tokens(self, account_sid: str) -> tuple[SealedToken, ...] | None:
        known = self._accounts.get(account_sid)
        return known.tokens if known else None

    def accounts_of(self, agency_id: str | None) -> list[str]:
        """The accounts whose tokens are remembered; of all agencies for None."""
        return [
            account_sid
            for account_sid, known in self._accounts.items()
            if agency_id is None or any(token.agency_id == agency_id for token in known.tokens)
        ]

    def changes(self) -> Remembered | None:
        """All that is to be written, if anything has changed since this was asked last."""
        if not self._changed:
            return None
        self._changed = False
        return Remembered(tuple(self._routes.values()), dict(self._accounts), dict(self._gone))

    def change_again(self) -> None:
        """It could not be written."""
        self._changed = True

    def adopt(self, others: Remembered) -> list[Number]:
        """Take over what other processes know better than this one; returns the numbers that are new to it."""
        adopted = []
        for known in others.routes:
            mine = self._routes.get(known.number)
            if self._is_overtaken(known.number, mine, known.at):
                continue
            if mine is None or mine.route != known.route:
                adopted.append(known.number)
            self._routes[known.number] = known
        for account_sid, account in others.accounts.items():
            if not self._is_overtaken((account_sid, ""), self._accounts.get(account_sid), account.at):
                self._accounts[account_sid] = account
        return adopted

    def _forget(self, number: Number, asked: float) -> None:
        self._changed = True
        self._gone[number] = asked

    def _is_overtaken(self, number: Number, known: KnownRoute | KnownAccount | None, asked: float) -> bool:
        return self._gone.get(number, 0.0) > asked or (known is not None and known.at > asked)


@dataclass(frozen=True, slots=True)
class MemoryKeeper:
    """Keeps the memory true while the database answers, and on the disk."""

    memory: RouteMemory
    file: RouteFile
    database: Database
    guard: Guard

    async def load(self) -> None:
        """What the last run remembered."""
        self.memory.adopt(await asyncio.to_thread(self.file.read))

    async def refresh(self, agency_id: str | None) -> None:
        """The agency's settings changed (None: who knows whose): what is remembered of it is read again.

        Raises DatabaseAwayError.
        """
        await self._read_again(self.memory.numbers_of(agency_id))
        for account_sid in self.memory.accounts_of(agency_id):
            asked = self.memory.now()
            question = partial(find_account_tokens, self.database.settings, account_sid, datetime.now(UTC))
            self.memory.keep_tokens(account_sid, await self.guard.ask(question), asked)

    async def exchange(self) -> None:
        """Save, and remember what other processes on this machine have seen meanwhile. Raises DatabaseAwayError: then
        it remembers what they wrote.
        """
        await self._read_again(await self.save())

    async def save(self) -> list[Number]:
        """Write what has changed, and learn what others wrote; returns the numbers that are new."""
        changes = self.memory.changes()
        try:
            others = await asyncio.to_thread(self.file.exchange, changes)
        except OSError as error:
            self.memory.change_again()
            emit("settings.warning", setting="CALLROUTER_DATA_DIR", message=f"cannot be written: {error.strerror}")
            return []
        return self.memory.adopt(others)

    async def _read_again(self, numbers: list[Number]) -> None:
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            asked = self.memory.now()
            routes = await self.guard.ask(partial(find_routes, self.database.settings, some))
            for route in routes:
                self.memory.keep_route(route, asked)
            for account_sid, number in set(some) - {(route.account_sid, route.number) for route in routes}:
                self.memory.forget_route(account_sid, number, asked)
