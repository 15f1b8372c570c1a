"""The service's public address as the database knows it: which one is the present one, moving it, adopting a copy."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_rows

PROVES: Final = timedelta(hours=24)
"""How long another address than the present one proves Twilio's signatures, from when it was first seen."""

SEEN_EVERY: Final = timedelta(hours=1)
"""How often a process whose address is not the present one says that it is still there."""

_UNSEEN: Final = timedelta(days=2)
_FALLBACK: Final = "/fallback/voice?t="
_LOCK: Final = """SELECT pg_advisory_xact_lock(hashtextextended('public-address', 0))"""


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """`proves_until`: None for the present one, which always proves."""

    address: str
    present: bool
    since: datetime
    seen_at: datetime
    proves_until: datetime | None


@dataclass(frozen=True, slots=True)
class NumberAddresses:
    """What a carrier's number is set to: two addresses, and the base of its fallback's."""

    voice: str
    status: str
    fallback_base: str


async def list_addresses(connection: Connection) -> list[PublicAddress]:
    """The present one first."""
    statement = f"""SELECT {columns(PublicAddress)} FROM public_addresses ORDER BY present DESC, since, address"""
    return await fetch_rows(connection, PublicAddress, statement)


async def note_address(connection: Connection, address: str, now: datetime) -> None:
    """A process with this address was seen. It becomes the present one if there is none. Needs a transaction."""
    await connection.execute(_LOCK)
    await connection.execute(
        """
        INSERT INTO public_addresses (address, present, since, seen_at, proves_until)
        SELECT $1, NOT there.present, $2, $2, CASE WHEN there.present THEN $3::timestamptz END
          FROM (SELECT EXISTS (SELECT FROM public_addresses WHERE present) AS present) AS there
        ON CONFLICT (address) DO UPDATE SET seen_at = EXCLUDED.seen_at
        """,
        address,
        now,
        now + PROVES,
    )


async def forget_addresses(connection: Connection, now: datetime) -> None:
    """Those that prove nothing any more, and that no process has. One that is seen again later is a new one."""
    statement = """DELETE FROM public_addresses WHERE NOT present AND proves_until <= $1 AND seen_at <= $2"""
    await connection.execute(statement, now, now - _UNSEEN)


async def make_present(connection: Connection, address: str, now: datetime) -> None:
    """The former one proves as long as this one would have. Needs a transaction."""
    await connection.execute(_LOCK)
    await connection.execute(
        """
        UPDATE public_addresses
           SET present = false, seen_at = $3,
               proves_until = coalesce((SELECT proves_until FROM public_addresses WHERE address = $1), $2)
         WHERE present AND address <> $1
        """,
        address,
        now + PROVES,
        now,
    )
    await connection.execute(
        """
        INSERT INTO public_addresses AS there (address, present, since, seen_at) VALUES ($1, true, $2, $2)
        ON CONFLICT (address) DO UPDATE SET present = true, since = $2, proves_until = NULL WHERE NOT there.present
        """,
        address,
        now,
    )


async def is_present(connection: Connection, address: str) -> bool:
    statement = """SELECT EXISTS (SELECT FROM public_addresses WHERE present AND address = $1)"""
    return bool(await connection.fetchval(statement, address))


async def want_numbers_moved(connection: Connection, to: NumberAddresses) -> None:
    """Numbers that lead elsewhere, or could not be corrected, get these addresses here, and are due for the check that writes
    them at the carrier.
    """
    await connection.execute(
        """
        UPDATE numbers
           SET voice_url = $1, status_url = $2,
               fallback_url = $3 || substr(fallback_url, greatest(strpos(fallback_url, $4), 1)),
               drift = 'voice_url', checked_at = NULL, look_after = NULL
         WHERE account <> 'provider' AND state <> 'elsewhere'
           AND (voice_url <> $1 OR status_url <> $2 OR NOT starts_with(fallback_url, $3 || $4)
                OR drift IS NOT NULL)
        """,
        to.voice,
        to.status,
        to.fallback_base,
        _FALLBACK,
    )


async def want_native_numbers_moved(connection: Connection) -> None:
    """Native numbers get our webhook's address together with their fallback."""
    await connection.execute(
        """
        UPDATE numbers SET fallback_state = 'stale', look_after = NULL WHERE account = 'provider' AND state = 'active'
        """
    )


@dataclass(frozen=True, slots=True)
class Unmoved:
    """What is not at the new address yet. `reason`: why it cannot be moved; None while it waits."""

    name: str
    reason: str | None


async def count_numbers(connection: Connection) -> int:
    count: int = await connection.fetchval("""SELECT count(*) FROM numbers WHERE state = 'active'""")
    return count


async def list_unmoved_numbers(connection: Connection) -> list[Unmoved]:
    """Those whose addresses differ at the carrier, or are not known to be there, and native ones that wait."""
    rows = await connection.fetch(
        """
        SELECT e164, CASE WHEN account <> 'provider' AND checked_at IS NOT NULL THEN drift END AS reason
          FROM numbers
         WHERE state = 'active'
           AND CASE WHEN account = 'provider' THEN fallback_state = 'stale' ELSE drift IS NOT NULL END
         ORDER BY e164
        """
    )
    return [Unmoved(row["e164"], row["reason"]) for row in rows]


async def count_managed_assistants(connection: Connection) -> int:
    """Ours and links that we may change, at providers for which there is a key."""
    count: int = await connection.fetchval(
        """
        SELECT count(*)
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
          JOIN keys k ON k.agency_id = c.agency_id AND k.kind = s.provider AND k.retired_at IS NULL
         WHERE s.state <> 'linked' AND c.assistant IS NOT NULL OR s.state = 'linked' AND s.manage <> '{}'
        """
    )
    return count


async def leave_to_the_original(connection: Connection) -> None:
    """Nothing outside that is known here is ours to change: it is that of the database that this is a copy of.

    What waits to be done there is forgotten; the original has it, too.
    """
    mark = secrets.token_hex(4)
    for statement in (
        """UPDATE agencies SET copied = true""",
        """
        UPDATE numbers
           SET state = 'elsewhere', drift = NULL, fallback_state = 'ok', checked_at = NULL, look_after = NULL
        """,
        """DELETE FROM registrations WHERE remote_id IS NULL""",
        """
        UPDATE registrations
           SET ours = false, state = 'registered', error = NULL, waits_for = NULL, waits_until = NULL, assistant_id = NULL,
               fallback = NULL, key_version = NULL, leased_until = NULL
        """,
        """DELETE FROM former_registrations""",
        """DELETE FROM carrier_keys""",
        """DELETE FROM leftover_carrier_keys""",
        """UPDATE purchases SET state = 'failed', error = 'It belongs to the original database.' WHERE state = 'open'""",
        """DELETE FROM leftovers""",
        """DELETE FROM assistants WHERE remote_id IS NULL OR NOT usable""",
        """
        UPDATE assistants
           SET state = 'linked', manage = '{}', parts = '{}', synced_hash = NULL, error = NULL, tried = 0, retry_at = NULL,
               leased_until = NULL
        """,
        """UPDATE voicemails SET elsewhere = true, mail_state = CASE WHEN mail_state IN ('new', 'posted') THEN 'none' ELSE mail_state END""",
        """DELETE FROM letters""",
        """DELETE FROM deliveries WHERE state = 'waiting'""",
        """UPDATE endpoints SET paused = true""",
        """DELETE FROM sweeps""",
    ):
        await connection.execute(statement)
    # By its marker, the original's assistant would be taken for ours.
    await connection.execute("""UPDATE clients SET marker = left(coalesce(marker, id), 31) || '_' || $1""", mark)


async def adopt(connection: Connection, address: str, now: datetime) -> None:
    """The database is a copy, and its address is this one from now on. Needs a transaction."""
    await connection.execute(_LOCK)
    await leave_to_the_original(connection)
    await connection.execute("""DELETE FROM public_addresses""")
    await connection.execute(
        """INSERT INTO public_addresses (address, present, since, seen_at) VALUES ($1, true, $2, $2)""", address, now
    )
