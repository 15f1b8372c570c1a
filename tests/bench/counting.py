"""What goes between a process and its database, added up over its connections."""

from __future__ import annotations

from dataclasses import dataclass, fields

import asyncpg

from tests.support.database_proxy import DatabaseProxy


@dataclass(slots=True)
class Counts:
    """`commits`: transactions that ended, those of a single statement included. `wal`: bytes of write-ahead log."""

    statements: float = 0
    commits: float = 0
    round_trips: float = 0
    wire: float = 0
    wal: float = 0

    def minus(self, before: Counts) -> Counts:
        return Counts(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(self)))

    def per(self, calls: int) -> Counts:
        return Counts(*(getattr(self, one.name) / calls for one in fields(self)))

    def describe(self) -> str:
        return (
            f"{self.statements:5.2f} statements, {self.commits:5.2f} commits, {self.round_trips:5.2f} round trips,"
            f" {self.wire / 1000:5.1f} kB on the wire, {self.wal / 1000:5.1f} kB of write-ahead log"
        )


async def count_so_far(proxy: DatabaseProxy, db: asyncpg.Connection) -> Counts:
    """What went through the proxy, and what the server wrote ahead."""
    return Counts(
        statements=sum(len(talk.statements) for talk in proxy.talks),
        commits=sum(talk.transactions for talk in proxy.talks),
        round_trips=sum(talk.round_trips for talk in proxy.talks),
        wire=sum(talk.wire for talk in proxy.talks),
        wal=int(await db.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")),
    )
