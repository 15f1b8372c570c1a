"""The figures' statement only reads the calls of its agency and span."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.store.calls.figures import FIGURES, OUTAGE_KINDS
from tests.router.store.rows import AT
from tests.router.store.test_query_plans import filled, scanned

__all__ = ["filled"]

pytestmark = pytest.mark.anyio


async def test_figures_do_not_read_calls_of_other_agencies(filled):
    """With the values at hand, and as the plan that a much used connection keeps for all values."""
    arguments = ("agency_7", AT, AT + timedelta(days=30), list(OUTAGE_KINDS))
    explained = await filled.fetchval(f"EXPLAIN (FORMAT JSON) {FIGURES}", *arguments)
    generic = await filled.fetchval(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {FIGURES}", *arguments)
    assert scanned(explained) + scanned(generic) == []
