"""Statements of the call path stay on their indexes however many rows there are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from router.store.calls import calls, records, reports
from router.store.keys import health as key_health
from router.store.keys import proofs
from tests.router.store.rows import AT

pytestmark = pytest.mark.anyio

ACCOUNT, NUMBER, AGENCY, CLIENT, CALL, CALL_SID = "AC7", "+1500777", "agency_7", "client_77", "call_777", "CA777"

EVERY_KIND = (
    records.InsertEvent("e", CALL, AT, "call.received"),
    records.InsertCall(
        "c",
        account_sid=ACCOUNT,
        call_sid="s",
        agency_id=AGENCY,
        client_id=CLIENT,
        from_number="+1",
        to_number=NUMBER,
        started_at=AT,
    ),
    records.InsertStep(ACCOUNT, CALL_SID, "ai-1", CALL, AT),
    records.StoreAnswer(ACCOUNT, CALL_SID, "inbound", AT, "sealed"),
    records.SetAnswered(CALL, "ai", "vapi", AT),
    records.SetProvider(CALL, "vapi", AT),
    records.MarkAssistant(CLIENT, "vapi", AT),
    records.SetRinging(CALL, "+1", "+2", AT),
    records.ClearRinging(CALL),
    records.SetOutcome(CALL, "ai"),
    records.EndCallLater(CALL, "e", AT, 9),
    records.EndCall(CALL, "event_end", AT, "ai", 9),
    records.SetSeconds(CALL, 9),
    records.InsertVoicemail(
        "voicemail_1",
        account_sid=ACCOUNT,
        recording_sid="RE1",
        call_id=CALL,
        agency_id=AGENCY,
        client_id=CLIENT,
        from_number="+1",
        at=AT,
        seconds=1,
    ),
    records.SetTranscript("voicemail_777", "said", "call_777"),
    records.SetStory(CALL, "vapi", summary="s", transcript="t", cost=0.1),
)

CALL_PATH: dict[str, tuple[str, tuple[Any, ...]]] = {
    "CLAIM_CALL, platform": (calls.CLAIM_CALL, (ACCOUNT, NUMBER, "c", "s", "+1", AT, None, None, 10, 100)),
    "CLAIM_CALL, agency": (calls.CLAIM_CALL, (ACCOUNT, NUMBER, "c", "s", "+1", AT, "+2", ["sealed"], 10, 100)),
    "PREVIEW_CALL": (calls.PREVIEW_CALL, (AGENCY, NUMBER, "+1", AT, 10, 100)),
    "CLAIM_STEP": (calls.CLAIM_STEP, (ACCOUNT, NUMBER, CALL_SID, "ai-1", CALL, AT)),
    "FIND_STEP": (calls.FIND_STEP, (ACCOUNT, CALL_SID, "inbound")),
    "LATEST_STEP": (calls.LATEST_STEP, (ACCOUNT, CALL_SID)),
    "ANSWERED_STEPS": (calls.ANSWERED_STEPS, (ACCOUNT, CALL_SID)),
    "FACTS": (calls.FACTS, (CALL,)),
    "FIND_CALL": (calls.FIND_CALL, (ACCOUNT, CALL_SID)),
    "LIVE_CALLS_OF": (calls.LIVE_CALLS_OF, (AGENCY, "vapi", "+1", AT)),
    "FIND_AGENCY_CALL": (calls.FIND_AGENCY_CALL, (CALL, AGENCY)),
    "ROUTE_OF_NUMBER": (calls.ROUTE_OF_NUMBER, (ACCOUNT, NUMBER)),
    "ROUTES_OF_NUMBERS": (calls.ROUTES_OF_NUMBERS, ([ACCOUNT, ACCOUNT], [NUMBER, "+1500778"])),
    "ACCOUNT_TOKENS": (proofs.ACCOUNT_TOKENS, (ACCOUNT, AT)),
    "FIND_ANSWERING": (reports.FIND_ANSWERING, (AGENCY, NUMBER, "retell")),
    "FIND_REPORTED_CALL": (reports.FIND_REPORTED_CALL, (CALL, "vapi")),
    "FIND_PROVIDERS_REPORTED_CALL": (reports.FIND_PROVIDERS_REPORTED_CALL, ("vapi-777", "vapi", AGENCY)),
    "FIND_PROVIDERS_CALL": (reports.FIND_PROVIDERS_CALL, ("vapi-777", AGENCY)),
    "STEP_IS_CLAIMED": (reports.STEP_IS_CLAIMED, (ACCOUNT, CALL_SID, "ai-1")),
    "FIND_KEY_VERSION": (reports.FIND_KEY_VERSION, (AGENCY, "vapi", AT)),
    "CLAIM_DUE_KEYS": (key_health.CLAIM_DUE_KEYS, ("vapi", AT, AT, 8)),
    "NOTE_LINES": (key_health.NOTE_LINES, (AGENCY, "vapi", 1, AT, 10, 3)),
    "HASTEN_CHECK": (key_health.HASTEN_CHECK, (AGENCY, "vapi", 1, AT, AT)),
    "NOTE_NO_CREDIT": (key_health.NOTE_NO_CREDIT, (AGENCY, "vapi", 1, AT)),
    "LACKS_CREDIT": (key_health.LACKS_CREDIT, (AGENCY, "vapi", 1, key_health.CHECK_AGAIN)),
    "NOTE_OVERFLOW": (key_health.NOTE_OVERFLOW, (AGENCY, "vapi", 1, AT)),
    "FIND_WEBHOOK_SECRETS": (proofs.FIND_WEBHOOK_SECRETS, (AGENCY, "vapi", AT, AT)),
    "WRITE_RECORDS": (records.WRITE_RECORDS, (records.as_json(EVERY_KIND),)),
    "FILE_VOICEMAIL": (records.FILE_VOICEMAIL, (records.as_json(EVERY_KIND), CALL)),
}

FILL = """
INSERT INTO agencies (id, name, created_at) SELECT 'agency_' || n, 'A', now() FROM generate_series(1, 2000) n;
INSERT INTO keys (agency_id, kind, version, sealed, account_sid, last4, status, checked_at, saved_at, lines_limit,
                  check_at)
SELECT 'agency_' || n, kind, 1, 'sealed', CASE WHEN kind = 'twilio' THEN 'AC' || n END, 'last', 'valid', now(), now(),
       CASE WHEN kind <> 'twilio' THEN 10 END, now() + n * interval '1 second'
  FROM generate_series(1, 2000) n, unnest(ARRAY['vapi', 'retell', 'twilio']) kind;
INSERT INTO clients (id, agency_id, name, caller_id, routing, created_at)
SELECT 'client_' || n, 'agency_' || n % 2000 + 1, 'C', 'caller', '{}', now() FROM generate_series(1, 5000) n;
INSERT INTO assistants (client_id, provider, remote_id, state, updated_at)
SELECT 'client_' || n, 'vapi', 'a', 'linked', now() FROM generate_series(1, 5000) n;
INSERT INTO numbers (account_sid, e164, agency_id, client_id, carrier, account, number_sid, voice_url, fallback_url,
                     status_url, state, fallback_state, created_at)
SELECT 'AC' || n % 2000 + 1, '+1500' || n, 'agency_' || n % 2000 + 1, 'client_' || n, 'twilio', 'agency', 'PN', '',
       '', '', 'active', 'ok', now()
  FROM generate_series(1, 5000) n;
INSERT INTO registrations (agency_id, e164, provider, remote_id)
SELECT 'agency_' || n % 2000 + 1, '+1500' || n, 'vapi', 'p' FROM generate_series(1, 5000) n;
INSERT INTO deleted_calls (account_sid, call_sid, at)
SELECT 'AC' || n % 2000 + 1, 'CD' || n, now() FROM generate_series(1, 5000) n;
INSERT INTO deleted_messages (voicemail_id, at) SELECT 'deleted_' || n, now() FROM generate_series(1, 5000) n;
INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at, ended_at,
                   outcome, ringing_phone, provider_call_id)
SELECT 'call_' || n, 'AC' || n % 2000 + 1, 'CA' || n, 'agency_' || n % 2000 + 1, 'client_' || n % 5000 + 1, '+1',
       '+1500' || n, now() - n * interval '1 minute', CASE WHEN n > 100 THEN now() END,
       CASE WHEN n > 100 THEN 'ai' END, CASE WHEN n <= 20 THEN '+1' END, 'vapi-' || n
  FROM generate_series(1, 10000) n;
INSERT INTO calls_at_once (agency_id, caller, n)
SELECT 'agency_' || n, caller, 1 FROM generate_series(1, 2000) n, unnest(ARRAY['', '+1', '+2', '+3']) caller;
INSERT INTO lines_in_use (agency_id, provider, n)
SELECT 'agency_' || n, provider, 1 FROM generate_series(1, 2000) n, unnest(ARRAY['vapi', 'retell', 'bland']) provider;
INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at, answered_at)
SELECT 'AC' || n % 2000 + 1, 'CA' || n, step, 'call_' || n, now(), now()
  FROM generate_series(1, 10000) n, unnest(ARRAY['inbound', 'ai-1']) step;
INSERT INTO call_events (id, call_id, at, event, step)
SELECT 'event_' || n || step, 'call_' || n, now(), 'call.received', step
  FROM generate_series(1, 10000) n, unnest(ARRAY['inbound', 'ai-1']) step;
INSERT INTO voicemails (id, account_sid, recording_sid, call_id, agency_id, client_id, from_number, at, seconds)
SELECT 'voicemail_' || n, 'AC' || n % 2000 + 1, 'RE' || n, 'call_' || n, 'agency_' || n % 2000 + 1,
       'client_' || n % 5000 + 1, '+1', now(), 9
  FROM generate_series(1, 10000) n;
INSERT INTO transcripts (voicemail_id, call_id, agency_id, said)
SELECT 'voicemail_' || n, 'call_' || n, 'agency_' || n % 2000 + 1, 'said' FROM generate_series(1, 10000) n;
INSERT INTO former_webhook_tokens (agency_id, kind, until, sealed)
SELECT 'agency_' || n, 'vapi', now(), 'sealed' FROM generate_series(1, 2000) n;
ANALYZE;
"""


@pytest.fixture
async def filled(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(FILL)
    yield connection
    await connection.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scanned(explained: str) -> list[str]:
    """Tables that are read from end to end."""
    found = list(nodes(json.loads(explained)[0]["Plan"]))
    return [node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"]


async def test_no_statement_of_the_call_path_reads_a_whole_table(filled):
    """With the values at hand, and as the plan that a much used connection keeps for all values."""
    found = {}
    for name, (statement, arguments) in CALL_PATH.items():
        explained = await filled.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
        generic = await filled.fetchval(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {statement}", *arguments)
        if tables := scanned(explained) + scanned(generic):
            found[name] = tables
    assert found == {}


async def test_a_statement_that_reads_a_whole_table_would_be_noticed(filled):
    explained = await filled.fetchval("EXPLAIN (FORMAT JSON) SELECT * FROM calls WHERE from_number = $1", "+1")
    assert scanned(explained) == ["calls"]


def test_every_statement_of_the_call_path_is_checked():
    """A new statement of these modules has to be added to CALL_PATH."""
    modules = (calls, records, proofs, reports)
    constants = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }
    assert constants <= {statement for statement, _ in CALL_PATH.values()}
    assert set(records.KINDS) == {record.kind for record in EVERY_KIND}
