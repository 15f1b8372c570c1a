"""Search in an agency's calls: by time, client, number, caller, how they ended, and words that were said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.store.calls.history import PastCall
from router.store.pool import Connection, Database
from router.store.rows import columns, fetch_column, read

IN_PROGRESS: Final = "in_progress"
"""In the place of an outcome."""

_BEGINNING: Final = 3  # characters from which on a word also stands for longer ones


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls. None: any. `numbers` and `callers` are spellings of one each; `words` is what a person typed."""

    since: datetime | None = None
    until: datetime | None = None
    client_id: str | None = None
    numbers: tuple[str, ...] | None = None
    callers: tuple[str, ...] | None = None
    outcome: str | None = None
    answered_by: str | None = None
    provider: str | None = None
    words: str | None = None

    @property
    def is_all(self) -> bool:
        return self == Wanted()


_CALLS: Final = f"""SELECT {columns(PastCall, "c")} FROM calls c"""

# What is not asked for drops out when the plan is made: for the values, and not for all (Database.counting).
_FILTERS: Final = """
       c.agency_id = $1
   AND (c.started_at, c.id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::text, ''))
   AND ($5::timestamptz IS NULL OR c.started_at >= $5)
   AND ($6::timestamptz IS NULL OR c.started_at < $6)
   AND ($7::text IS NULL OR c.client_id = $7)
   AND ($8::text[] IS NULL OR c.to_number = ANY ($8))
   AND ($9::text[] IS NULL OR c.from_number = ANY ($9))
   AND ($10::text IS NULL OR c.outcome = $10)
   AND ($11::text IS NULL OR c.answered_by = $11)
   AND ($12::text IS NULL OR c.provider = $12)
"""

# Calls in progress are few, and not in the indexes of callers and numbers.
FIND_CALLS: Final = f"""
(
    {_CALLS}
     WHERE {_FILTERS} AND c.ended_at IS NOT NULL AND NOT $13
     ORDER BY c.started_at DESC, c.id DESC
     LIMIT $4
) UNION ALL (
    {_CALLS}
     WHERE {_FILTERS} AND c.ended_at IS NULL
     ORDER BY c.started_at DESC, c.id DESC
     LIMIT $4
)
 ORDER BY started_at DESC, id DESC
 LIMIT $4
"""

# The server finds no words in what looks like markup, such as <b>. Asked for none, it would find every call.
_HAS_WORDS: Final = """numnode(to_tsquery('simple', $14)) > 0"""
_ASKED: Final = """((quote_literal('agency ' || $1))::tsquery && to_tsquery('simple', $14))"""

# A call has words of an assistant's conversation, of a message, or of both. OFFSET 0: the words are looked up before the
# calls are put in order. In order, a word that only old calls have would be looked for in all newer ones first.
FIND_WORDS: Final = f"""
WITH latest AS (
    (
        SELECT id, started_at
          FROM (SELECT c.id, c.started_at
                  FROM calls c
                 WHERE {_FILTERS} AND {_HAS_WORDS} AND NOT ($13 AND c.ended_at IS NOT NULL)
                   AND (c.summary IS NOT NULL OR c.transcript IS NOT NULL)
                   AND words_of(c.agency_id, coalesce(c.summary, '') || ' ' || coalesce(c.transcript, '')) @@ {_ASKED}
                OFFSET 0) AS talked
         ORDER BY started_at DESC, id DESC
         LIMIT $4
    ) UNION (
        SELECT id, started_at
          FROM (SELECT c.id, c.started_at
                  FROM calls c
                 WHERE {_FILTERS} AND {_HAS_WORDS} AND NOT ($13 AND c.ended_at IS NOT NULL)
                   AND c.id = ANY (ARRAY(SELECT t.call_id
                                           FROM transcripts t
                                          WHERE t.said IS NOT NULL AND words_of(t.agency_id, t.said) @@ {_ASKED}))
                OFFSET 0) AS recorded
         ORDER BY started_at DESC, id DESC
         LIMIT $4
    )
)
{_CALLS}
 WHERE c.id IN (SELECT id FROM latest)
 ORDER BY c.started_at DESC, c.id DESC
 LIMIT $4
"""


async def search_calls(
    database: Database, agency_id: str, wanted: Wanted, *, after: tuple[datetime, str] | None, limit: int
) -> list[PastCall]:
    """Newest first. Raises TooSlowError."""
    in_progress = wanted.outcome == IN_PROGRESS
    arguments = (
        agency_id,
        *(after or (None, None)),
        limit,
        wanted.since,
        wanted.until,
        wanted.client_id,
        wanted.numbers,
        wanted.callers,
        None if in_progress else wanted.outcome,
        wanted.answered_by,
        wanted.provider,
        in_progress,
    )
    query = None if wanted.words is None else write_query(wanted.words)
    if query == "":
        return []
    async with database.counting(agency_id) as connection:
        if query is None:
            rows = await connection.fetch(FIND_CALLS, *arguments)
        else:
            rows = await connection.fetch(FIND_WORDS, *arguments, query)
    return [read(PastCall, row) for row in rows]


def write_query(words: str) -> str:
    """What to_tsquery reads: all of the words, longer ones also as beginnings of others."""
    terms = [term.replace("\\", " ").strip() for term in words.replace('"', " ").replace("'", " ").split()]
    terms = [term for term in terms if any(char.isalnum() for char in term)]
    return " & ".join(f"'{term}'" + (":*" if len(term) >= _BEGINNING else "") for term in terms)


async def list_examples(connection: Connection, agency_id: str) -> Sequence[str]:
    """A number of the agency for each beginning that may be a country code."""
    statement = (
        """SELECT min(e164) FROM numbers WHERE agency_id = $1 GROUP BY left(e164, 4) ORDER BY count(*) DESC LIMIT 20"""
    )
    return await fetch_column(connection, statement, agency_id)


async def find_client_names(connection: Connection, agency_id: str, client_ids: Sequence[str]) -> dict[str, str]:
    rows = await connection.fetch(
        """SELECT id, name FROM clients WHERE agency_id = $1 AND id = ANY ($2)""", agency_id, client_ids
    )
    return {row["id"]: row["name"] for row in rows}
