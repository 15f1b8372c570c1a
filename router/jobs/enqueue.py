"""Putting work into the queue, within the transaction that makes it necessary.

A payload holds ids only: it stands in the database as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries

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
    [job_id] = await Queries(AsyncpgDriver(connection)).enqueue(
        name, json.dumps(payload).encode(), priority, after, once, on_conflict="skip"
    )
    return job_id is not None


async def enqueue_many(connection: Connection, name: str, payloads: Sequence[Payload], *, priority: int = 0) -> None:
    """Many jobs of one kind in one statement."""
    if not payloads:
        return
    bodies: list[bytes | None] = [json.dumps(payload).encode() for payload in payloads]
    await Queries(AsyncpgDriver(connection)).enqueue([name] * len(bodies), bodies, [priority] * len(bodies))
