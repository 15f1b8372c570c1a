"""Who answers a number of an agency's at a provider that asks, or that tells of a call we know nothing of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.store.pool import Connection
from router.store.rows import read

FIND_ANSWERING: Final = """
SELECT n.e164, n.account_sid, n.client_id, c.name AS client_name,
       (SELECT s.remote_id FROM assistants s
         WHERE s.client_id = n.client_id AND s.provider = $3 AND s.usable) AS assistant_id
  FROM numbers n
  JOIN clients c ON c.id = n.client_id
 WHERE n.agency_id = $1 AND n.e164 = $2
"""


@dataclass(frozen=True, slots=True)
class Answering:
    """A number, whose it is, and the assistant that takes its calls at the provider."""

    e164: str
    account_sid: str  # the provider's name, if the number was bought there
    client_id: str
    client_name: str
    assistant_id: str | None


async def find_answering(connection: Connection, agency_id: str, e164: str, provider: str) -> Answering | None:
    row = await connection.fetchrow(FIND_ANSWERING, agency_id, e164, provider)
    return None if row is None else read(Answering, row)
