"""Sealing everything again under the active platform key, row by row, while the service runs.

A row is written only if it is still what was read, so a key saved meanwhile wins; an interrupted run is simply
run again. Answers of steps are not sealed again: they are good for a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from crypto import Keyring, OpenError
from router.store.pool import Connection
from router.store.sealed import Context, key_context, reply_context, webhook_secret_context, webhook_token_context

_COLUMNS: Final = ("sealed", "webhook_sealed", "webhook_token_sealed")

_FIND_KEYS: Final = """
SELECT agency_id, kind, version, sealed, webhook_sealed, webhook_token_sealed
  FROM keys
 ORDER BY agency_id, kind, version
"""

_UPDATE_KEY: Final = """
UPDATE keys
   SET sealed = $4, webhook_sealed = $5, webhook_token_sealed = $6
 WHERE agency_id = $1 AND kind = $2 AND version = $3 AND sealed = $7
"""

_FIND_REPLIES: Final = "SELECT scope, key, reply FROM idempotency_keys WHERE reply IS NOT NULL ORDER BY scope, key"

_UPDATE_REPLY: Final = "UPDATE idempotency_keys SET reply = $3 WHERE scope = $1 AND key = $2 AND reply = $4"


@dataclass(frozen=True, slots=True)
class Rotation:
    """How far it is: sealed values in all, those under the active key, and those that no key of the ring opens."""

    total: int
    done: int
    unreadable: int


async def rotate_all(connection: Connection, keyring: Keyring, show: Callable[[Rotation], None]) -> Rotation:
    """Seal every stored value under the active key. Values that do not open are left as they are, and counted."""
    keys = await connection.fetch(_FIND_KEYS)
    replies = await connection.fetch(_FIND_REPLIES)
    total = sum(row[column] is not None for row in keys for column in _COLUMNS) + len(replies)
    done = unreadable = 0
    for row in keys:
        contexts = {
            "sealed": key_context(row["agency_id"], row["kind"], row["version"]),
            "webhook_sealed": webhook_secret_context(row["agency_id"], row["kind"], row["version"]),
            "webhook_token_sealed": webhook_token_context(row["agency_id"], row["kind"]),
        }
        values = {}
        for column, context in contexts.items():
            values[column], state = _reseal(keyring, row[column], context)
            done += state == "done"
            unreadable += state == "unreadable"
        if any(values[column] != row[column] for column in _COLUMNS):
            key = (row["agency_id"], row["kind"], row["version"])
            await connection.execute(_UPDATE_KEY, *key, *values.values(), row["sealed"])
        show(Rotation(total, done, unreadable))
    for row in replies:
        reply, state = _reseal(keyring, row["reply"], reply_context(row["scope"], row["key"]))
        done += state == "done"
        unreadable += state == "unreadable"
        if reply != row["reply"]:
            await connection.execute(_UPDATE_REPLY, row["scope"], row["key"], reply, row["reply"])
        show(Rotation(total, done, unreadable))
    return Rotation(total, done, unreadable)


def _reseal(keyring: Keyring, sealed: str | None, context: Context) -> tuple[str | None, str]:
    if sealed is None:
        return None, "absent"
    try:
        content = keyring.open_bytes(sealed, *context)
    except OpenError:
        return sealed, "unreadable"
    return (sealed if keyring.is_active(sealed) else keyring.seal(content, *context)), "done"
