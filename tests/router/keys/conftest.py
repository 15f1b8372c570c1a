"""An agency with an address for alerts and keys at all providers, and rounds over its keys."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import BLAND_KEY, RETELL_KEY, VAPI_KEY
from tests.support.api_service import api, bulkheads, captured_events, circuits, clock, platform_keys, sandbox, services

__all__ = ["api", "bulkheads", "captured_events", "circuits", "clock", "platform_keys", "sandbox", "services"]

KEYS = {"vapi": VAPI_KEY, "retell": RETELL_KEY, "bland": BLAND_KEY}
ALERTS = "alerts@agency.test"


@pytest.fixture
async def agency(api):
    agency = await api.new_agency()
    await api.patch(agency.path, {"alert_email": ALERTS})
    for kind, key in KEYS.items():
        await api.put(f"{agency.path}/keys/{kind}", {"key": key})
    return agency


@pytest.fixture
def look(services, clock, agency):  # noqa: ARG001  there has to be something to look at
    """Let some minutes pass, and look at the keys of that kind which are due by then."""

    async def look(kind, *, minutes=20.0):
        clock.move(minutes=minutes)
        await services.areas.key_rounds.check_due(kind)

    return look


@pytest.fixture
def show(api, agency):
    async def show(kind):
        return await api.get(f"{agency.path}/keys/{kind}")

    return show


@pytest.fixture
def letters(services):
    """The letters that wait: kind of letter and kind of key."""

    async def letters():
        rows = await services.database.settings.fetch("SELECT kind, ids->>'kind' AS key FROM letters ORDER BY id")
        return [(row["kind"], row["key"]) for row in rows]

    return letters
