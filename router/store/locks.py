"""Locks on things that stand in no row yet: held by one transaction, free when that ends, however it ends."""

from __future__ import annotations

from router.store.pool import Connection


async def try_lock(connection: Connection, name: str) -> bool:
    """Whether the lock is ours now. Waits for nobody, so that no connection is held by those who wait."""
    locked: bool = await connection.fetchval("""SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))""", name)
    return locked
