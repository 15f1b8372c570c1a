"""Searches in calls stay on indexes, and words are read as people type them."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from router.store.calls.search import FIND_CALLS, FIND_WORDS, Wanted, search_calls, write_query
from router.store.pool import make_database
from tests.router.store.test_query_plans import nodes

pytestmark = pytest.mark.anyio

FILL = """
INSERT INTO agencies (id, name, created_at) SELECT 'agency_' || n, 'A', now() FROM generate_series(1, 30) n;
INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, provider, answered_by,
                   outcome, started_at, ended_at, transcript)
SELECT 'call_' || n, 'AC', 'CA' || n, 'agency_' || n % 30 + 1, 'client_' || n % 50, '+1415' || n, '+1500' || n % 600,
       'vapi', 'ai', 'ai', now() - n * interval '1 minute', CASE WHEN n > 20 THEN now() END,
       CASE WHEN n > 20 THEN 'Hello, this is call word' || n END
  FROM generate_series(1, 6000) n;
INSERT INTO voicemails (id, account_sid, recording_sid, call_id, agency_id, client_id, from_number, at, seconds)
SELECT 'voicemail_' || n, 'AC', 'RE' || n, 'call_' || n, 'agency_' || n % 30 + 1, 'client', '+1', now(), 9
  FROM generate_series(1, 3000) n;
INSERT INTO transcripts (voicemail_id, call_id, agency_id, said)
SELECT 'voicemail_' || n, 'call_' || n, 'agency_' || n % 30 + 1, 'Please call back, message' || n
  FROM generate_series(1, 3000) n;
ANALYZE;
"""
AGENCY = "agency_1"
CALLS, MESSAGES = "calls_by_words", "transcripts_by_words"
INDEXES: dict[str, tuple[Wanted, set[str]]] = {
    "a client": (Wanted(client_id="client_10"), set()),
    "an outcome": (Wanted(outcome="ai"), set()),
    "who answered": (Wanted(answered_by="ai"), set()),
    "a provider": (Wanted(provider="vapi"), set()),
    "a caller": (Wanted(callers=("+14151500",)), {"calls_of_caller"}),
    "a number": (Wanted(numbers=("+1500300",)), {"calls_of_number"}),
    "words": (Wanted(words="word1500"), {CALLS, MESSAGES}),
    "words and a client": (Wanted(words="word1500", client_id="client_0"), {CALLS, MESSAGES}),
}


@pytest.fixture
async def filled(database_dsn: str) -> str:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(FILL)
    await connection.close()
    return database_dsn


async def plan(connection: Any, wanted: Wanted) -> list[dict[str, Any]]:
    arguments = (
        *(AGENCY, None, None, 50, wanted.since, wanted.until, wanted.client_id, wanted.numbers, wanted.callers),
        *(wanted.outcome, wanted.answered_by, wanted.provider, False),
    )
    words = () if wanted.words is None else (write_query(wanted.words),)
    statement = FIND_WORDS if words else FIND_CALLS
    explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments, *words)
    return list(nodes(json.loads(explained)[0]["Plan"]))


async def test_each_filter_uses_an_index_and_finds_the_calls_of_one_agency(filled: str):
    async with make_database(filled).opened() as database:
        for name, (wanted, indexes) in INDEXES.items():
            async with database.counting(AGENCY) as connection:
                steps = await plan(connection, wanted)
            assert [step["Relation Name"] for step in steps if step["Node Type"] == "Seq Scan"] == [], name
            used = {step["Index Name"] for step in steps if "Index Name" in step}
            assert used, name
            assert indexes <= used, name
        found = {
            words: [call.id for call in await search_calls(database, AGENCY, Wanted(words=words), after=None, limit=9)]
            for words in ("word1500", "word1501", "message1500 back", "message1500 word1500", "hello word1500", "!")
        }
    assert found == {
        "word1500": ["call_1500"],
        "word1501": [],  # another agency's
        "message1500 back": ["call_1500"],
        "message1500 word1500": [],  # one was said in the call, the other in the message
        "hello word1500": ["call_1500"],
        "!": [],
    }


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("appointment thursday", "'appointment':* & 'thursday':*"),
        ("at 9", "'at' & '9'"),
        ('"kitchen sink" leak', "'kitchen':* & 'sink':* & 'leak':*"),
        ("don't", "'don':* & 't'"),
        ("sam@example.com 10:30", "'sam@example.com':* & '10:30':*"),
        ("a\\b & | !", "'a b':*"),
        ('- "" \\', ""),
    ],
)
def test_words_are_searched_for_as_they_are_typed(typed, query):
    assert write_query(typed) == query
