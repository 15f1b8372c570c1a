"""What an agency reads when a key of its own stops working."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import RETELL_KEY, VAPI_KEY
from tests.router.api.client import PUBLIC_URL
from tests.router.keys.conftest import ALERTS

pytestmark = pytest.mark.anyio


@pytest.fixture
def ids(agency):
    return {"agency_id": agency.id, "kind": "vapi", "version": 1}


@pytest.fixture
async def failing(look, sandbox):
    sandbox.state.faults.set("vapi", {"fault": "401", "operation": "check"})
    await look("vapi")
    await look("vapi", minutes=1.01)


@pytest.mark.usefixtures("failing")
async def test_it_says_what_happened_what_callers_get_and_what_to_do(services, ids, show):
    mail = await services.areas.key_letters.write_failing(ids)
    assert (mail.to, mail.subject) == (ALERTS, "Vapi refuses your key")
    assert "Acme Voice" in mail.text
    assert f"ending in {VAPI_KEY[-4:]}" in mail.text
    assert (await show("vapi"))["problem"] in mail.text
    assert f"{PUBLIC_URL}/console" in mail.text
    assert "dashboard.vapi.ai" in mail.text
    assert VAPI_KEY not in mail.text
    assert mail == await services.areas.key_letters.write_failing(ids)


@pytest.mark.usefixtures("failing")
async def test_nothing_is_sent_that_is_no_longer_so(services, ids, sandbox, look, api, agency):
    await api.patch(agency.path, {"alert_email": None})
    assert await services.areas.key_letters.write_failing(ids) is None
    await api.patch(agency.path, {"alert_email": ALERTS})
    assert await services.areas.key_letters.write_failing(ids | {"version": 2}) is None
    assert await services.areas.key_letters.write_failing(ids | {"agency_id": "agency_gone"}) is None
    sandbox.state.faults.clear()
    await look("vapi")
    assert await services.areas.key_letters.write_failing(ids) is None


async def test_no_credit_is_another_letter(services, ids, sandbox, look):
    sandbox.state.faults.set("vapi", {"fault": "wallet", "operation": "check"})
    await look("vapi")
    await look("vapi", minutes=1.01)
    mail = await services.areas.key_letters.write_failing(ids)
    assert mail.subject == "No credit left at Vapi"
    assert "add credit" in mail.text


async def test_lines_that_do_not_suffice(services, ids, sandbox, look):
    sandbox.state.retell.orgs.of(RETELL_KEY).concurrency_limit = 3
    await look("retell")
    mail = await services.areas.key_letters.write_overflowed(ids | {"kind": "retell"})
    assert (mail.to, mail.subject) == (ALERTS, "All lines at Retell were in use")
    assert "All of your 3 lines" in mail.text
    unknown = await services.areas.key_letters.write_overflowed(ids)
    assert "All of your lines" in unknown.text


async def test_a_shared_key_that_is_not_saved_is_another_letter(services, ids, agency):
    await services.database.settings.execute("UPDATE keys SET unproven_at = now() WHERE agency_id = $1", agency.id)
    mail = await services.areas.key_letters.write_failing(ids)
    assert "shared key" in mail.subject
    assert "remove the webhook rule" in " ".join(mail.text.split())
