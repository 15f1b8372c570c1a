"""Where assistants are kept: providers of agencies, and the fingerprint by which a copy there is found to be outdated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Place:
    """A provider as an agency's assistants are kept there.

    `form` stands for all that goes into a copy besides the client's own settings; `numbered`: its numbers matter, too.
    """

    agency_id: str
    provider: str
    form: str
    numbered: bool

    @property
    def values(self) -> tuple[str, str, str, bool]:
        """The first arguments of a statement with ASKED."""
        return self.agency_id, self.provider, self.form, self.numbered


# Whatever of a client's settings a copy is made of. `asked` holds a Place.
FINGERPRINT: Final = """
encode(sha256(convert_to(jsonb_build_array(
    asked.form, c.name, c.routing #> '{hours,timezone}', c.assistant - 'voice', c.assistant #> ARRAY['voice', asked.provider],
    CASE WHEN asked.numbered THEN c.personal_phone END,
    CASE WHEN asked.numbered THEN (
        SELECT jsonb_agg(jsonb_build_array(n.e164, given.remote_id) ORDER BY n.e164)
          FROM numbers n
          LEFT JOIN registrations given ON given.agency_id = n.agency_id AND given.e164 = n.e164
                                       AND given.provider = asked.provider AND NOT given.ours
         WHERE n.agency_id = c.agency_id AND n.client_id = c.id)
    END)::text, 'UTF8')), 'hex')
"""
ASKED: Final = """
(SELECT $1::text AS agency_id, $2::text AS provider, $3::text AS form, $4::boolean AS numbered) AS asked
"""


async def list_kept(connection: Connection) -> list[tuple[str, str]]:
    """Agencies, and the providers at which they have a key and their assistants are kept up to date."""
    rows = await connection.fetch(
        """
        SELECT s.agency_id, s.provider
          FROM syncs s
          JOIN keys k ON k.agency_id = s.agency_id AND k.kind = s.provider AND k.retired_at IS NULL
         ORDER BY s.agency_id, s.provider
        """
    )
    return [(row["agency_id"], row["provider"]) for row in rows]


async def start_sync(connection: Connection, agency_id: str, provider: str, now: datetime) -> None:
    """From now on the agency's assistants are kept up to date there, also those of clients yet to come."""
    await connection.execute(
        """
        INSERT INTO syncs (agency_id, provider, started_at) VALUES ($1, $2, $3)
        ON CONFLICT (agency_id, provider) DO UPDATE SET started_at = EXCLUDED.started_at
        """,
        agency_id,
        provider,
        now,
    )


async def stop_sync(connection: Connection, agency_id: str, provider: str) -> None:
    await connection.execute("""DELETE FROM syncs WHERE agency_id = $1 AND provider = $2""", agency_id, provider)


async def list_synced_providers(connection: Connection, agency_id: str) -> set[str]:
    """Where the agency's assistants are kept up to date."""
    rows = await connection.fetch("""SELECT provider FROM syncs WHERE agency_id = $1""", agency_id)
    return {row["provider"] for row in rows}
