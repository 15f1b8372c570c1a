"""Sealing every stored value again under the active platform key, one by one, while the service runs.

A value is only replaced if it is still the one that was read, so a key saved meanwhile stays. After an interruption, run
it again. Answers of steps are left out: they are used for one minute only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from crypto import Keyring, OpenError
from router.store.pool import Connection
from router.store.sealed import (
    Context,
    alert_address_context,
    carrier_key_context,
    endpoint_secret_context,
    former_endpoint_secret_context,
    key_context,
    leftover_carrier_key_context,
    registration_address_context,
    registration_context,
    reply_context,
    webhook_secret_context,
    webhook_token_context,
)

_AT_A_TIME: Final = 500


@dataclass(frozen=True, slots=True)
class Place:
    """A column of sealed values. `find` gives each row's identity and its value; `update` takes the identity, the new
    value and the old one, in this order. `context` makes the context of a value from the row's identity.
    """

    column: tuple[str, str]
    find: str
    update: str
    context: Callable[..., Context]


PLACES: Final = (
    Place(
        ("keys", "sealed"),
        """SELECT agency_id, kind, version, sealed FROM keys ORDER BY agency_id, kind, version""",
        """UPDATE keys SET sealed = $4 WHERE agency_id = $1 AND kind = $2 AND version = $3 AND sealed = $5""",
        key_context,
    ),
    Place(
        ("keys", "webhook_sealed"),
        """SELECT agency_id, kind, version, webhook_sealed FROM keys ORDER BY agency_id, kind, version""",
        """
        UPDATE keys SET webhook_sealed = $4
         WHERE agency_id = $1 AND kind = $2 AND version = $3 AND webhook_sealed = $5
        """,
        webhook_secret_context,
    ),
    Place(
        ("keys", "webhook_token_sealed"),
        """SELECT agency_id, kind, version, webhook_token_sealed FROM keys ORDER BY agency_id, kind, version""",
        """
        UPDATE keys SET webhook_token_sealed = $4
         WHERE agency_id = $1 AND kind = $2 AND version = $3 AND webhook_token_sealed = $5
        """,
        lambda agency_id, kind, _version: webhook_token_context(agency_id, kind),
    ),
    Place(
        ("former_webhook_tokens", "sealed"),
        """SELECT agency_id, kind, until, sealed FROM former_webhook_tokens ORDER BY agency_id, kind, until""",
        """
        UPDATE former_webhook_tokens SET sealed = $4
         WHERE agency_id = $1 AND kind = $2 AND until = $3 AND sealed = $5
        """,
        lambda agency_id, kind, _until: webhook_token_context(agency_id, kind),
    ),
    Place(
        ("carrier_keys", "sealed"),
        """SELECT agency_id, account_sid, provider, sealed FROM carrier_keys ORDER BY agency_id, account_sid, provider""",
        """
        UPDATE carrier_keys SET sealed = $4
         WHERE agency_id = $1 AND account_sid = $2 AND provider = $3 AND sealed = $5
        """,
        carrier_key_context,
    ),
    Place(
        ("leftover_carrier_keys", "sealed"),
        """SELECT account_sid, key_sid, sealed FROM leftover_carrier_keys ORDER BY account_sid, key_sid""",
        """UPDATE leftover_carrier_keys SET sealed = $3 WHERE account_sid = $1 AND key_sid = $2 AND sealed = $4""",
        leftover_carrier_key_context,
    ),
    Place(
        ("registrations", "sealed_parts"),
        """SELECT agency_id, e164, provider, sealed_parts FROM registrations ORDER BY agency_id, e164, provider""",
        """
        UPDATE registrations SET sealed_parts = $4
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND sealed_parts = $5
        """,
        registration_context,
    ),
    Place(
        ("registrations", "sealed_address"),
        """SELECT agency_id, e164, provider, sealed_address FROM registrations ORDER BY agency_id, e164, provider""",
        """
        UPDATE registrations SET sealed_address = $4
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND sealed_address = $5
        """,
        registration_address_context,
    ),
    Place(
        ("former_registrations", "sealed_parts"),
        """
        SELECT agency_id, e164, provider, remote_id, sealed_parts
          FROM former_registrations
         ORDER BY agency_id, e164, provider, remote_id
        """,
        """
        UPDATE former_registrations SET sealed_parts = $5
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND remote_id = $4 AND sealed_parts = $6
        """,
        lambda agency_id, e164, provider, _remote_id: registration_context(agency_id, e164, provider),
    ),
    Place(
        ("endpoints", "sealed"),
        """SELECT agency_id, id, sealed FROM endpoints ORDER BY agency_id, id""",
        """UPDATE endpoints SET sealed = $3 WHERE agency_id = $1 AND id = $2 AND sealed = $4""",
        endpoint_secret_context,
    ),
    Place(
        ("endpoints", "former_sealed"),
        """SELECT agency_id, id, former_sealed FROM endpoints ORDER BY agency_id, id""",
        """UPDATE endpoints SET former_sealed = $3 WHERE agency_id = $1 AND id = $2 AND former_sealed = $4""",
        former_endpoint_secret_context,
    ),
    Place(
        ("alert_settings", "webhook_sealed"),
        """SELECT agency_id, webhook_sealed FROM alert_settings ORDER BY agency_id""",
        """UPDATE alert_settings SET webhook_sealed = $2 WHERE agency_id = $1 AND webhook_sealed = $3""",
        alert_address_context,
    ),
    Place(
        ("idempotency_keys", "reply"),
        """SELECT scope, key, reply FROM idempotency_keys ORDER BY scope, key""",
        """UPDATE idempotency_keys SET reply = $3 WHERE scope = $1 AND key = $2 AND reply = $4""",
        reply_context,
    ),
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Progress: sealed values in all, those under the active key, and those that no key of the ring opens."""

    total: int
    done: int
    unreadable: int


async def find_sealed(connection: Connection) -> list[tuple[Place, list[Any], str]]:
    """Every stored value with its place and the identity of its row."""
    rows = [(place, [*row]) for place in PLACES for row in await connection.fetch(place.find)]
    return [(place, identity, value) for place, (*identity, value) in rows if value is not None]


async def each_sealed(connection: asyncpg.Connection) -> AsyncIterator[tuple[Place, list[Any], str]]:
    """The same, a few hundred at a time. Needs a transaction."""
    for place in PLACES:
        async for *identity, value in connection.cursor(place.find, prefetch=_AT_A_TIME):
            if value is not None:
                yield place, identity, value


async def rotate_all(connection: Connection, keyring: Keyring, show: Callable[[Rotation], None]) -> Rotation:
    """Seal every stored value under the active key. Values that do not open are left as they are, and counted."""
    found = await find_sealed(connection)
    done = unreadable = 0
    for place, identity, value in found:
        resealed = _reseal(keyring, value, place.context(*identity))
        if resealed is None:
            unreadable += 1
        else:
            done += 1
            if resealed != value:
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
