"""An agency's Twilio numbers at Bland: uploaded by one connection of its own account, and pointing at us all the while."""

from __future__ import annotations

import json

import pytest

from adapters.portable import Assistant, Copy
from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN, BLAND_KEY
from crypto import Secret
from router.store.keys.versions import find_key_in_use
from router.store.numbers.numbers import find_number
from tests.router.numbers.conftest import OWN_TOKEN

pytestmark = pytest.mark.anyio

NUMBERS = ("+14155550100", "+14155550101")
ASSISTANT = Assistant(marker="client_1", name="Acme", prompt="You answer for Acme.", transfer_to="+14155550177")


@pytest.fixture
async def at_bland(market):
    """The agency's two numbers, each with its registration at Bland; gives the stand-in's org."""
    await market.use_own_account()
    await market.api.put(f"{market.agency.path}/keys/bland", {"key": BLAND_KEY})
    pool = market.services.database.settings
    for e164 in NUMBERS:
        await market.buy(e164=e164)
        number = await find_number(pool, market.agency.id, e164)
        await market.services.areas.registrations.ensure(number, "bland", Copy(None))
    return market.sandbox.state.bland.orgs.of(BLAND_KEY)


async def test_numbers_are_uploaded_by_one_connection_and_point_at_us_again(market, at_bland):
    own = await market.use_own_account()
    assert set(at_bland.uploaded) == set(NUMBERS)
    assert list(at_bland.accounts.values()) == [own.sid]
    for e164 in NUMBERS:
        number = await find_number(market.services.database.settings, market.agency.id, e164)
        assert own.number_called(e164)["voice_url"] == number.voice_url


async def test_the_assistant_reaches_every_uploaded_number_and_leaves_it(market, services, at_bland):
    key = await find_key_in_use(services.database.settings, market.agency.id, "bland")
    registrations = await services.areas.registrations.list_known(market.agency.id, market.client["id"], "bland")
    bland, wiring = services.voice["bland"], services.areas.wanted.places.wirings.make(key)
    copy = await bland.assistants.put_copy(bland.open(Secret(BLAND_KEY), 60), ASSISTANT, wiring, None, registrations)
    assert {at_bland.numbers[e164]["prompt"] for e164 in NUMBERS} == {"You answer for Acme."}
    assert {at_bland.numbers[e164]["webhook"] for e164 in NUMBERS} == {wiring.webhook_url}
    await bland.assistants.delete_copy(bland.open(Secret(BLAND_KEY), 60), copy, registrations)
    assert not at_bland.tools
    assert all("not set up" in at_bland.numbers[e164]["prompt"] for e164 in NUMBERS)


async def test_what_opens_the_account_is_nowhere_in_plain(market, services, at_bland, captured_events):
    (encrypted_key,) = at_bland.accounts
    rows = await services.database.settings.fetch("SELECT r::text AS whole FROM registrations r")
    jobs = await services.database.settings.fetch("SELECT q::text AS whole FROM pgqueuer q")
    kept = json.dumps([row["whole"] for row in (*rows, *jobs)])
    told = captured_events.text()
    shown = json.dumps(await market.numbers())
    assert len(rows) == len(NUMBERS)
    for secret in (encrypted_key, OWN_TOKEN, BLAND_KEY):
        assert secret not in kept
        assert secret not in told
        assert secret not in shown


async def test_the_platforms_own_account_never_goes_to_bland(market, at_bland):
    assert at_bland.uploaded
    sent = [asked for asked in market.sandbox.state.requests if asked.provider == "bland"]
    assert sent
    for asked in sent:
        assert AUTH_TOKEN.encode() not in asked.raw
        assert ACCOUNT_SID.encode() not in asked.raw
