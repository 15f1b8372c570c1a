"""Phone numbers of clients. Their registrations at providers are in router.store.numbers.registrations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

import asyncpg

from router.store.pool import Connection
from router.store.rows import columns, fetch_column, parameters, read, returns_row, values

# Longer than any request may take: a number that is still being set up after that was left behind by a crash.
ABANDONED_AFTER: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Number:
    """A number on a carrier account. `fallback_state` stale: the carrier does not have `fallback_url` yet.

    One that was bought at a voice provider (`account` provider) has its name as carrier and account, and no addresses.
    `state` elsewhere: it belongs to the database that this is a copy of, and is never changed outside.
    `drift`: how the carrier's configuration differs from ours, as far as it could not be corrected.
    """

    account_sid: str
    e164: str
    agency_id: str
    client_id: str
    carrier: str
    account: Literal["platform", "agency", "provider"]
    number_sid: str
    voice_url: str
    fallback_url: str = field(repr=False)
    status_url: str
    state: Literal["pending", "active", "elsewhere"]
    fallback_state: Literal["ok", "stale"]
    created_at: datetime
    bought: bool = False  # by us, for this agency
    drift: str | None = None
    checked_at: datetime | None = None
    registrations: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()  # why it has no registration where it should have one
    on_subaccount: bool = False  # of the platform's, made for this agency

    @property
    def is_native(self) -> bool:
        return self.account == "provider"

    @property
    def is_elsewhere(self) -> bool:
        return self.state == "elsewhere"

    @property
    def carrier_account_sid(self) -> str | None:
        """None: it is on no carrier's account."""
        return None if self.is_native else self.account_sid

    @property
    def whose_account(self) -> Literal["platform", "subaccount", "agency"] | None:
        if self.account == "provider":
            return None
        return "subaccount" if self.on_subaccount else self.account


_COLUMNS: Final = columns(Number, without=("registrations", "problems", "on_subaccount"))
_PARAMETERS: Final = parameters(Number, without=("registrations", "problems", "on_subaccount"))
NUMBER: Final = columns(Number, "n", without=("registrations", "problems", "on_subaccount"))
"""The columns of a number alone, without its registrations."""


async def claim_number(connection: Connection, number: Number) -> bool:
    """Insert it unless the account's number, or the agency's same number elsewhere, is taken.

    One that this agency began to set up and never finished is not taken.
    """
    forget = """DELETE FROM numbers WHERE agency_id = $1 AND e164 = $2 AND state = 'pending' AND created_at < $3"""
    await connection.execute(forget, number.agency_id, number.e164, number.created_at - ABANDONED_AFTER)
    return await returns_row(
        connection,
        f"""
        INSERT INTO numbers ({_COLUMNS})
        VALUES ({_PARAMETERS})
        ON CONFLICT DO NOTHING
        RETURNING e164
        """,
        *values(number, without=("registrations", "problems", "on_subaccount")),
    )


async def activate_number(connection: Connection, agency_id: str, e164: str) -> None:
    """The carrier is configured."""
    await connection.execute(
        """UPDATE numbers SET state = 'active' WHERE agency_id = $1 AND e164 = $2""", agency_id, e164
    )


async def find_number(connection: Connection, agency_id: str, e164: str) -> Number | None:
    rows = await list_numbers(connection, agency_id, e164=e164, limit=1)
    return rows[0] if rows else None


async def list_numbers(
    connection: Connection,
    agency_id: str,
    *,
    e164: str | None = None,
    client_id: str | None = None,
    account_sid: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int | None = None,
) -> list[Number]:
    """Oldest first; those that match what is given."""
    rows = await connection.fetch(
        f"""
        SELECT {NUMBER},
               (SELECT coalesce(jsonb_object_agg(r.provider, jsonb_strip_nulls(
                           jsonb_build_object('remote_id', r.remote_id, 'mode', r.mode,
                                              'waits_for', r.waits_for))), '{{}}')
                  FROM registrations r
                 WHERE r.agency_id = n.agency_id AND r.e164 = n.e164 AND r.remote_id IS NOT NULL) AS registrations,
               ARRAY(SELECT coalesce(r.error, r.waits_for)
                       FROM registrations r
                      WHERE r.agency_id = n.agency_id AND r.e164 = n.e164 AND coalesce(r.error, r.waits_for) IS NOT NULL
                      ORDER BY r.provider) AS problems,
               EXISTS (SELECT FROM keys k
                        WHERE k.agency_id = n.agency_id AND k.kind = 'subaccount'
                          AND k.account_sid = n.account_sid) AS on_subaccount
          FROM numbers n
         WHERE n.agency_id = $1
           AND ($2::text IS NULL OR n.e164 = $2)
           AND ($3::text IS NULL OR n.client_id = $3)
           AND ($4::text IS NULL OR n.account_sid = $4)
           AND (n.created_at, n.e164) > (coalesce($5::timestamptz, '-infinity'), coalesce($6, ''))
         ORDER BY n.created_at, n.e164
         LIMIT $7
        """,
        agency_id,
        e164,
        client_id,
        account_sid,
        *(after or (None, None)),
        limit,
    )
    return [read(Number, row) for row in rows]


async def list_numbers_of_account(connection: Connection, account_sid: str) -> list[str]:
    """The numbers of all agencies on a carrier account, or at a voice provider."""
    return await fetch_column(connection, """SELECT e164 FROM numbers WHERE account_sid = $1""", account_sid)


async def find_fallback_url(connection: Connection, account_sid: str, e164: str) -> str | None:
    """The address that the carrier asks when we do not answer."""
    statement = """SELECT fallback_url FROM numbers WHERE account_sid = $1 AND e164 = $2"""
    url: str | None = await connection.fetchval(statement, account_sid, e164)
    return url or None


async def each_fallback_url(connection: asyncpg.Connection) -> AsyncIterator[tuple[str, str]]:
    """(number, address) of each that has one. Needs a transaction."""
    statement = (
        """SELECT e164, fallback_url FROM numbers WHERE strpos(fallback_url, '?t=') > 0 ORDER BY agency_id, e164"""
    )
    async for row in connection.cursor(statement, prefetch=500):
        yield row["e164"], row["fallback_url"]


async def is_number_of_account(connection: Connection, account_sid: str, e164: str) -> bool:
    """Whether an agency has set it up on that carrier account."""
    statement = """SELECT EXISTS (SELECT FROM numbers WHERE account_sid = $1 AND e164 = $2)"""
    return bool(await connection.fetchval(statement, account_sid, e164))


async def has_number(connection: Connection, agency_id: str, e164: str) -> bool:
    """Whether the agency has this number here: ringing it as an owner's phone could start a loop."""
    statement = """SELECT EXISTS (SELECT FROM numbers WHERE agency_id = $1 AND e164 = $2)"""
    return bool(await connection.fetchval(statement, agency_id, e164))


async def reaches_an_assistant(connection: Connection, agency_id: str, e164: str) -> bool:
    """Whether it is the agency's number here, or the one at a provider to which calls of such a number are handed."""
    statement = """
        SELECT EXISTS (SELECT FROM numbers WHERE agency_id = $1 AND e164 = $2)
            OR EXISTS (SELECT FROM registrations WHERE agency_id = $1 AND remote_id = $2)
    """
    return bool(await connection.fetchval(statement, agency_id, e164))


async def is_answered_here(connection: Connection, agency_id: str, e164: str) -> bool:
    """Whether it is the agency's, and calls to it come here: dialling it would start a loop."""
    statement = """SELECT EXISTS (SELECT FROM numbers WHERE agency_id = $1 AND e164 = $2 AND account <> 'provider')"""
    return bool(await connection.fetchval(statement, agency_id, e164))


async def move_number(connection: Connection, agency_id: str, e164: str, client_id: str) -> None:
    """To another client of the agency."""
    statement = """UPDATE numbers SET client_id = $3 WHERE agency_id = $1 AND e164 = $2"""
    await connection.execute(statement, agency_id, e164, client_id)


async def want_native_numbers(connection: Connection, agency_id: str, provider: str) -> None:
    """Numbers bought at the provider get their settings there again, because our address has changed."""
    statement = """
        UPDATE numbers SET fallback_state = 'stale', look_after = NULL
         WHERE agency_id = $1 AND carrier = $2 AND account = 'provider' AND state <> 'elsewhere'
    """
    await connection.execute(statement, agency_id, provider)


async def want_fallback(connection: Connection, agency_id: str, e164: str, fallback_url: str) -> None:
    """Save the address that the carrier is to be given."""
    statement = """
        UPDATE numbers SET fallback_url = $3, fallback_state = 'stale' WHERE agency_id = $1 AND e164 = $2
    """
    await connection.execute(statement, agency_id, e164, fallback_url)


async def confirm_fallback(connection: Connection, agency_id: str, e164: str, fallback_url: str) -> bool:
    """The carrier has been given this address. False if another one is wanted by now."""
    statement = """
        UPDATE numbers
           SET fallback_state = 'ok'
         WHERE agency_id = $1 AND e164 = $2 AND fallback_url = $3
        RETURNING e164
    """
    return await returns_row(connection, statement, agency_id, e164, fallback_url)


async def delete_numbers(connection: Connection, agency_id: str, e164s: Sequence[str]) -> None:
    await connection.execute("""DELETE FROM numbers WHERE agency_id = $1 AND e164 = ANY ($2)""", agency_id, e164s)
