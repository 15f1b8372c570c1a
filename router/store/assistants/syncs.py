"""Keeping clients' assistants at providers up to date: which rows have work to do, who is doing it, and the result.

A row that is `pending` has work to do; a job only wakes a worker. A linked assistant is changed only as far as the agency
lets us manage it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from adapters.portable import Copy
from router.store.assistants.places import ASKED, FINGERPRINT, LOOK, Place
from router.store.pool import Connection
from router.store.rows import columns, read, returns_row, sql
from router.store.tenants.clients import Client

LEASE: Final = timedelta(seconds=120)
"""Longer than the work on one row may take."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A row leased to a worker until `until`, and the client as it was when the work began."""

    client: Client
    provider: str
    linked: bool = field(metadata=sql("t.state = 'linked'"))
    wanted: bool = field(metadata=sql("t.state = 'pending'"))  # to be put there; else to be looked at
    refused: bool = field(metadata=sql("coalesce(t.look_after = '-infinity', false)"))  # a call, since the last look
    remote_id: str | None
    parts: Mapping[str, str]
    version: str | None
    key_version: int | None
    usable: bool
    manage: tuple[Literal["webhook", "transfer"], ...]
    tried: int
    fingerprint: str
    until: datetime

    @property
    def copy(self) -> Copy | None:
        """What is known to be there."""
        if self.remote_id is None and not self.parts:
            return None
        return Copy(self.remote_id, self.parts, self.version)


_CLAIM: Final = f"""
{columns(Client, "c")}, {columns(Claim, "s", without=("client", "provider", "fingerprint", "until"))}
"""

Outcome: TypeAlias = Literal["synced", "failed"]
Which: TypeAlias = Literal["all", "faulty", "outdated"]
"""Copies to write again: all; those that are outdated, failed or waiting; or only the outdated ones."""


async def want_copies(
    connection: Connection,
    place: Place,
    now: datetime,
    *,
    client_id: str | None = None,
    which: Which = "faulty",
    new: bool = True,
) -> None:
    """Queue the copies of all clients, or of one; without `new`, only those that have a row there already. Links are
    looked at.
    """
    await connection.execute(
        f"""
        UPDATE assistants s
           SET state = 'pending', tried = 0, retry_at = NULL, error = NULL, updated_at = $5
          FROM clients c, {ASKED}
         WHERE c.agency_id = asked.agency_id AND s.client_id = c.id AND s.provider = asked.provider
           AND s.state <> 'linked' AND c.assistant IS NOT NULL AND ($6::text IS NULL OR c.id = $6)
           AND CASE $7 WHEN 'all' THEN true
                       WHEN 'faulty' THEN s.state <> 'synced' OR s.error IS NOT NULL OR s.synced_hash IS DISTINCT FROM {FINGERPRINT}
                       ELSE s.state = 'synced' AND s.synced_hash IS DISTINCT FROM {FINGERPRINT} END
        """,
        *place.values,
        now,
        client_id,
        which,
    )
    await connection.execute(
        """
        UPDATE assistants s
           SET look_after = $4
          FROM clients c
         WHERE c.id = s.client_id AND c.agency_id = $1 AND s.provider = $2 AND s.state = 'linked'
           AND ($5::text IS NULL OR c.id = $5)
           AND ($6 = 'all' OR $6 = 'faulty' AND s.error IS NOT NULL
                OR s.manage <> '{}' AND s.synced_hash IS DISTINCT FROM $3)
        """,
        place.agency_id,
        place.provider,
        place.form,
        now,
        client_id,
        which,
    )
    if new:
        await connection.execute(
            """
            INSERT INTO assistants (client_id, provider, state, updated_at)
            SELECT c.id, $2, 'pending', $3
              FROM clients c
             WHERE c.agency_id = $1 AND c.assistant IS NOT NULL AND ($4::text IS NULL OR c.id = $4)
             ORDER BY c.created_at, c.id
            ON CONFLICT (client_id, provider) DO NOTHING
            """,
            place.agency_id,
            place.provider,
            now,
            client_id,
        )


async def lock_place(connection: Connection, agency_id: str, provider: str, now: datetime) -> datetime | None:
    """Lock the place for taking work. Returns when the lease of a present worker ends, if any. Needs a transaction."""
    # One worker for each provider of an agency: requests do not add up, and a pause holds for all of them.
    await connection.execute(
        """SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0))""", agency_id, provider
    )
    statement = """
        SELECT greatest(
               (SELECT max(s.leased_until)
                  FROM assistants s
                  JOIN clients c ON c.id = s.client_id
                 WHERE c.agency_id = $1 AND s.provider = $2 AND s.leased_until > $3),
               (SELECT max(l.leased_until)
                  FROM leftovers l
                 WHERE l.agency_id = $1 AND l.provider = $2 AND l.leased_until > $3))
    """
    busy_until: datetime | None = await connection.fetchval(statement, agency_id, provider, now)
    return busy_until


async def claim_copy(connection: Connection, place: Place, now: datetime) -> Claim | None:
    """A row to work on; those to be put there come first, and of these the clients without a usable assistant. None:
    nothing is due.
    """
    statement = f"""
        UPDATE assistants s
           SET leased_until = $6
          FROM clients c, {ASKED}
         WHERE c.id = s.client_id AND s.provider = asked.provider
           AND s.client_id = (
               SELECT due.client_id
                 FROM assistants due
                 JOIN clients d ON d.id = due.client_id
                WHERE d.agency_id = $1 AND due.provider = $2
                  AND (due.state = 'pending' AND (due.retry_at IS NULL OR due.retry_at <= $5)
                       OR due.state <> 'pending' AND due.look_after <= $5 AND due.remote_id IS NOT NULL)
                ORDER BY due.state <> 'pending', due.usable, d.created_at, d.id
                LIMIT 1
                  FOR UPDATE OF due SKIP LOCKED)
        RETURNING {_CLAIM}, {FINGERPRINT} AS fingerprint
    """
    row = await connection.fetchrow(statement, *place.values, now, now + LEASE)
    if row is None:
        return None
    return read(Claim, row, client=read(Client, row), provider=place.provider, until=now + LEASE)


async def find_retry(connection: Connection, agency_id: str, provider: str) -> datetime | None:
    """When the next retry is due."""
    statement = """
        SELECT least(
               (SELECT min(s.retry_at)
                  FROM assistants s
                  JOIN clients c ON c.id = s.client_id
                 WHERE c.agency_id = $1 AND s.provider = $2),
               (SELECT min(l.retry_at) FROM leftovers l WHERE l.agency_id = $1 AND l.provider = $2))
    """
    at: datetime | None = await connection.fetchval(statement, agency_id, provider)
    return at


async def keep_copy(connection: Connection, claim: Claim, copy: Copy, lost: Sequence[str], key_version: int) -> bool:
    """It is there: calls may go to it. False: the client does not want it any more.

    Also for a worker whose lease ran out: the copy has the client's marker, so it is the client's.
    """
    statement = """
        UPDATE assistants
           SET remote_id = $3, parts = $4, version = $5, lost = $6, key_version = $7, usable = true
         WHERE client_id = $1 AND provider = $2 AND state <> 'linked'
        RETURNING client_id
    """
    content = (copy.remote_id, dict(copy.parts), copy.version, list(lost), key_version)
    return await returns_row(connection, statement, claim.client.id, claim.provider, *content)


async def settle(
    connection: Connection,
    place: Place,
    claim: Claim,
    outcome: Outcome,
    now: datetime,
    *,
    key_version: int,
    error: str | None = None,
) -> str | None:
    """The work is done, and the lease ends. The state that the row has now; None: the lease was lost.

    Needs a transaction: it waits for a change of the client that is under way.
    """
    await connection.execute("""SELECT id FROM clients WHERE id = $1 FOR SHARE""", claim.client.id)
    # Changes made during the work are still to do.
    statement = f"""
        UPDATE assistants s
           SET state = CASE WHEN {FINGERPRINT} = $6 AND EXISTS (
                                 SELECT FROM keys k
                                  WHERE k.agency_id = c.agency_id AND k.kind = s.provider AND k.version = $7
                                    AND k.retired_at IS NULL)
                            THEN $8 ELSE 'pending' END,
               synced_hash = CASE WHEN $8 = 'synced' THEN $6 ELSE s.synced_hash END,
               error = $9, tried = 0, retry_at = NULL, leased_until = NULL, updated_at = $10, look_after = $12
          FROM clients c, {ASKED}
         WHERE c.id = s.client_id AND s.client_id = $5 AND s.provider = asked.provider AND s.leased_until = $11
           AND s.state <> 'linked'
        RETURNING s.state
    """
    arguments = (claim.client.id, claim.fingerprint, key_version, outcome, error, now, claim.until, now + LOOK)
    state: str | None = await connection.fetchval(statement, *place.values, *arguments)
    return state


async def postpone(connection: Connection, claim: Claim, error: str, now: datetime, retry_at: datetime) -> None:
    """The work failed, and is tried again later."""
    statement = """
        UPDATE assistants
           SET error = $4, tried = tried + 1, retry_at = $5, leased_until = NULL, updated_at = $6
         WHERE client_id = $1 AND provider = $2 AND leased_until = $3
    """
    await connection.execute(statement, claim.client.id, claim.provider, claim.until, error, retry_at, now)


async def note_look(
    connection: Connection,
    claim: Claim,
    now: datetime,
    look_after: datetime,
    *,
    error: str | None,
    gone: bool = False,
    form: str | None = None,
) -> None:
    """What a look found, and when to look next. `form`: the Place's that a managed link has now.

    If a call was refused though all seems well, the error that says so stays until the next look. A copy of ours that is
    gone is put there again, and so is one that has an error but seems well.
    """
    statement = """
        UPDATE assistants
           SET state = CASE WHEN $6 AND state <> 'linked'
                                 OR state = 'synced' AND error IS NOT NULL AND $5::text IS NULL AND NOT $8
                            THEN 'pending' ELSE state END,
               usable = usable AND NOT $6 OR state = 'linked' AND NOT $6,
               error = CASE WHEN $5 IS NULL AND ($8 OR state <> 'linked') THEN error ELSE $5 END,
               synced_hash = coalesce($7, synced_hash), look_after = $4, leased_until = NULL, updated_at = $9
         WHERE client_id = $1 AND provider = $2 AND leased_until = $3
    """
    key = (claim.client.id, claim.provider, claim.until)
    await connection.execute(statement, *key, look_after, error, gone, form, claim.refused, now)


async def look_again(connection: Connection, claim: Claim, look_after: datetime) -> None:
    """Nothing was found out."""
    statement = """
        UPDATE assistants SET leased_until = NULL, look_after = $4
         WHERE client_id = $1 AND provider = $2 AND leased_until = $3
    """
    await connection.execute(statement, claim.client.id, claim.provider, claim.until, look_after)


async def let_go(connection: Connection, claim: Claim) -> None:
    """As if it had never been claimed."""
    statement = """
        UPDATE assistants SET leased_until = NULL WHERE client_id = $1 AND provider = $2 AND leased_until = $3
    """
    await connection.execute(statement, claim.client.id, claim.provider, claim.until)


async def fail_pending(
    connection: Connection, agency_id: str, provider: str, error: str, now: datetime, *, key_version: int | None
) -> int:
    """Fail all work that waits there, if that version of the key is still in use; None: if there is no key."""
    statement = """
        UPDATE assistants s
           SET state = 'failed', error = $3, tried = 0, retry_at = NULL, leased_until = NULL, updated_at = $4
          FROM clients c
         WHERE c.id = s.client_id AND c.agency_id = $1 AND s.provider = $2 AND s.state = 'pending'
           AND $5::integer IS NOT DISTINCT FROM
               (SELECT k.version FROM keys k WHERE k.agency_id = $1 AND k.kind = $2 AND k.retired_at IS NULL)
        RETURNING s.client_id
    """
    return len(await connection.fetch(statement, agency_id, provider, error, now, key_version))


async def list_unattended(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """Agencies and providers that have a key, and work that is due but not leased."""
    rows = await connection.fetch(
        """
        WITH due AS (
            SELECT client_id, provider, leased_until FROM assistants WHERE state = 'pending' AND retry_at IS NULL
             UNION ALL
            SELECT client_id, provider, leased_until FROM assistants WHERE retry_at <= $1
             UNION ALL
            SELECT s.client_id, s.provider, s.leased_until
              FROM assistants s
              JOIN clients c ON c.id = s.client_id
              JOIN keys k ON k.agency_id = c.agency_id AND k.kind = s.provider AND k.retired_at IS NULL
             WHERE s.look_after <= $1 AND s.state <> 'pending' AND s.remote_id IS NOT NULL
        )
        SELECT DISTINCT c.agency_id, due.provider
          FROM due
          JOIN clients c ON c.id = due.client_id
         WHERE due.leased_until IS NULL OR due.leased_until <= $1
         UNION
        SELECT l.agency_id, l.provider
          FROM leftovers l
          JOIN keys k ON k.agency_id = l.agency_id AND k.kind = l.provider AND k.retired_at IS NULL
         WHERE (l.retry_at IS NULL OR l.retry_at <= $1) AND (l.leased_until IS NULL OR l.leased_until <= $1)
        """,
        now,
    )
    return [tuple(row) for row in rows]
