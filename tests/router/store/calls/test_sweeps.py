"""What is swept every minute, or deleted every day, only reads what there is to do, however many other rows there are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.store.calls import sweeps
from router.store.calls.old_answers import ERASE_ANSWERS
from router.store.messages.retention import DELETE_ENDED_CALLS, FORGET_CALLS
from router.store.numbers.checks import LEASE_DUE_NUMBERS
from tests.router.store.rows import AT
from tests.router.store.test_query_plans import filled, scanned

__all__ = ["filled"]

pytestmark = pytest.mark.anyio

STATEMENTS = {
    "overdue calls": (sweeps.CLAIM_OVERDUE, (AT, AT - timedelta(minutes=5), AT - timedelta(minutes=15), 10, 50)),
    "numbers of an account": (sweeps.FIND_NUMBERS_ON, ("AC7", ["+1500777", "+1500778"])),
    "agencies of an account": (sweeps.AGENCIES_ON, ("AC7",)),
    "answers": (ERASE_ANSWERS, (AT, AT, 500)),
    "calls to forget": (FORGET_CALLS, ("agency_7", AT, AT, AT, 200)),
    "calls to delete": (DELETE_ENDED_CALLS, ("agency_7", 200)),
    "numbers to look at": (LEASE_DUE_NUMBERS, (AT, AT, 20, 10)),
    "accounts to sweep": (sweeps.ENROL_ACCOUNTS, (AT, AT, 500)),
    "accounts without numbers": (sweeps.DISMISS_ACCOUNTS, ()),
}
OF_ACCOUNTS = {"sweeps"}  # a row an account: it is read from end to end


async def test_no_sweep_reads_a_whole_table(filled):
    """With the values at hand, and as the plan that a much used connection keeps for all values."""
    found = {}
    for name, (statement, arguments) in STATEMENTS.items():
        explained = await filled.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
        generic = await filled.fetchval(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {statement}", *arguments)
        if tables := {*scanned(explained), *scanned(generic)} - OF_ACCOUNTS:
            found[name] = tables
    assert found == {}
