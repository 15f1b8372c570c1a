"""The page API keys: saving, being refused, replacing, activating, deleting."""

from __future__ import annotations

import pytest

from adapters.registry import PROVIDERS
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN, BLAND_KEY, BROKE_KEYS, RETELL_KEY, VAPI_KEY
from adapters.twilio import ABOUT
from tests.router.api.client import Agency, Api
from tests.router.console.browsing import Browser, PageSeen, read_fields
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
    reopened = await browser.open(page.path)
    assert (reopened.status, reopened.heading) == (200, "API keys")


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


async def test_a_key_without_credit_is_saved_and_not_praised(browser: Browser):
    page = await save(browser, "bland", key=BROKE_KEYS["bland"])
    notice = page.tree.find("div", role="status").text
    assert "no credit is left" in notice
    assert "works" not in notice
    assert "used from the next call" not in notice
    assert "No AI can answer now" in page.words


@pytest.mark.parametrize("kind", ["vapi", "retell", "bland", "twilio"])
async def test_no_credit_is_shown_with_the_page_on_which_to_top_up(
    browser: Browser, services: Services, api: Api, agency: Agency, sandbox: RunningSandbox, kind: str
):
    account = sandbox.state.twilio.add_account("AC" + "7" * 32, "7" * 32)
    keys = {"vapi": VAPI_KEY, "retell": RETELL_KEY, "bland": BLAND_KEY}
    body = {"account_sid": account.sid, "auth_token": account.auth_token} if kind == "twilio" else {"key": keys[kind]}
    await api.put(f"{agency.path}/keys/{kind}", body)
    await services.database.settings.execute("UPDATE keys SET status = 'out_of_credit'")
    page = await browser.open("keys")
    assert "No credit is left" in card(page, kind)
    assert "Working" not in card(page, kind)
    link, *_ = page.tree.find("section", id=kind).find_all("a", rel="noreferrer")
    about = ABOUT if kind == "twilio" else next(one.about for one in PROVIDERS if one.name == kind)
    assert link.attributes["href"] == about.top_up


async def test_a_key_without_credit_can_be_undone_like_any_other_switch(browser: Browser, api: Api, agency: Agency):
    await save(browser, "vapi", key=VAPI_KEY)
    page = await save(browser, "bland", key=BROKE_KEYS["bland"])
    assert "No AI can answer now" not in page.words
    await browser.fill_in(page, "/keys/vapi/activate")
    assert (await api.get(agency.path))["active_provider"] == "vapi"


@pytest.mark.parametrize(
    ("kind", "fields", "fault"),
    [
        ("retell", {"key": CANARY}, None),
        ("retell", {"key": "ключ"}, None),
        ("retell", {"key": ""}, None),
        ("bland", {"key": CANARY}, None),
        ("retell", {"key": RETELL_KEY}, "503"),
        ("twilio", {"account_sid": "AC" + "1" * 32, "auth_token": CANARY}, None),
    ],
)
async def test_after_a_refusal_the_page_says_that_nothing_was_saved(
    browser: Browser, sandbox: RunningSandbox, kind: str, fields: dict[str, str], fault: str | None
):
    await save(browser, "vapi", key=VAPI_KEY)
    if fault:
        sandbox.state.faults.set(kind, fault)
    page = await save(browser, kind, **fields)
    alert = page.tree.find("div", role="alert").text
    assert "Nothing was saved" in alert
    assert "stays in use" not in alert
    again = await save(browser, "vapi", key=CANARY)
    assert "The key that was saved before stays in use" in again.tree.find("div", role="alert").text


def choice(page: PageSeen, kind: str) -> str | None:
    """Which choice is preselected; None if there is none."""
    return read_fields(page.form(f"/keys/{kind}")).get("activate")


async def test_a_saved_key_makes_its_provider_the_one_of_all_clients_until_it_is_undone(
    browser: Browser, api: Api, agency: Agency
):
    page = await browser.open("keys")
    assert choice(page, "vapi") is None  # no provider to switch from
    assert "use Vapi for all clients" in card(page, "vapi")
    page = await save(browser, "vapi", key=VAPI_KEY)
    assert choice(page, "vapi") is None
    assert choice(page, "retell") == "yes"
    assert "switch all clients to Retell" in page.form("/keys/retell").find("button").text
    page = await save(browser, "retell", key=RETELL_KEY)
    assert "Retell answers all clients from their next call on" in page.tree.find("div", role="status").text
    assert (await api.get(agency.path))["active_provider"] == "retell"
    back = await browser.fill_in(page, "/keys/vapi/activate")
    assert (await api.get(agency.path))["active_provider"] == "vapi"
    assert "Active" in card(back, "vapi")
    assert len((await api.get(f"{agency.path}/keys"))["items"]) == 2


@pytest.mark.parametrize("active", ["retell", "bland"])
async def test_the_choice_does_not_depend_on_which_provider_is_active(
    browser: Browser, api: Api, agency: Agency, active: str
):
    await save(browser, active, key={"retell": RETELL_KEY, "bland": BLAND_KEY}[active])
    await save(browser, "vapi", key=VAPI_KEY)
    assert (await api.get(agency.path))["active_provider"] == "vapi"


async def test_a_key_is_saved_without_switching_if_that_is_chosen(browser: Browser, api: Api, agency: Agency):
    await save(browser, "vapi", key=VAPI_KEY)
    page = await save(browser, "retell", key=RETELL_KEY, activate="no")
    assert "Vapi still answers your calls" in page.tree.find("div", role="status").text
    assert (await api.get(agency.path))["active_provider"] == "vapi"
    assert not page.tree.find_all("form", action=f"/console/{agency.id}/keys/vapi/activate")


async def test_replacing_the_key_of_a_standby_provider_keeps_the_active_one_unless_asked(
    browser: Browser, api: Api, agency: Agency
):
    await save(browser, "vapi", key=VAPI_KEY)
    page = await save(browser, "retell", key=RETELL_KEY, activate="no")
    assert choice(page, "retell") == "no"
    await save(browser, "retell", key=RETELL_KEY)
    assert (await api.get(agency.path))["active_provider"] == "vapi"
    await save(browser, "retell", key=RETELL_KEY, activate="yes")
    assert (await api.get(agency.path))["active_provider"] == "retell"
    assert choice(await browser.open("keys"), "vapi") == "no"  # the standby provider is now Vapi
    await browser.fill_in(await browser.fill_in(await browser.open("keys"), "/keys/vapi/delete"), "")
    assert choice(await browser.open("keys"), "vapi") == "yes"  # a first key again


async def test_a_refused_key_does_not_change_what_was_chosen(browser: Browser):
    await save(browser, "vapi", key=VAPI_KEY)
    page = await save(browser, "retell", key=CANARY, activate="no")
    assert (choice(page, "retell"), choice(page, "bland")) == ("no", "yes")


async def test_what_a_switch_would_lose_is_shown_with_the_choice(browser: Browser, api: Api, agency: Agency):
    await save(browser, "vapi", key=VAPI_KEY)
    assistant = {"prompt": "Answer.", "languages": ["en-US", "es-ES"], "voicemail_detection": True}
    await api.new_client(agency, name="Corner Bakery", assistant=assistant)
    await api.new_client(agency, name="Quiet Florist")
    page = await browser.open("keys")
    bland, retell = (page.form(f"/keys/{kind}").text for kind in ("bland", "retell"))
    assert "Corner Bakery Languages Voicemail detection" in bland
    assert "Nothing is lost" in retell
    assert "1 client without an assistant" in retell
    assert "New numbers in United States and Canada then come from Bland" in bland
    await api.patch(agency.path, {"numbers_from": "carrier"})
    assert "New numbers then come from Twilio" in (await browser.open("keys")).form("/keys/bland").text


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


async def test_the_address_for_webhooks_is_made_new(browser: Browser, api: Api, agency: Agency, services: Services):
    """By a form that needs no script."""
    for kind, key in (("vapi", VAPI_KEY), ("retell", RETELL_KEY)):
        await save(browser, kind, key=key)

    async def addresses() -> dict[str, str]:
        return {key["kind"]: key["webhook_url"] for key in (await api.get(f"{agency.path}/keys"))["items"]}

    async def former_ones() -> int:
        return await services.database.settings.fetchval("SELECT count(*) FROM former_webhook_tokens")

    before = await addresses()
    page = await browser.fill_in(await browser.open("keys"), "/keys/retell/webhook-token")
    first = await addresses()
    assert first["vapi"] == before["vapi"]
    assert first["retell"] != before["retell"]
    assert page.tree.find("section", id="retell").find_all("code")[-1].text == first["retell"]
    assert "The webhook address is new" in page.tree.find("div", role="status").text
    assert await former_ones() == 1, "it works for another hour"
    await browser.fill_in(await browser.open("keys"), "/keys/retell/webhook-token", compromised="yes")
    second = await addresses()
    assert second["retell"] != first["retell"]
    assert await former_ones() == 0
    actions = [entry["action"] for entry in (await api.get(f"{agency.path}/audit"))["items"]]
    assert actions.count("webhook_token.renewed") == 2


async def test_a_visitor_who_may_only_read_sees_no_address_and_makes_none_new(
    stranger: Browser, browser: Browser, api: Api, agency: Agency
):
    await save(browser, "vapi", key=VAPI_KEY)
    [key] = (await api.get(f"{agency.path}/keys"))["items"]
    reading = await api.post(f"{agency.path}/tokens", {"name": "Reader", "role": "read"})
    await stranger.sign_in(reading["token"])
    page = await stranger.open(f"/console/{agency.id}/keys")
    assert key["webhook_url"] not in page.text
    assert not [form for form in page.tree.find_all("form") if "webhook-token" in form.attributes.get("action", "")]
    form_token = page.form("/sign-out").find("input", name="form_token").attributes["value"]
    refused = await stranger.send(f"/console/{agency.id}/keys/vapi/webhook-token", {"form_token": form_token})
    assert refused.status == 403
    assert (await api.get(f"{agency.path}/keys"))["items"][0]["webhook_url"] == key["webhook_url"]


async def test_shared_keys_are_entered_together_shown_by_id_and_deleted(
    browser: Browser, api: Api, agency: Agency, sandbox: RunningSandbox
):
    account = sandbox.state.twilio.add_account("AC" + "7" * 32, "7" * 32)
    fields = {"account_sid": account.sid, "auth_token": account.auth_token}

    async def shared_keys() -> list[dict[str, str]]:
        kept: list[dict[str, str]] = (await api.get(f"{agency.path}/keys/twilio"))["shared_keys"]
        return kept

    page = await save(browser, "twilio", **fields, shared_keys=CANARY)
    assert page.status == 422
    assert "id:secret" in page.tree.find("p", id="e-twilio-shared_keys").text
    assert CANARY not in page.text
    page = await save(browser, "twilio", **fields, shared_keys=f" one:{CANARY}, two:{CANARY}:2 ")
    assert await shared_keys() == [{"id": "one"}, {"id": "two"}]
    assert "one two" in card(page, "twilio")
    assert CANARY not in page.text
    await save(browser, "twilio", **fields)
    assert await shared_keys() == [{"id": "one"}, {"id": "two"}]
    await save(browser, "twilio", **fields, forget_shared_keys="yes")
    assert await shared_keys() == []


async def test_a_kind_that_does_not_exist_is_not_found(browser: Browser):
    form_token = (await browser.open("keys")).form("/sign-out").find("input", name="form_token").attributes["value"]
    for action in ("keys/nobody", "keys/nobody/delete", "keys/nobody/activate", "keys/nobody/webhook-token"):
        assert (await browser.send(action, {"form_token": form_token})).status == 404


async def test_providers_are_compared_side_by_side(browser: Browser):
    page = await browser.open("providers")
    heads, *rows = page.tree.find("table").find_all("tr")
    offers = [one.about for one in PROVIDERS]
    assert [one.text for one in heads.find_all("th")][1:] == [about.label for about in offers]
    assert [one.text for one in rows[1].find_all("td")] == [about.costs for about in offers]
    assert {about.key_page for about in offers} < {one.attributes["href"] for one in page.tree.find_all("a")}
