"""Turns: which agency's rows are being worked on at the moment, by kind of work."""

from __future__ import annotations

from datetime import datetime

from router.store.pool import Connection
from router.store.rows import returns_row


async def begin_turn(connection: Connection, kind: str, agency_id: str, now: datetime, until: datetime) -> bool:
    """Whether nobody else works on them. The turn ends by itself at `until`, should its process die."""
    statement = """
        INSERT INTO turns (kind, agency_id, busy_until) VALUES ($1, $2, $4)
        ON CONFLICT (kind, agency_id) DO UPDATE SET busy_until = $4 WHERE turns.busy_until <= $3
        RETURNING kind
    """
    return await returns_row(connection, statement, kind, agency_id, now, until)


async def end_turn(connection: Connection, kind: str, agency_id: str, until: datetime) -> None:
    """The turn that began with this `until`."""
    statement = """DELETE FROM turns WHERE kind = $1 AND agency_id = $2 AND busy_until = $3"""
    await connection.execute(statement, kind, agency_id, until)
