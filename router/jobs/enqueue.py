"""Putting work into the queue, within the transaction that makes it necessary.

A payload holds ids only: it stands in the database as it is.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

from router.store.pool import Connection

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
    """One job. `once`: not if a job with this text waits or runs already. Whether it was put there."""
    job_id = await connection.fetchval(
        """
        INSERT INTO pgqueuer (entrypoint, payload, execute_after, dedupe_key, priority, status)
        VALUES ($1, $2, now() + $3::interval, $4, $5, 'queued')
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
        RETURNING id
        """,
        name,
        _encode(payload),
        after or timedelta(),
        once,
        priority,
    )
    return job_id is not None


async def enqueue_fresh(connection: Connection, name: str, payload: Payload, *, once: str, priority: int = 0) -> None:
    """See to it that a job of this kind begins after this transaction: it sees what others have looked past.

    One that waits is enough, and waits no longer. One that runs, or whose end is not written down yet, is not: behind
    it stands another.
    """
    for place in itertools.count(1):
        mark = once if place == 1 else f"{once}/{place}"
        if await enqueue(connection, name, payload, once=mark, priority=priority) or await _hurry(connection, mark):
            return


async def _hurry(connection: Connection, once: str) -> bool:
    """Let the job with this text start now if it waits for a later time. Whether it waits at all: then nobody takes it
    before this transaction ends.
    """
    waiting = await connection.fetchval(
        """
        UPDATE pgqueuer
           SET execute_after = least(execute_after, now())
         WHERE dedupe_key = $1 AND status = 'queued'
        RETURNING id
        """,
        once,
    )
    return waiting is not None


async def enqueue_many(connection: Connection, name: str, payloads: Sequence[Payload], *, priority: int = 0) -> None:
    """Many jobs of one kind in one statement."""
    if not payloads:
        return
    await connection.execute(
        """
        INSERT INTO pgqueuer (entrypoint, payload, priority, status)
        SELECT $1, payload, $3, 'queued' FROM unnest($2::bytea[]) WITH ORDINALITY AS given (payload, place)
         ORDER BY place
        """,
        name,
        [_encode(payload) for payload in payloads],
        priority,
    )


def _encode(payload: Payload) -> bytes:
    return json.dumps(payload).encode()
