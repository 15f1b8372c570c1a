"""The page API keys: saving, being refused, replacing, activating, deleting."""

from __future__ import annotations

import pytest

from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN, BROKE_KEYS, RETELL_KEY, VAPI_KEY
from tests.router.api.client import Agency, Api
from tests.router.console.browsing import Browser, PageSeen
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio

CANARY = "canary-key-1f9e6b70-must-not-be-shown"


def card(page: PageSeen, kind: str) -> str:
    return page.tree.find("section", id=kind).text


async def save(browser: Browser, kind: str, **fields: str) -> PageSeen:
    return await browser.fill_in(await browser.open("keys"), f"/keys/{kind}", **fields)


async def test_without_a_voice_key_the_page_says_that_no_ai_can_answer(browser: Browser):
    page = await browser.open("keys")
    assert "No AI can answer yet" in page.words
    for label in ("Vapi", "Retell", "Bland", "Twilio"):
        assert label in page.words


async def test_a_good_key_is_saved_and_its_provider_answers(browser: Browser, api: Api, agency: Agency):
    page = await save(browser, "vapi", key=f"  {VAPI_KEY} ")
    assert "saved" in page.tree.find("div", role="status").text
    assert "No AI can answer yet" not in page.words
    shown = card(page, "vapi")
    assert "Active" in shown
    assert "Working" in shown
    assert f"••••{VAPI_KEY[-4:]}" in shown
    assert VAPI_KEY not in page.text
    assert (await api.get(agency.path))["active_provider"] == "vapi"


async def test_a_refused_key_is_not_saved_and_not_shown_again(browser: Browser, api: Api, agency: Agency):
    page = await save(browser, "vapi", key=CANARY)
    assert page.status == 422
    assert CANARY not in page.text
    assert "Vapi" in page.tree.find("div", role="alert").text
    assert "open" in page.tree.find("section", id="vapi").find("details").attributes
    assert (await api.get(f"{agency.path}/keys"))["items"] == []


async def test_an_entered_key_is_in_no_log_and_no_row(browser: Browser, services: Services, captured_events):
    await save(browser, "vapi", key=CANARY)
    await save(browser, "retell", key=RETELL_KEY, webhook_key=CANARY)
    assert "key.saved" in captured_events.names()
    assert CANARY not in captured_events.text()
    assert RETELL_KEY not in captured_events.text()
    tables = await services.database.settings.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        rows = await services.database.settings.fetch(f"SELECT * FROM {table['tablename']}")  # noqa: S608
        assert CANARY not in repr(rows)
        assert RETELL_KEY not in repr(rows)


async def test_a_malformed_key_gets_an_error_at_its_field(browser: Browser):
    page = await save(browser, "retell", key="ключ")
    assert page.status == 422
    assert page.tree.find("input", id="f-retell-key").attributes["aria-invalid"] == "true"
    assert "ASCII" in page.tree.find("p", id="e-retell-key").text
    assert page.tree.find("a", href="#f-retell-key")


async def test_an_unreachable_provider_is_not_reported_as_a_bad_key(browser: Browser, sandbox: RunningSandbox):
    sandbox.state.faults.set("vapi", "503")
    page = await save(browser, "vapi", key=VAPI_KEY)
    assert page.status == 503
    assert "could not be asked" in page.tree.find("div", role="alert").text


async def test_a_key_without_credit_says_so(browser: Browser):
    assert "No credit left" in card(await save(browser, "bland", key=BROKE_KEYS["bland"]), "bland")


async def test_a_second_provider_is_made_active_only_after_its_plan_was_shown(
    browser: Browser, api: Api, agency: Agency
):
    await save(browser, "vapi", key=VAPI_KEY)
    plan = await save(browser, "retell", key=RETELL_KEY)
    assert plan.heading == "Make Retell active"
    assert "still answers your calls" in plan.tree.find("div", role="status").text
    assert (await api.get(agency.path))["active_provider"] == "vapi"
    page = await browser.fill_in(plan, "/keys/retell/activate")
    assert (await api.get(agency.path))["active_provider"] == "retell"
    back = await browser.fill_in(page, "/keys/vapi/activate")
    assert (await api.get(agency.path))["active_provider"] == "vapi"
    assert "Active" in card(back, "vapi")


async def test_twilio_takes_an_account(browser: Browser):
    page = await save(browser, "twilio", account_sid="AC12", auth_token=CANARY)
    assert "32 hexadecimal" in page.tree.find("p", id="e-twilio-account_sid").text
    assert CANARY not in page.text
    page = await save(browser, "twilio", account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN)
    assert "platform's own account" in page.words
    assert AUTH_TOKEN not in page.text


async def test_a_key_is_deleted_only_after_a_question(browser: Browser, api: Api, agency: Agency):
    await save(browser, "vapi", key=VAPI_KEY)
    question = await browser.fill_in(await browser.open("keys"), "/keys/vapi/delete")
    assert question.heading == "Delete the Vapi key?"
    assert len((await api.get(f"{agency.path}/keys"))["items"]) == 1
    page = await browser.fill_in(question, "")
    assert "erased" in page.words
    assert (await api.get(f"{agency.path}/keys"))["items"] == []


async def test_an_address_for_webhooks_is_there_to_be_copied(browser: Browser, api: Api, agency: Agency):
    await save(browser, "vapi", key=VAPI_KEY)
    [key] = (await api.get(f"{agency.path}/keys"))["items"]
    page = await browser.open("keys")
    assert page.tree.find("section", id="vapi").find_all("button", **{"data-copy": key["webhook_url"]})


async def test_a_kind_that_does_not_exist_is_not_found(browser: Browser):
    form_token = (await browser.open("keys")).form("/sign-out").find("input", name="form_token").attributes["value"]
    for action in ("keys/nobody", "keys/nobody/delete", "keys/nobody/activate"):
        assert (await browser.send(action, {"form_token": form_token})).status == 404
