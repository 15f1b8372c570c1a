"""Changes by one author: each is one transaction, with its entries in the audit log.

A request that may be repeated brings a `receipt`, which is written in the same transaction as the change. A repeat then
gets the first answer, and nothing is done twice, even if the first request was interrupted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

from router.ids import new_id
from router.store.pool import COMMAND_SECONDS, Connection, Database
from router.store.tenants.audit import AuditEntry, insert_audit_entry

_T = TypeVar("_T")

Receipt: TypeAlias = Callable[[Connection, str | None, Any], Awaitable[None]]
"""Keeps the outcome of an agency's change for a repeat of the request, over the connection of its transaction."""

_NO_OUTCOME: Final = object()


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something. `name` and `address` go into the audit log.

    `claim` identifies a request that may be repeated, even after its Idempotency-Key has expired.
    """

    name: str
    address: str | None = None
    is_operator: bool = False
    claim: str | None = None
    receipt: Receipt | None = field(default=None, repr=False)


OURSELVES: Final = Author("callrouter")
"""For scheduled work."""


class Change:
    """One transaction. Made by `Changes.begin`."""

    def __init__(
        self, connection: Connection, author: Author, agency_id: str | None, clock: Callable[[], datetime]
    ) -> None:
        self.connection = connection
        self._author = author
        self._agency_id = agency_id
        self._clock = clock
        self._outcome: Any = _NO_OUTCOME

    async def record(self, action: str, target: str) -> None:
        """Add an entry to the agency's audit log."""
        author = self._author
        entry = AuditEntry(new_id("audit"), self._clock(), author.name, action, target, author.address, self._agency_id)
        await insert_audit_entry(self.connection, entry)

    def done(self, outcome: _T) -> _T:
        """The work is finished with this outcome, which goes into the receipt."""
        self._outcome = outcome
        return outcome

    async def finish(self) -> None:
        """Write the receipt, if there is one and the work is finished."""
        if self._author.receipt is not None and self._outcome is not _NO_OUTCOME:
            await self._author.receipt(self.connection, self._agency_id, self._outcome)


@dataclass(frozen=True, slots=True)
class Changes:
    """Begins changes."""

    database: Database
    clock: Callable[[], datetime]

    @asynccontextmanager
    async def begin(self, author: Author, agency_id: str | None) -> AsyncIterator[Change]:
        """A transaction that commits when the block ends without an error. Raises the database's errors.

        Without an agency, the entries are the operator's.
        """
        pool = self.database.settings
        async with pool.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            change = Change(connection, author, agency_id, self.clock)
            yield change
            await change.finish()
