"""A page of a list takes as long as its rows, however many there are before and behind it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from router.store.calls.history import list_calls
from router.store.messages.voicemails import list_voicemails
from router.store.numbers.numbers import list_numbers
from router.store.tenants.agencies import list_agencies
from router.store.tenants.audit import list_all_audit_entries, list_audit_entries
from router.store.tenants.clients import list_clients
from router.store.tenants.tokens import list_tokens
from tests.router.store.rows import AT
from tests.router.store.test_query_plans import filled, nodes

__all__ = ["filled"]

pytestmark = pytest.mark.anyio

# One agency with much of everything.
MUCH = """
INSERT INTO agencies (id, name, created_at) VALUES ('agency_big', 'Big', now());
INSERT INTO clients (id, agency_id, name, caller_id, routing, created_at)
SELECT 'client_big_' || n, 'agency_big', 'C', 'caller', '{}', now() + n * interval '1 s' FROM generate_series(1, 3000) n;
INSERT INTO numbers (account_sid, e164, agency_id, client_id, carrier, account, number_sid, voice_url, fallback_url,
                     status_url, state, fallback_state, created_at)
SELECT 'AC0', '+1600' || n, 'agency_big', 'client_big_1', 'twilio', 'agency', 'PN', '', '', '', 'active', 'ok',
       now() + n * interval '1 s'
  FROM generate_series(1, 3000) n;
INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at)
SELECT 'call_big_' || n, 'AC0', 'CB' || n, 'agency_big', 'client_big_1', '+1', '+2', now() + n * interval '1 s'
  FROM generate_series(1, 3000) n;
INSERT INTO voicemails (id, account_sid, recording_sid, call_id, agency_id, client_id, from_number, at)
SELECT 'voicemail_big_' || n, 'AC0', 'RB' || n, 'call_big_' || n, 'agency_big', 'client_big_1', '+1',
       now() + n * interval '1 s'
  FROM generate_series(1, 3000) n;
INSERT INTO tokens (id, agency_id, name, hash, created_at)
SELECT 'token_big_' || n, 'agency_big', 'T', sha256(n::text::bytea), now() + n * interval '1 s'
  FROM generate_series(1, 3000) n;
INSERT INTO audit (id, agency_id, at, actor, action, target)
SELECT 'audit_big_' || n, 'agency_big', now() + n * interval '1 s', 'a', 'b', 'c' FROM generate_series(1, 3000) n;
ANALYZE agencies, clients, numbers, calls, voicemails, tokens, audit;
"""

PLACE = (AT + timedelta(days=1), "x")
LISTS = {
    "agencies": lambda db: list_agencies(db, only=None, number=None, after=PLACE, limit=20),
    "clients": lambda db: list_clients(db, "agency_big", after=PLACE, limit=20),
    "numbers": lambda db: list_numbers(db, "agency_big", after=PLACE, limit=20),
    "calls": lambda db: list_calls(db, "agency_big", after=PLACE, limit=20),
    "voicemails": lambda db: list_voicemails(db, "agency_big", after=PLACE, limit=20),
    "tokens": lambda db: list_tokens(db, "agency_big", after=PLACE, limit=20),
    "audit": lambda db: list_audit_entries(db, "agency_big", after=PLACE, limit=20),
    "audit of all": lambda db: list_all_audit_entries(db, after=PLACE, limit=20),
}


class Listener:
    """Stands for a connection, and keeps the statement that it is given."""

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        self.asked = statement, arguments
        return []


async def test_a_page_begins_at_its_place_in_an_index_and_is_not_sorted(filled):
    """Also by the plan that a much used connection keeps for all values."""
    await filled.execute(MUCH)
    found = {}
    for name, read_page in LISTS.items():
        listener = Listener()
        await read_page(listener)
        statement, arguments = listener.asked
        for kind in ("FORMAT JSON", "FORMAT JSON, GENERIC_PLAN"):
            plan = json.loads(await filled.fetchval(f"EXPLAIN ({kind}) {statement}", *arguments))[0]["Plan"]
            steps = list(nodes(plan))
            sorts = [step["Node Type"] for step in steps if "Sort" in step["Node Type"]]
            places = [step for step in steps if "ROW(" in step.get("Index Cond", "")]
            if sorts or len(places) != 1:
                found[name, kind] = [step["Node Type"] for step in steps]
    assert found == {}
