"""Searches in 100,000 calls of one agency, beside those of others."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from router.store.calls.search import Wanted, search_calls
from router.store.pool import Database
from tests.scale.plans import milliseconds

CALLS: Final = 100_000
AGENCY: Final = "agency_search"
_OTHERS: Final = 20_000  # calls of another agency, with the same words

_AGENCIES: Final = """INSERT INTO agencies (id, name, created_at) SELECT unnest($1::text[]), 'A', now()"""

# What is said has 60 words of 20,000, the usual ones as often as in a language: the first is in nearly every call.
_CALLS: Final = """
INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, provider, answered_by, outcome,
                   started_at, answered_at, ended_at, seconds, summary, transcript)
SELECT $1 || n, $1, 'CA' || n, $1, 'client_' || n % 300, '+1415555' || lpad((n % 9000)::text, 4, '0'), '+1500' || n % 300,
       'vapi', 'ai', CASE WHEN n % 10 = 0 THEN 'voicemail' ELSE 'ai' END, now() - n * interval '5 minutes', now(), now(), 90,
       'About it',
       (SELECT 'AI: ' || string_agg(($3::text[])[1 + floor(power(random(), 4) * 20000)::integer], ' ')
          FROM generate_series(1, 60 + n * 0))
  FROM generate_series(1, $2::integer) n
"""
_LETTERS: Final = str.maketrans("0123456789abcdef", "bcdfghjklmnpraeo")
_WORDS: Final = [hashlib.sha256(str(place).encode()).hexdigest()[:8].translate(_LETTERS) for place in range(20_000)]
_ANALYZE: Final = """ANALYZE calls"""

SEARCHES: Final[dict[str, tuple[Wanted, float]]] = {
    "a caller": (Wanted(callers=("+14155550123",)), 50),
    "a caller who never called": (Wanted(callers=("+14155559999",)), 50),
    "a number": (Wanted(numbers=("+150077",)), 50),
    "a number, and who answered": (Wanted(numbers=("+150077",), outcome="voicemail"), 50),
    "a client": (Wanted(client_id="client_77"), 250),
    "an outcome that no call has": (Wanted(outcome="owner"), 250),
    "a provider, of a year ago": (Wanted(provider="vapi", until=datetime.now(UTC) - timedelta(days=300)), 250),
    "a rare word": (Wanted(words=_WORDS[15_321]), 250),
    "a word of most calls": (Wanted(words=_WORDS[0]), 250),
    "the beginning of many words": (Wanted(words=_WORDS[0][:3]), 250),
    "two usual words": (Wanted(words=f"{_WORDS[0]} {_WORDS[1]}"), 250),
    "a usual word of one client": (Wanted(words=_WORDS[1], client_id="client_77"), 250),
    "a usual word of one caller": (Wanted(words=_WORDS[1], callers=("+14155550123",)), 250),
    "a word with a sign in it": (Wanted(words=f"{_WORDS[0]}-{_WORDS[1]}"), 250),
    "a word that nobody said": (Wanted(words="elephant"), 250),
}


async def time_searches(database: Database) -> list[tuple[str, float, float]]:
    """Of each search: what it looks for, its time, and how long it may take at most."""
    async with database.settings.acquire() as connection:
        await connection.execute(_AGENCIES, [AGENCY, f"{AGENCY}_other"])
        for agency, calls in ((AGENCY, CALLS), (f"{AGENCY}_other", _OTHERS)):
            await connection.execute(_CALLS, agency, calls, _WORDS, timeout=900)
        await connection.execute(_ANALYZE, timeout=300)
    return [(what, await milliseconds(_search(database, wanted), 7), most) for what, (wanted, most) in SEARCHES.items()]


def _search(database: Database, wanted: Wanted) -> Callable[[], Awaitable[Any]]:
    return partial(search_calls, database, AGENCY, wanted, after=None, limit=51)
