"""Numbers: taking over, moving, letting go, and what is wrong with one."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import NUMBERS
from tests.router.api.client import Agency, Api, number_path
from tests.router.console.browsing import Browser
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio

SID, TOKEN, NUMBER = "AC" + "7" * 32, "7" * 32, "+15005550777"


@pytest.fixture
async def client(api: Api, agency: Agency, sandbox) -> dict:
    account = sandbox.state.twilio.add_account(SID, TOKEN)
    sandbox.state.twilio.add_number(account, NUMBER)
    await api.put(f"{agency.path}/keys/twilio", {"account_sid": SID, "auth_token": TOKEN})
    return await api.new_client(agency)


async def take_over(browser: Browser, e164: str = NUMBER):
    return await browser.fill_in(await browser.open("numbers/new"), "/take-over", e164=e164)


async def test_a_number_needs_a_client_first(browser: Browser):
    assert "create a client first" in (await browser.open("numbers")).words
    assert "Create a client first" in (await browser.open("numbers/new")).words


async def test_a_number_is_taken_over_however_it_is_written(browser: Browser, api: Api, agency: Agency, client: dict):
    page = await take_over(browser, "+1 (500) 555-0777")
    assert "set up" in page.words
    assert page.heading == "+1 500-555-0777"
    assert (await api.get(number_path(agency, NUMBER)))["client_id"] == client["id"]
    assert "Answered here" in (await browser.open("numbers")).words


@pytest.mark.usefixtures("client")
async def test_a_number_of_another_account_is_refused(browser: Browser):
    page = await take_over(browser, NUMBERS[0])
    assert page.status == 422
    assert "is not in the account" in page.tree.find("div", role="alert").text
    assert page.tree.find("input", id="f-e164").attributes["value"] == NUMBERS[0]


@pytest.mark.usefixtures("client")
async def test_the_platforms_account_is_the_operators_alone(browser: Browser, api: Api, agency: Agency):
    page = await browser.open("numbers/new")
    form = page.form("/take-over")
    values = {one.attributes["name"]: one.attributes.get("value", "") for one in form.find_all("input")}
    [client] = (await api.get(f"{agency.path}/clients"))["items"]
    forged = values | {"e164": NUMBERS[0], "client_id": client["id"], "account": "platform"}
    refused = await browser.send(form.attributes["action"], forged)
    assert refused.status == 422
    assert (await api.get(f"{agency.path}/numbers"))["items"] == []


@pytest.mark.usefixtures("client")
async def test_a_number_moves_to_another_client(browser: Browser, api: Api, agency: Agency):
    other = await api.new_client(agency, name="Corner Bakery")
    page = await browser.fill_in(await take_over(browser), "", client_id=other["id"])
    assert "belongs to this client" in page.words
    assert (await api.get(number_path(agency, NUMBER)))["client_id"] == other["id"]


@pytest.mark.usefixtures("client")
async def test_letting_go_of_an_own_number_says_that_it_stays(browser: Browser, api: Api, agency: Agency):
    question = await browser.fill_in(await take_over(browser), "/delete")
    assert "stays on your own Twilio account" in question.words
    assert (await browser.fill_in(question, "")).path.endswith("/numbers")
    assert (await api.get(f"{agency.path}/numbers"))["items"] == []


@pytest.mark.usefixtures("client")
async def test_a_registration_made_by_hand_is_saved_or_gets_an_error_at_its_field(
    browser: Browser, api: Api, agency: Agency
):
    page = await take_over(browser)
    refused = await browser.fill_in(page, "/registrations/bland", remote_id="nobody")
    assert "E.164" in refused.tree.find("p", id="e-bland-remote_id").text
    saved = await browser.fill_in(page, "/registrations/vapi", remote_id="phone-1")
    assert "Saved" in saved.words
    assert (await api.get(number_path(agency, NUMBER)))["registrations"]["vapi"]["remote_id"] == "phone-1"


@pytest.mark.usefixtures("client")
async def test_a_number_that_the_carrier_has_otherwise_says_so(browser: Browser, services: Services):
    await take_over(browser)
    await services.database.settings.execute("UPDATE numbers SET fallback_state = 'stale' WHERE e164 = $1", NUMBER)
    assert "The fallback is out of date" in (await browser.open(f"numbers/{NUMBER}")).words
    assert "Fallback out of date" in (await browser.open("numbers")).words
