"""Registrations of ours that no number needs any more, until they are deleted at their providers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_rows, parameters, values

_LEASE: Final = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class FormerRegistration:
    """A registration that is to be deleted at the provider."""

    agency_id: str
    e164: str
    provider: str
    remote_id: str
    mode: str | None
    sealed_parts: str | None = field(default=None, repr=False)


FORMER: Final = columns(FormerRegistration)
_DUE: Final = columns(FormerRegistration, "f")
_PARAMETERS: Final = parameters(FormerRegistration)
_KEPT_WITHOUT_KEY: Final = timedelta(days=30)


async def keep_stray(connection: Connection, stray: FormerRegistration) -> None:
    """A registration that is not needed after all: it is to be deleted, too."""
    await connection.execute(
        f"""
        INSERT INTO former_registrations ({FORMER}, look_after)
        SELECT {_PARAMETERS}, '-infinity' WHERE EXISTS (SELECT FROM agencies WHERE id = $1)
        ON CONFLICT DO NOTHING
        """,
        *values(stray),
    )


async def lease_former_registrations(
    connection: Connection,
    now: datetime,
    *,
    agency_id: str | None = None,
    e164: str | None = None,
    provider: str | None = None,
    limit: int = 20,
) -> list[FormerRegistration]:
    """Those that are due and match what is given; leased for a while."""
    statement = f"""
        UPDATE former_registrations f
           SET look_after = $2
          FROM (SELECT agency_id, e164, provider, remote_id
                  FROM former_registrations
                 WHERE look_after <= $1 AND ($3::text IS NULL OR agency_id = $3)
                   AND ($4::text IS NULL OR e164 = $4) AND ($5::text IS NULL OR provider = $5)
                 ORDER BY look_after
                 LIMIT $6
                   FOR UPDATE SKIP LOCKED) due
         WHERE (f.agency_id, f.e164, f.provider, f.remote_id) = (due.agency_id, due.e164, due.provider, due.remote_id)
        RETURNING {_DUE}
    """
    arguments = (now, now + _LEASE, agency_id, e164, provider, limit)
    return await fetch_rows(connection, FormerRegistration, statement, *arguments)


async def has_former_registration(connection: Connection, agency_id: str, e164: str, provider: str) -> bool:
    """Whether one is still to be deleted there, leased or not."""
    statement = """
        SELECT EXISTS (SELECT FROM former_registrations WHERE agency_id = $1 AND e164 = $2 AND provider = $3)
    """
    return bool(await connection.fetchval(statement, agency_id, e164, provider))


async def forget_former_registration(connection: Connection, former: FormerRegistration) -> None:
    """It is deleted there."""
    statement = """
        DELETE FROM former_registrations WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND remote_id = $4
    """
    await connection.execute(statement, former.agency_id, former.e164, former.provider, former.remote_id)


async def list_others(connection: Connection, former: FormerRegistration) -> list[FormerRegistration]:
    """The agency's other ones at the same provider."""
    statement = f"""
        SELECT {FORMER} FROM former_registrations
         WHERE agency_id = $1 AND provider = $2 AND (e164, remote_id) <> ($3, $4)
    """
    return await fetch_rows(
        connection, FormerRegistration, statement, former.agency_id, former.provider, former.e164, former.remote_id
    )


async def await_key(connection: Connection, former: FormerRegistration, now: datetime, until: datetime) -> None:
    """The agency has no key to delete it with: it waits for one, for a month at the most."""
    statement = """
        WITH old AS (
            DELETE FROM former_registrations
             WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND remote_id = $4 AND dropped_at <= $5
        )
        UPDATE former_registrations SET look_after = $6
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND remote_id = $4 AND dropped_at > $5
    """
    arguments = (former.agency_id, former.e164, former.provider, former.remote_id, now - _KEPT_WITHOUT_KEY, until)
    await connection.execute(statement, *arguments)


async def postpone_former_registration(connection: Connection, former: FormerRegistration, until: datetime) -> None:
    statement = """
        UPDATE former_registrations
           SET look_after = $5
         WHERE agency_id = $1 AND e164 = $2 AND provider = $3 AND remote_id = $4
    """
    await connection.execute(statement, former.agency_id, former.e164, former.provider, former.remote_id, until)
