"""Numbers: taking over, moving, letting go, and what is wrong with one."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import BLAND_KEY, NUMBERS, RETELL_KEY
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


async def offers(browser: Browser, client_id: str):
    """What is for sale, by seller, in the order of the page."""
    page = await browser.open(f"numbers/new?country=US&client={client_id}")
    return {
        one.attributes["aria-labelledby"].removeprefix("from-"): one
        for one in page.tree.find_all("section", **{"class": "seller"})
    }


async def test_each_offer_says_what_it_means_before_the_purchase(browser: Browser, api: Api, agency: Agency):
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY})
    await api.put(f"{agency.path}/keys/bland", {"key": BLAND_KEY, "activate": False})
    owned = await api.new_client(agency, name="Corner Bakery", personal_phone="+14155550188")
    alone = await api.new_client(agency, name="Quiet Florist")

    seen = await offers(browser, owned["id"])
    assert list(seen) == ["retell", "bland", "twilio"]  # the one first that sells by default
    assert "Default" in seen["retell"].text
    assert "The new provider answers this number" in seen["twilio"].text
    for seller, when in (("retell", "outage mode"), ("bland", "maintenance")):
        assert f"The number stays at {seller.title()}" in seen[seller].text
        assert "No other provider, owner's phone or voicemail of ours takes the call" in seen[seller].text
        assert "rings the owner's phone +1 415-555-0188" in seen[seller].text
        assert when in seen[seller].text
        assert "This client has no owner's phone" not in seen[seller].text
        asked = seen[seller].find("form").attributes["data-confirm-text"]
        assert f"this number stays at {seller.title()}" in asked
        assert "+1 415-555-0188" in asked
    for form in seen["twilio"].find_all("form"):
        assert "that one answers" in form.attributes["data-confirm-text"]

    seen = await offers(browser, alone["id"])
    for seller in ("retell", "bland"):
        assert "This client has no owner's phone" in seen[seller].text
    assert "no owner's phone" not in seen["twilio"].text

    await api.patch(agency.path, {"numbers_from": "carrier"})
    seen = await offers(browser, owned["id"])
    assert next(iter(seen)) == "twilio"


async def test_without_script_the_question_before_a_purchase_says_it_too(browser: Browser, api: Api, agency: Agency):
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY})
    alone = await api.new_client(agency)
    page = await browser.open(f"numbers/new?country=US&client={alone['id']}")
    question = await browser.fill_in(page, "/numbers/new/buy")
    assert question.heading == "Buy a number from Retell?"
    assert "stays at Retell" in question.words
    assert "No phone is rung" in question.words
    assert (await api.get(f"{agency.path}/numbers"))["items"] == []


async def test_a_native_number_shows_whom_its_provider_rings_and_warns_if_that_is_no_one(
    browser: Browser, api: Api, agency: Agency
):
    await api.put(f"{agency.path}/keys/bland", {"key": BLAND_KEY})
    client = await api.new_client(agency, personal_phone="+14155550188", assistant={"prompt": "Answer."})
    number = (await api.post(f"{agency.path}/numbers", {"country": "US", "client_id": client["id"]}))["e164"]
    page = await browser.open(f"numbers/{number}")
    assert "Bland rings the owner's phone +1 415-555-0188, but only during Bland's maintenance" in page.words
    assert "Answered by Bland" in page.words
    await api.patch(f"{agency.path}/clients/{client['id']}", {"personal_phone": None})
    assert "The client has no owner's phone" in (await browser.open(f"numbers/{number}")).words


async def test_where_new_numbers_come_from_is_a_setting(browser: Browser, api: Api, agency: Agency):
    for choice in ("carrier", "provider"):
        await browser.fill_in(await browser.open("settings"), "/settings", numbers_from=choice)
        assert (await api.get(agency.path))["numbers_from"] == choice
    await api.patch(agency.path, {"numbers_from": "carrier"})
    await browser.fill_in(await browser.open("settings"), "/settings", name="Brighter Voice")
    assert (await api.get(agency.path))["numbers_from"] == "carrier"


@pytest.mark.usefixtures("client")
async def test_a_number_of_the_original_database_is_removed_here_only(browser: Browser, services: Services):
    await take_over(browser)
    await services.database.settings.execute("UPDATE numbers SET state = 'elsewhere'")
    assert "Belongs to the original database" in (await browser.open("numbers")).words
    page = await browser.open(f"numbers/{NUMBER}")
    assert "Remove this number here" in page.words
    assert "Nothing changes at Twilio" in page.response.text


async def test_every_address_that_a_form_is_sent_to_leads_to_a_page_when_it_is_opened(browser: Browser):
    for address, heading in (
        ("numbers/new/buy", "Add a number"),
        ("numbers/new/take-over", "Add a number"),
        ("keys/vapi/delete", "API keys"),
        ("tokens/invite", "Access"),
        ("clients/new", "New client"),
    ):
        assert (await browser.open(address)).heading == heading, address


@pytest.mark.usefixtures("client")
async def test_buying_is_asked_about_as_a_purchase_and_not_as_a_loss(browser: Browser):
    page = await browser.open("numbers/new?country=US")
    form = page.form("/numbers/new/buy")
    assert "monthly price" in form.attributes["data-confirm-text"]
    assert "data-confirm-look" not in form.attributes
    question = await browser.fill_in(page, "/numbers/new/buy")
    (button,) = question.form("").find_all("button")
    assert (button.text, button.attributes.get("class")) == ("Buy number", None)


@pytest.mark.usefixtures("client")
async def test_a_test_call_is_placed_from_the_page_of_a_number(browser: Browser, sandbox):
    page = await take_over(browser)
    refused = await browser.fill_in(page, "/test-call", phone=NUMBER)
    assert "Phone: must be a phone of yours" in refused.tree.find("div", role="alert").text
    placed = await browser.fill_in(await browser.open(f"numbers/{NUMBER}"), "/test-call", phone="+1 415 555 0188")
    assert "Your phone rings now." in placed.words
    (call,) = sandbox.state.twilio.accounts[SID].calls.values()
    assert (call.caller, call.to) == (NUMBER, "+14155550188")
