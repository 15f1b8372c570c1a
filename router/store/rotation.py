"""Sealing everything again under the active platform key, value by value, while the service runs.

A value is written only if it is still what was read, so one saved meanwhile wins; an interrupted run is simply
run again. Answers of steps are not sealed again: they are good for a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from crypto import Keyring, OpenError
from router.store.pool import Connection
from router.store.sealed import (
    Context,
    carrier_key_context,
    endpoint_secret_context,
    key_context,
    registration_context,
    reply_context,
    webhook_secret_context,
    webhook_token_context,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A column of sealed values. `find` gives each row's identity and `value`; `update` takes the identity, the new
    value and the old one, in this order. `context` is what a row's value is bound to.
    """

    column: tuple[str, str]
    find: str
    update: str
    context: Callable[[Any], Context]


PLACES: Final = (
    Place(
        ("keys", "sealed"),
        """
        SELECT agency_id, kind, version, sealed AS value
          FROM keys
         ORDER BY agency_id, kind, version
        """,
        """
        UPDATE keys
           SET sealed = $4
         WHERE agency_id = $1 AND kind = $2 AND version = $3 AND sealed = $5
        """,
        lambda row: key_context(row["agency_id"], row["kind"], row["version"]),
    ),
    Place(
        ("keys", "webhook_sealed"),
        """
        SELECT agency_id, kind, version, webhook_sealed AS value
          FROM keys
         ORDER BY agency_id, kind, version
        """,
        """
        UPDATE keys
           SET webhook_sealed = $4
         WHERE agency_id = $1 AND kind = $2 AND version = $3 AND webhook_sealed = $5
        """,
        lambda row: webhook_secret_context(row["agency_id"], row["kind"], row["version"]),
    ),
    Place(
        ("keys", "webhook_token_sealed"),
        """
        SELECT agency_id, kind, version, webhook_token_sealed AS value
          FROM keys
         ORDER BY agency_id, kind, version
        """,
        """
        UPDATE keys
           SET webhook_token_sealed = $4
         WHERE agency_id = $1 AND kind = $2 AND version = $3 AND webhook_token_sealed = $5
        """,
        lambda row: webhook_token_context(row["agency_id"], row["kind"]),
    ),
    Place(
        ("carrier_keys", "sealed"),
        """
        SELECT agency_id, account_sid, provider, sealed AS value
          FROM carrier_keys
         ORDER BY agency_id, account_sid, provider
        """,
        """
        UPDATE carrier_keys
           SET sealed = $4
         WHERE agency_id = $1 AND account_sid = $2 AND provider = $3 AND sealed = $5
        """,
        lambda row: carrier_key_context(row["agency_id"], row["account_sid"], row["provider"]),
    ),
    Place(
        ("registrations", "sealed_parts"),
        """
        SELECT agency_id, e164, provider, sealed_parts AS value
          FROM registrations
         ORDER BY agency_id, e164, provider
        """,
        """
        UPDATE registrations
           SET sealed_parts = $4
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND sealed_parts = $5
        """,
        lambda row: registration_context(row["agency_id"], row["e164"], row["provider"]),
    ),
    Place(
        ("former_registrations", "sealed_parts"),
        """
        SELECT agency_id, e164, provider, remote_id, sealed_parts AS value
          FROM former_registrations
         ORDER BY agency_id, e164, provider, remote_id
        """,
        """
        UPDATE former_registrations
           SET sealed_parts = $5
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND remote_id = $4 AND sealed_parts = $6
        """,
        lambda row: registration_context(row["agency_id"], row["e164"], row["provider"]),
    ),
    Place(
        ("endpoints", "sealed"),
        """
        SELECT agency_id, id, sealed AS value
          FROM endpoints
         ORDER BY agency_id, id
        """,
        """
        UPDATE endpoints
           SET sealed = $3
         WHERE agency_id = $1 AND id = $2 AND sealed = $4
        """,
        lambda row: endpoint_secret_context(row["agency_id"], row["id"]),
    ),
    Place(
        ("idempotency_keys", "reply"),
        """
        SELECT scope, key, reply AS value
          FROM idempotency_keys
         ORDER BY scope, key
        """,
        """
        UPDATE idempotency_keys
           SET reply = $3
         WHERE scope = $1 AND key = $2 AND reply = $4
        """,
        lambda row: reply_context(row["scope"], row["key"]),
    ),
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """How far it is: sealed values in all, those under the active key, and those that no key of the ring opens."""

    total: int
    done: int
    unreadable: int


async def rotate_all(connection: Connection, keyring: Keyring, show: Callable[[Rotation], None]) -> Rotation:
    """Seal every stored value under the active key. Values that do not open are left as they are, and counted."""
    found = [(place, row) for place in PLACES for row in await connection.fetch(place.find) if row["value"] is not None]
    done = unreadable = 0
    for place, row in found:
        resealed = _reseal(keyring, row["value"], place.context(row))
        done += resealed is not None
        unreadable += resealed is None
        if resealed is not None and resealed != row["value"]:
            *identity, value = row.values()
            await connection.execute(place.update, *identity, resealed, value)
        show(Rotation(len(found), done, unreadable))
    return Rotation(len(found), done, unreadable)


def _reseal(keyring: Keyring, sealed: str, context: Context) -> str | None:
    """None: no key of the ring opens it."""
    try:
        content = keyring.open_bytes(sealed, *context)
    except OpenError:
        return None
    return sealed if keyring.is_active(sealed) else keyring.seal(content, *context)
