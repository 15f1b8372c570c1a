"""Clients and their assistants: what is entered is what the API gets, and what it refuses is told at the field."""

from __future__ import annotations

import json

import pytest

from adapters.registry import PROVIDERS
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.world import RETELL_KEY
from tests.router.api.client import Agency, Api
from tests.router.console.browsing import Browser, PageSeen
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio

ASSISTANT = {
    "prompt": "You answer for a salon.\nBe kind.",
    "greeting": "Hello!",
    "languages": ["en-US", "es-ES"],
    "transfer_to": "+14155550188",
    "max_seconds": 600,
    "voicemail_detection": True,
    "functions": [
        {"name": "book", "description": "Books", "parameters": {"type": "object"}, "url": "https://example.com/"}
    ],
    "knowledge": [{"title": "Prices", "text": "A cut is 30.\nA wash is 10."}],
    "voice": {"vapi": {"provider": "11labs", "voiceId": "x"}},
}


@pytest.fixture
async def client(api: Api, agency: Agency) -> dict:
    return await api.new_client(agency, personal_phone="+14155550199")


async def read(api: Api, agency: Agency, client: dict) -> dict:
    return await api.get(f"{agency.path}/clients/{client['id']}")


def error_at(page: PageSeen, field: str) -> str:
    assert page.status == 422
    assert page.tree.find("a", href=f"#f-{field}")
    return page.tree.find("p", id=f"e-{field}").text


async def test_a_client_is_made_and_its_assistant_asked_for_next(browser: Browser, api: Api, agency: Agency):
    page = await browser.fill_in(await browser.open("clients/new"), "", name="Bella's Salon")
    assert page.path.endswith("/assistant")
    assert "Client created" in page.words
    [made] = (await api.get(f"{agency.path}/clients"))["items"]
    assert made["name"] == "Bella's Salon"
    assert made["routing"]["hours"] is None


async def test_making_it_twice_by_a_double_click_makes_one(browser: Browser, api: Api, agency: Agency):
    form = await browser.open("clients/new")
    for _ in range(2):
        await browser.fill_in(form, "", name="Bella's Salon")
    assert len((await api.get(f"{agency.path}/clients"))["items"]) == 1


async def test_opening_and_saving_changes_nothing(browser: Browser, api: Api, agency: Agency, client: dict):
    hours = {
        "timezone": "America/New_York",
        "open": [
            {"days": ["mon", "tue", "fri"], "from": "09:00", "to": "12:30"},
            {"days": ["mon"], "from": "13:30", "to": "24:00"},
            {"days": ["sat"], "from": "22:00", "to": "02:00"},
        ],
        "closed_mode": "ring_through",
    }
    routing = client["routing"] | {"mode": "owner_first", "hours": hours, "ring_seconds": 20, "screen": False}
    one = f"{agency.path}/clients/{client['id']}"
    before = await api.patch(one, {"routing": routing, "caller_id": "number", "assistant": ASSISTANT})
    await browser.fill_in(await browser.open(f"clients/{client['id']}"), "")
    await browser.fill_in(await browser.open(f"clients/{client['id']}/assistant"), "")
    assert await api.get(one) == before


async def test_hours_are_entered_by_weekday(browser: Browser, api: Api, agency: Agency, client: dict):
    page = await browser.open(f"clients/{client['id']}")
    await browser.fill_in(
        page,
        "",
        has_hours="yes",
        timezone="Europe/London",
        closed_mode="voicemail",
        fri_from=["09:00", "13:00"],
        fri_to=["12:00", "15:00"],
    )
    hours = (await read(api, agency, client))["routing"]["hours"]
    assert hours["open"] == [
        {"days": ["mon", "tue", "wed", "thu"], "from": "09:00", "to": "17:00"},
        {"days": ["fri"], "from": "09:00", "to": "12:00"},
        {"days": ["fri"], "from": "13:00", "to": "15:00"},
    ]
    assert hours["timezone"] == "Europe/London"


async def test_days_that_are_open_24_hours_are_ticked_and_stay_so(
    browser: Browser, api: Api, agency: Agency, client: dict
):
    page = await browser.open(f"clients/{client['id']}")
    await browser.fill_in(
        page,
        "",
        has_hours="yes",
        timezone="Europe/London",
        mon_all_day="yes",  # its usual times are still in the fields
        sat_all_day="yes",
        sun_from=["00:00", ""],
        sun_to=["00:00", ""],
        fri_from=["18:00", ""],
        fri_to=["00:00", ""],
    )
    hours = (await read(api, agency, client))["routing"]["hours"]
    assert hours["open"] == [
        {"days": ["mon", "sat", "sun"], "from": "00:00", "to": "24:00"},
        {"days": ["tue", "wed", "thu"], "from": "09:00", "to": "17:00"},
        {"days": ["fri"], "from": "18:00", "to": "24:00"},
    ]
    again = await browser.open(f"clients/{client['id']}")
    ticked = again.tree.find_all("input", type="checkbox", checked="")
    assert {"mon_all_day", "sat_all_day", "sun_all_day"} <= {each.attributes["name"] for each in ticked}
    assert "24:00" not in again.text
    await browser.fill_in(again, "")
    assert (await read(api, agency, client))["routing"]["hours"] == hours


async def test_an_invalid_span_gets_an_error_at_its_day(browser: Browser, client: dict):
    page = await browser.open(f"clients/{client['id']}")
    again = await browser.fill_in(
        page, "", has_hours="yes", timezone="Europe/London", fri_from=["10:00", ""], fri_to=["10:00", ""]
    )
    assert again.status == 422
    friday = again.tree.find("fieldset", id="f-hours_fri")
    assert "must differ" in friday.text
    assert friday.find("input", name="fri_from").attributes["value"] == "10:00"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "not be empty"),
        ("personal_phone", "0123", "E.164"),
        ("notify_email", "nobody", "e-mail"),
        ("ring_seconds", "soon", "whole number from 5 to 60"),
        ("ring_seconds", "600", "60"),
    ],
)
async def test_an_error_is_shown_at_its_field_with_the_entered_value(
    browser: Browser, client: dict, field, value, said
):
    page = await browser.open(f"clients/{client['id']}")
    again = await browser.fill_in(page, "", **{field: value})
    assert said in error_at(again, field)
    assert again.tree.find("input", name=field).attributes["value"] == value
    assert again.tree.find("title").text.startswith("Error: ")


async def test_a_mode_that_rings_needs_the_owners_phone(browser: Browser, client: dict):
    page = await browser.open(f"clients/{client['id']}")
    again = await browser.fill_in(page, "", mode="ring_through", personal_phone="")
    assert "Is required" in error_at(again, "personal_phone")


async def test_emails_that_are_not_delivered_show_at_the_client_and_the_agency(
    browser: Browser, services: Services, client: dict
):
    pool, problem = services.database.settings, "the mail server refuses the address (550)"
    await pool.execute("UPDATE clients SET notify_email = 'o@example.com', notify_email_problem = $1", problem)
    await pool.execute("UPDATE agencies SET alert_email = 'a@example.com', alert_email_problem = $1", problem)
    assert "Emails not delivered" in (await browser.open("clients")).words
    for page, address in (
        ("settings", "a@"),
        (f"clients/{client['id']}", "o@"),
        (f"clients/{client['id']}/assistant", "o@"),
    ):
        words = (await browser.open(page)).words
        assert f"Emails to {address}example.com are not delivered: {problem}." in words


async def test_an_assistant_is_described_field_by_field(browser: Browser, api: Api, agency: Agency, client: dict):
    page = await browser.open(f"clients/{client['id']}/assistant")
    saved = await browser.fill_in(
        page,
        "",
        prompt=ASSISTANT["prompt"].replace("\n", "\r\n"),
        greeting="Hello!",
        languages=["en-US", "es-ES", ""],
        transfer_to="+14155550188",
        max_seconds="600",
        voicemail_detection="yes",
        function_0_name="book",
        function_0_description="Books",
        function_0_url="https://example.com/",
        knowledge_title="Prices",
        knowledge_text="A cut is 30.\r\nA wash is 10.",
        voice_vapi=json.dumps(ASSISTANT["voice"]["vapi"]),
    )
    assert "being updated" in saved.words
    assert (await read(api, agency, client))["assistant"] == ASSISTANT


async def test_an_assistant_is_removed_only_after_a_question(browser: Browser, api: Api, agency: Agency, client: dict):
    await api.patch(f"{agency.path}/clients/{client['id']}", {"assistant": {"prompt": "Hello"}})
    page = await browser.open(f"clients/{client['id']}/assistant")
    emptied = await browser.fill_in(page, "", prompt=" ")
    assert "Write instructions for the assistant, or remove it." in error_at(emptied, "prompt")
    question = await browser.fill_in(page, "/assistant/remove")
    assert (await read(api, agency, client))["assistant"] is not None
    removed = await browser.fill_in(question, "")
    assert "No AI answers this client's calls" in removed.tree.find("div", **{"class": "notice warn"}).text
    assert (await read(api, agency, client))["assistant"] is None


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("voice_vapi", "[]", "an object"),
        ("languages", "english please", "BCP 47"),
        ("transfer_to", "555", "E.164"),
        ("max_seconds", "5", "60"),
        ("knowledge_title_0", "", "not be empty"),
    ],
)
async def test_an_error_in_an_assistant_is_shown_at_its_field(browser: Browser, client: dict, field, value, said):
    page = await browser.open(f"clients/{client['id']}/assistant")
    filled = (
        {"prompt": "Hello", "knowledge_text": "Something"} if field.startswith("knowledge") else {"prompt": "Hello"}
    )
    name = field.removesuffix("_0")
    again = await browser.fill_in(page, "", **filled | {name: value})
    assert said in error_at(again, field)
    assert "Hello" in again.tree.find("textarea", name="prompt").text


@pytest.mark.parametrize(
    ("filled", "field", "said"),
    [
        ({"function_0_schema": "[{]"}, "function_0_parameters", "line 1, column 3"),
        ({"function_0_schema": "[]"}, "function_0_parameters", "JSON Schema"),
        ({"function_0_schema": "[" * 100_000}, "function_0_parameters", "not valid JSON"),
        ({"function_0_schema": '{"type": "array"}'}, "function_0_parameters", "object"),
        ({"function_0_parameter_name": ["at", "at", ""]}, "function_0_parameters", "name of its own"),
        ({"function_0_name": "a b"}, "function_0_name", "letters, digits"),
        ({"function_0_url": "x"}, "function_0_url", "http"),
    ],
)
async def test_an_error_in_a_function_is_shown_at_its_field(browser: Browser, client: dict, filled, field, said):
    page = await browser.open(f"clients/{client['id']}/assistant")
    right = {"prompt": "Hello", "function_0_name": "book", "function_0_url": "https://example.com/"}
    assert said in error_at(await browser.fill_in(page, "", **right | filled), field)


async def test_a_definition_without_instructions_gets_an_error(browser: Browser, client: dict):
    page = await browser.open(f"clients/{client['id']}/assistant")
    again = await browser.fill_in(page, "", greeting="Hello")
    assert "Write instructions" in error_at(again, "prompt")


async def test_an_assistant_is_linked_and_unlinked(
    browser: Browser, api: Api, agency: Agency, client: dict, sandbox: RunningSandbox
):
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY, "activate": False})
    agent = sandbox.state.retell.add_assistant(sandbox.state.retell.orgs.of(RETELL_KEY))
    places = f"{agency.path}/clients/{client['id']}/assistants"
    page = await browser.open(f"clients/{client['id']}/providers")
    again = await browser.fill_in(page, "/providers/retell", remote_id="agent with space")
    assert "visible ASCII" in error_at(again, "retell-remote_id")
    linked = await browser.fill_in(again, "/providers/retell", remote_id=agent)
    assert "Linked" in linked.tree.find("section", **{"aria-labelledby": "retell-title"}).text
    states = {one["provider"]: one["state"] for one in (await api.get(places))["items"]}
    assert states == dict.fromkeys((one.name for one in PROVIDERS), "missing") | {"retell": "linked"}
    question = await browser.fill_in(linked, "/providers/retell/unlink")
    unlinked = await browser.fill_in(question, "")
    assert "Unlinked" in unlinked.words
    assert {one["state"] for one in (await api.get(places))["items"]} == {"missing"}


async def test_a_client_is_deleted_only_after_a_question(browser: Browser, api: Api, agency: Agency, client: dict):
    question = await browser.fill_in(await browser.open(f"clients/{client['id']}"), "/delete")
    assert question.heading == f"Delete {client['name']}?"
    assert len((await api.get(f"{agency.path}/clients"))["items"]) == 1
    assert "deleted" in (await browser.fill_in(question, "")).words
    assert (await api.get(f"{agency.path}/clients"))["items"] == []


async def test_a_phone_is_entered_as_people_type_it(browser: Browser, api: Api, agency: Agency, client: dict):
    one = f"clients/{client['id']}"
    await browser.fill_in(await browser.open(one), "", personal_phone="\u200e+1\u00a0(415) 555\u20110142")
    await browser.fill_in(
        await browser.open(f"{one}/assistant"), "", prompt="Be kind.", transfer_to="\uff0b1 415 555 0143"
    )
    saved = await read(api, agency, client)
    assert (saved["personal_phone"], saved["assistant"]["transfer_to"]) == ("+14155550142", "+14155550143")
    page = await browser.open(one)
    assert page.tree.find("input", name="personal_phone").attributes["value"] == "+14155550142"


@pytest.mark.parametrize(
    ("place", "field", "others"), [("", "personal_phone", {}), ("/assistant", "transfer_to", {"prompt": "Be kind."})]
)
async def test_a_phone_that_no_plan_lists_is_saved_with_a_tick(browser: Browser, client: dict, place, field, others):
    page = await browser.open(f"clients/{client['id']}{place}")
    assert not page.tree.find_all("input", name="accept_unlisted")
    refused = await browser.fill_in(page, "", **others, **{field: "+44 2071234"})
    assert "accept_unlisted" in error_at(refused, field)
    saved = await browser.fill_in(refused, "", accept_unlisted="yes")
    assert saved.status == 200
    page = await browser.open(f"clients/{client['id']}{place}")
    assert page.tree.find("input", name=field).attributes["value"] == "+442071234"
    again = await browser.fill_in(page, "")
    assert again.status == 200


async def test_a_copied_client_has_the_same_settings_and_its_own_phones(
    browser: Browser, api: Api, agency: Agency, client: dict
):
    await api.patch(f"{agency.path}/clients/{client['id']}", {"assistant": ASSISTANT})
    form = await browser.open(f"clients/{client['id']}/copy")
    refused = await browser.fill_in(form, "", name="Bella's, downtown", transfer_to="12")
    assert error_at(refused, "transfer_to")
    page = await browser.fill_in(form, "", name="Bella's, downtown", transfer_to="+14155550177")
    assert "Client created" in page.words
    clients = (await api.get(f"{agency.path}/clients"))["items"]
    [made] = [one for one in clients if one["name"] == "Bella's, downtown"]
    assert made["personal_phone"] is None
    assert made["assistant"] == ASSISTANT | {"transfer_to": "+14155550177"}


async def test_a_client_s_page_shows_its_numbers_and_its_assistant_as_they_are_now(browser: Browser, client: dict):
    page = await browser.open(f"clients/{client['id']}")
    now = page.tree.find("section", **{"aria-labelledby": "now"})
    for said in ("Copy this client", "Add one", "Describe it", "No calls yet"):
        assert said in now.text


async def test_a_voice_is_chosen_from_the_provider_s_list_and_the_other_settings_stay(
    browser: Browser, api: Api, agency: Agency, client: dict
):
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY, "activate": False})
    voice = {"retell": {"voice_id": "11labs-Adrian", "voice_speed": 1.1}, "vapi": {"voiceId": "Elliot"}}
    assistant = {"prompt": "Hello", "voice": voice}
    await api.patch(f"{agency.path}/clients/{client['id']}", {"assistant": assistant})
    page = await browser.open(f"clients/{client['id']}/assistant/voices/retell")
    adrian, alloy = page.tree.find("tbody").find_all("tr")
    assert "Chosen" in adrian.text
    assert alloy.find("a").attributes["href"].endswith("/alloy.mp3")
    saved = await browser.fill_in(page, "/voices/retell", voice=alloy.find("button").attributes["value"])
    assert "being updated" in saved.words
    chosen = voice | {"retell": {"voice_id": "openai-Alloy", "voice_speed": 1.1}}
    assert (await read(api, agency, client))["assistant"] == assistant | {"voice": chosen}


async def test_voices_without_a_key_say_what_is_missing(browser: Browser, client: dict):
    page = await browser.open(f"clients/{client['id']}/assistant/voices/retell")
    assert "no key for Retell" in page.tree.find("div", role="alert").text
