"""Registrations of carriers' numbers at providers, entered by the agency or made by us.

One of ours that is dropped stays in `former_registrations` until it is deleted at the provider, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from router.store.numbers.former_registrations import FORMER
from router.store.pool import Connection
from router.store.rows import columns, fetch_row, fetch_rows, returns_row, sql

_LEASE: Final = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class GivenRegistration:
    """The number at a provider that stands for ours, as the agency entered it. `mode`: how calls reach it, where there are
    several ways. `waits_for`: what an address is awaited from, in a sentence for people; None where none is needed.
    """

    remote_id: str
    mode: str | None
    waits_for: str | None = None
    waits_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredRegistration:
    """`assistant_id` and `fallback` are the settings of a registration of ours, made with `key_version`.

    `sealed_address`: what the provider's import wrote on the number, where calls can be redirected; `waits_for`: a
    sentence for people, while it is needed and not known yet. `chosen_mode`: the one that the agency asked for.
    `interrupted`: the last work on it has not been finished, so something of ours may be there.
    """

    agency_id: str
    e164: str
    provider: str
    remote_id: str | None
    mode: str | None
    ours: bool
    sealed_parts: str | None = field(default=None, repr=False)
    assistant_id: str | None = None
    fallback: str | None = None
    key_version: int | None = None
    error: str | None = None
    sealed_address: str | None = field(default=None, repr=False)
    waits_for: str | None = None
    chosen_mode: str | None = None
    interrupted: bool = field(default=False, metadata=sql("t.leased_until IS NOT NULL"))


_REGISTRATIONS: Final = f"""SELECT {columns(StoredRegistration, "r")} FROM registrations r"""


async def save_registration(
    connection: Connection, agency_id: str, e164: str, provider: str, given: GivenRegistration
) -> GivenRegistration:
    """One entered by the agency: we never change or delete it, unlike the one of ours that it replaces. If it is the one
    that we made, only its mode changes. An address that is known is kept for the number itself, and not waited for.
    """
    await _keep_former(connection, agency_id, e164, provider, but=given.remote_id)
    statement = """
        INSERT INTO registrations AS r (agency_id, e164, provider, remote_id, mode, chosen_mode, waits_for, waits_until)
        VALUES ($1, $2, $3, $4, $5, $5, $6, $7)
        ON CONFLICT (agency_id, e164, provider) DO UPDATE
           SET remote_id = $4, mode = $5, chosen_mode = $5, state = 'registered', error = NULL,
               sealed_address = CASE WHEN r.e164 = $4 THEN r.sealed_address END,
               waits_for = CASE WHEN r.sealed_address IS NULL THEN $6 END,
               waits_until = CASE WHEN r.sealed_address IS NULL THEN $7::timestamptz END,
               ours = r.ours AND r.remote_id IS NOT DISTINCT FROM $4,
               sealed_parts = CASE WHEN r.remote_id = $4 THEN r.sealed_parts END,
               assistant_id = CASE WHEN r.remote_id = $4 THEN r.assistant_id END,
               fallback = CASE WHEN r.remote_id = $4 THEN r.fallback END,
               key_version = CASE WHEN r.remote_id = $4 THEN r.key_version END,
               leased_until = CASE WHEN r.remote_id = $4 THEN r.leased_until END
        RETURNING waits_for
    """
    arguments = (given.remote_id, given.mode, given.waits_for, given.waits_until)
    waits_for = await connection.fetchval(statement, agency_id, e164, provider, *arguments)
    return replace(given, waits_for=waits_for)


async def save_address(
    connection: Connection, agency_id: str, e164: str, provider: str, sealed: str
) -> Literal["ours", "by hand"] | None:
    """The address to which calls can be redirected, and whose registration uses it. Without one (None) it is kept for
    the registration to come: what the carrier has is overwritten.
    """
    statement = """
        INSERT INTO registrations AS r (agency_id, e164, provider, state, ours, sealed_address)
        SELECT agency_id, e164, $3, 'pending', true, $4
          FROM numbers
         WHERE agency_id = $1 AND e164 = $2
        ON CONFLICT (agency_id, e164, provider) DO UPDATE
           SET sealed_address = EXCLUDED.sealed_address, waits_for = NULL, waits_until = NULL
         WHERE r.remote_id IS NULL OR r.remote_id = r.e164
        RETURNING CASE WHEN NOT r.ours THEN 'by hand'
                       WHEN r.remote_id IS NOT NULL OR r.leased_until IS NOT NULL THEN 'ours' END
    """
    whose: Literal["ours", "by hand"] | None = await connection.fetchval(statement, agency_id, e164, provider, sealed)
    return whose


async def forget_address(connection: Connection, agency_id: str, e164: str, provider: str) -> None:
    """It no longer works."""
    statement = (
        """UPDATE registrations SET sealed_address = NULL WHERE agency_id = $1 AND e164 = $2 AND provider = $3"""
    )
    await connection.execute(statement, agency_id, e164, provider)


async def find_registration(
    connection: Connection, agency_id: str, e164: str, provider: str
) -> StoredRegistration | None:
    statement = f"""{_REGISTRATIONS} WHERE agency_id = $1 AND e164 = $2 AND provider = $3"""
    return await fetch_row(connection, StoredRegistration, statement, agency_id, e164, provider)


async def list_registrations(
    connection: Connection, agency_id: str, client_id: str, provider: str
) -> list[StoredRegistration]:
    """Those of a client's numbers that exist at one provider."""
    statement = f"""
        {_REGISTRATIONS}
          JOIN numbers n ON n.agency_id = r.agency_id AND n.e164 = r.e164
         WHERE r.agency_id = $1 AND n.client_id = $2 AND r.provider = $3 AND r.remote_id IS NOT NULL
           AND n.state <> 'elsewhere'
         ORDER BY r.e164
    """
    return await fetch_rows(connection, StoredRegistration, statement, agency_id, client_id, provider)


async def lease_registration(connection: Connection, agency_id: str, e164: str, provider: str, now: datetime) -> bool:
    """Lease it, or its place. False: another worker has it, the agency entered it, or the number is gone."""
    statement = """
        INSERT INTO registrations (agency_id, e164, provider, state, ours, leased_until)
        SELECT agency_id, e164, $3, 'pending', true, $5
          FROM numbers
         WHERE agency_id = $1 AND e164 = $2
        ON CONFLICT (agency_id, e164, provider) DO UPDATE
           SET leased_until = EXCLUDED.leased_until
         WHERE registrations.ours AND (registrations.leased_until IS NULL OR registrations.leased_until <= $4)
        RETURNING e164
    """
    return await returns_row(connection, statement, agency_id, e164, provider, now, now + _LEASE)


async def keep_registration(
    connection: Connection, registration: StoredRegistration, waits_until: datetime | None = None
) -> bool:
    """Save what was made at the provider. False: the number was deleted meanwhile, or the agency entered another one."""
    return await returns_row(
        connection,
        """
        UPDATE registrations
           SET remote_id = $4, mode = $5, sealed_parts = $6, assistant_id = $7, fallback = $8, key_version = $9,
               ours = $10, state = 'registered', error = NULL, leased_until = NULL,
               waits_for = CASE WHEN sealed_address IS NULL THEN $11 END,
               waits_until = CASE WHEN sealed_address IS NULL THEN $12::timestamptz END
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND ours
        RETURNING e164
        """,
        registration.agency_id,
        registration.e164,
        registration.provider,
        registration.remote_id,
        registration.mode,
        registration.sealed_parts,
        registration.assistant_id,
        registration.fallback,
        registration.key_version,
        registration.ours,
        registration.waits_for,
        waits_until,
    )


async def fail_registration(
    connection: Connection,
    agency_id: str,
    e164: str,
    provider: str,
    error: str,
    *,
    key_version: int,
    unclear_since: datetime | None,
) -> None:
    """`error` is a sentence for people. A registration that exists goes on taking calls. `unclear_since`: what was done
    at the provider is unknown, so the next worker finds out.
    """
    statement = """
        UPDATE registrations
           SET state = CASE WHEN remote_id IS NULL THEN 'failed' ELSE state END,
               key_version = CASE WHEN remote_id IS NULL THEN $6 ELSE key_version END, error = $4, leased_until = $5
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND ours
    """
    await connection.execute(statement, agency_id, e164, provider, error, unclear_since, key_version)


async def find_connection(
    connection: Connection, agency_id: str, account_sid: str, provider: str
) -> tuple[str, str] | None:
    """Another number of the same account at the provider: its E.164 and the sealed parts of its registration."""
    statement = """
        SELECT r.e164, r.sealed_parts
          FROM registrations r
          JOIN numbers n ON n.agency_id = r.agency_id AND n.e164 = r.e164
         WHERE r.agency_id = $1 AND n.account_sid = $2 AND r.provider = $3 AND r.ours AND r.sealed_parts IS NOT NULL
         ORDER BY r.e164
         LIMIT 1
    """
    row = await connection.fetchrow(statement, agency_id, account_sid, provider)
    return (row["e164"], row["sealed_parts"]) if row else None


async def drop_registrations(
    connection: Connection, agency_id: str, *, e164: str | None = None, provider: str | None = None
) -> None:
    """Drop our registrations of a number, or at a provider: they are to be deleted there. The address of an import that
    was not ours stays: the number's next registration needs it.
    """
    await _keep_former(connection, agency_id, e164, provider)
    ours = """agency_id = $1 AND ($2::text IS NULL OR e164 = $2) AND ($3::text IS NULL OR provider = $3) AND ours"""
    for statement in (
        f"""DELETE FROM registrations WHERE {ours} AND (remote_id IS NOT NULL OR sealed_address IS NULL)""",
        f"""
        UPDATE registrations SET state = 'pending', error = NULL, key_version = NULL, leased_until = NULL WHERE {ours}
        """,
    ):
        await connection.execute(statement, agency_id, e164, provider)


async def outdate_registrations(
    connection: Connection, agency_id: str, account_sid: str, provider: str, error: str
) -> None:
    """What opened this account for the provider is revoked: once there is a token for it, they are made again."""
    statement = """
        UPDATE registrations r SET key_version = NULL, error = $4
          FROM numbers n
         WHERE n.agency_id = r.agency_id AND n.e164 = r.e164
           AND r.agency_id = $1 AND n.account_sid = $2 AND r.provider = $3 AND r.ours
    """
    await connection.execute(statement, agency_id, account_sid, provider, error)


async def list_unregistered(
    connection: Connection, providers: Sequence[str], now: datetime, limit: int = 50
) -> list[tuple[str, str, str]]:
    """Numbers that need a registration, as (agency id, E.164, provider): their client has a linked assistant there, and
    they have none, or one that was made with another key, or for another assistant or owner's phone; or the client has
    any assistant there, and theirs is outdated. Refused ones are left out until there is another key, and those of an
    account without a token until there is one.
    """
    statement = """
        SELECT n.agency_id, n.e164, s.provider
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
          JOIN numbers n ON n.client_id = s.client_id AND n.carrier = 'twilio' AND n.state = 'active'
          JOIN keys k ON k.agency_id = n.agency_id AND k.kind = s.provider AND k.retired_at IS NULL
          LEFT JOIN registrations r ON r.agency_id = n.agency_id AND r.e164 = n.e164 AND r.provider = s.provider
         WHERE s.usable AND s.provider = ANY ($1)
           AND (s.state = 'linked' OR r.ours AND r.remote_id IS NOT NULL AND r.key_version IS NULL)
           AND (n.account = 'platform'
                OR EXISTS (SELECT FROM keys a WHERE a.agency_id = n.agency_id AND a.account_sid = n.account_sid))
           AND (r.e164 IS NULL
                OR r.ours AND r.leased_until <= $2
                OR r.ours AND r.leased_until IS NULL
                   AND (r.key_version IS DISTINCT FROM k.version
                        OR r.error IS NULL
                           AND (r.assistant_id, r.fallback) IS DISTINCT FROM (s.remote_id, c.personal_phone)))
         ORDER BY n.created_at
         LIMIT $3
    """
    return [tuple(row) for row in await connection.fetch(statement, providers, now, limit)]


async def list_connected(connection: Connection, agency_id: str, provider: str) -> list[StoredRegistration]:
    """Registrations of ours that may need a connected account there."""
    statement = f"""{_REGISTRATIONS} WHERE r.agency_id = $1 AND r.provider = $2 AND r.sealed_parts IS NOT NULL"""
    return await fetch_rows(connection, StoredRegistration, statement, agency_id, provider)


async def _keep_former(
    connection: Connection, agency_id: str, e164: str | None, provider: str | None, but: str | None = None
) -> None:
    statement = f"""
        INSERT INTO former_registrations ({FORMER}, look_after)
        SELECT {FORMER}, '-infinity'
          FROM registrations
         WHERE agency_id = $1 AND ($2::text IS NULL OR e164 = $2) AND ($3::text IS NULL OR provider = $3)
           AND ours AND remote_id IS NOT NULL AND ($4::text IS NULL OR remote_id <> $4)
        ON CONFLICT DO NOTHING
    """
    await connection.execute(statement, agency_id, e164, provider, but)
