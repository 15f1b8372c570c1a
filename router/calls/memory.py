"""Routes of numbers seen lately, and what their accounts sign with: enough to place a call without a database.

Bounded, and sealed keys only. On the disk it is router.calls.route_file, from which a service that starts while the
database is away answers what the last run remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import batched
from typing import Final

from router.calls.route_file import KnownAccount, KnownRoute, Number, Remembered, RouteFile
from router.routing.route import Route
from router.store.calls import SealedToken, find_account_tokens, find_routes
from router.store.guard import DatabaseAwayError, Guard
from router.store.pool import Database
from router.telemetry import emit

MOST_ROUTES: Final = 20_000
MOST_ACCOUNTS: Final = 10_000
_SAVE_SECONDS: Final = 15.0
_AT_ONCE: Final = 500  # routes that are asked for in one statement


class RouteMemory:
    """What one process remembers. Of two answers the one counts that was asked for later, not the one that came later:
    every `asked` is the `now()` of before the question.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._routes: OrderedDict[Number, KnownRoute] = OrderedDict()
        self._accounts: OrderedDict[str, KnownAccount] = OrderedDict()
        self._gone: OrderedDict[Number, float] = OrderedDict()  # what the database said is not there; of an account: ""
        self._changed = False

    def __len__(self) -> int:
        return len(self._routes)

    def now(self) -> float:
        return self._clock()

    def keep_route(self, route: Route, asked: float) -> None:
        number = (route.account_sid, route.number)
        known = self._routes.get(number)
        if self._is_overtaken(number, known, asked):
            return
        if known is None or known.route != route:
            self._changed = True
        self._put(self._routes, number, KnownRoute(asked, route), MOST_ROUTES)

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
        self._put(self._accounts, account_sid, KnownAccount(asked, tokens), MOST_ACCOUNTS)

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
        """Take over what other processes remember and this one does not; returns the numbers."""
        adopted = [known for known in others.routes if known.number not in self._routes and not self._is_gone(known)]
        for known in adopted[-(MOST_ROUTES - len(self._routes)) or len(adopted) :]:
            self._routes[known.number] = known
            self._routes.move_to_end(known.number, last=False)
        for account_sid, account in others.accounts.items():
            if self._gone.get((account_sid, ""), 0) < account.at and len(self._accounts) < MOST_ACCOUNTS:
                self._accounts.setdefault(account_sid, account)
        return [known.number for known in adopted]

    def _is_overtaken(self, number: Number, known: KnownRoute | KnownAccount | None, asked: float) -> bool:
        return self._gone.get(number, 0) > asked or (known is not None and known.at > asked)
