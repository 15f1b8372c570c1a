"""The sweep only reads open calls, however many others there are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.store.calls.sweeps import CLAIM_OVERDUE
from tests.router.store.rows import AT
from tests.router.store.test_query_plans import filled, scanned

__all__ = ["filled"]

pytestmark = pytest.mark.anyio


async def test_looking_for_overdue_calls_does_not_read_all_calls(filled):
    """With the values at hand, and as the plan that a much used connection keeps for all values."""
    arguments = (AT, AT - timedelta(minutes=5), AT - timedelta(minutes=15), 10, 50)
    explained = await filled.fetchval(f"EXPLAIN (FORMAT JSON) {CLAIM_OVERDUE}", *arguments)
    generic = await filled.fetchval(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {CLAIM_OVERDUE}", *arguments)
    assert scanned(explained) + scanned(generic) == []
