"""Puts work into the queue, within the transaction that makes it necessary.

A payload holds ids only: it is stored as plain text.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeAlias

from router.store.pool import Connection
from router.store.rows import returns_row
from router.telemetry import traces

Payload: TypeAlias = Mapping[str, str | int | None]


async def enqueue(
    connection: Connection,
    name: str,
    payload: Payload,
    *,
    after: timedelta | None = None,
    once: str | None = None,
    priority: int = 0,
) -> bool:
    """One job; with `once`, only if no job with this text waits or runs. Whether it was added."""
    statement = """
        INSERT INTO pgqueuer (entrypoint, payload, execute_after, dedupe_key, priority, status)
        VALUES ($1, $2, now() + $3::interval, $4, $5, 'queued')
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
        RETURNING id
    """
    return await returns_row(connection, statement, name, _encode(payload), after or timedelta(), once, priority)


async def enqueue_fresh(connection: Connection, name: str, payload: Payload, *, once: str, priority: int = 0) -> None:
    """Ensure that a job of this kind begins after this transaction, so that it sees its changes.

    A waiting job is enough, and becomes due now. One that runs, or whose end is not recorded yet, is not: another one is
    added after it.
    """
    for place in itertools.count(1):
        mark = once if place == 1 else f"{once}/{place}"
        if await enqueue(connection, name, payload, once=mark, priority=priority) or await _hurry(connection, mark):
            return


async def _hurry(connection: Connection, once: str) -> bool:
    """Make the waiting job with this text due now. Whether there is one: then it cannot start before this transaction ends."""
    statement = """
        UPDATE pgqueuer
           SET execute_after = least(execute_after, now())
         WHERE dedupe_key = $1 AND status = 'queued'
        RETURNING id
    """
    return await returns_row(connection, statement, once)


def _encode(payload: Payload) -> bytes:
    return json.dumps({**payload, **traces.carried()}).encode()
