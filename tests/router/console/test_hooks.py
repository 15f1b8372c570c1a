"""Webhooks of an agency: adding an address, its secret, what was sent, sending again, removing."""

from __future__ import annotations

import pytest

from tests.router.api.client import Agency, Api
from tests.router.api.test_calls import file_call
from tests.router.console.browsing import Browser, PageSeen
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:9/calls"


async def add(browser: Browser, **values) -> PageSeen:
    return await browser.fill_in(await browser.open("webhooks"), "/webhooks", **{"url": URL} | values)


async def test_an_address_gets_a_secret_that_is_shown_once(browser: Browser, api: Api, agency: Agency):
    page = await add(browser)
    secret = page.tree.find("div", role="status").find("code").text
    assert secret.startswith("whsec_")
    assert secret not in (await browser.open("webhooks")).text
    [endpoint] = (await api.get(f"{agency.path}/endpoints"))["items"]
    assert (endpoint["url"], endpoint["events"]) == (URL, ["*"])


async def test_it_may_hear_of_some_events_only(browser: Browser, api: Api, agency: Agency):
    await add(browser, which="some", events=["call.ended", "voicemail.received"])
    [endpoint] = (await api.get(f"{agency.path}/endpoints"))["items"]
    assert endpoint["events"] == ["call.ended", "voicemail.received"]


async def test_its_content_type_is_chosen_and_changed(browser: Browser, api: Api, agency: Agency):
    async def current() -> str:
        return (await api.get(f"{agency.path}/endpoints"))["items"][0]["content_type"]

    await add(browser)
    [endpoint] = (await api.get(f"{agency.path}/endpoints"))["items"]
    assert await current() == "application/json"
    page = await browser.open(f"webhooks/{endpoint['id']}")
    saved = await browser.fill_in(page, endpoint["id"], content_type="application/cloudevents+json")
    assert "Saved." in saved.words
    assert await current() == "application/cloudevents+json"
    refused = await browser.fill_in(page, endpoint["id"], content_type="text/plain")
    assert (refused.status, await current()) == (422, "application/cloudevents+json")
    await api.delete(f"{agency.path}/endpoints/{endpoint['id']}")
    await add(browser, content_type="application/cloudevents+json")
    assert await current() == "application/cloudevents+json"


async def test_what_was_entered_is_changed(browser: Browser, api: Api, agency: Agency):
    async def current() -> dict:
        return (await api.get(f"{agency.path}/endpoints"))["items"][0]

    await add(browser, which="some", events=["call.ended"], description="CRM")
    before = await current()
    assert "CRM" in (await browser.open("webhooks")).words
    page = await browser.open(f"webhooks/{before['id']}")
    same = await browser.fill_in(page, before["id"])
    assert ("Saved." in same.words, await current()) == (True, before)
    changes = {"url": f"{URL}/2", "events": ["call.ended", "voicemail.received"], "description": ""}
    await browser.fill_in(page, before["id"], **changes)
    assert await current() == before | changes | {"description": None}
    refused = await browser.fill_in(page, before["id"], url="ftp://x", description="Till")
    assert refused.tree.find("a", href="#f-url").text
    assert refused.form(before["id"]).find("input", id="f-description").attributes["value"] == "Till"
    assert (await current())["url"] == f"{URL}/2"
    await browser.fill_in(page, before["id"], which="all")
    assert (await current())["events"] == ["*"]


@pytest.mark.parametrize(("values", "field"), [({"url": "ftp://x"}, "url"), ({"which": "some"}, "events")])
async def test_an_error_is_shown_at_its_field(browser: Browser, values: dict, field: str):
    page = await add(browser, **values)
    assert page.status == 422
    assert page.tree.find("a", href=f"#f-{field}").text


async def test_what_was_sent_is_listed_and_can_be_sent_again(
    browser: Browser, api: Api, agency: Agency, services: Services
):
    await add(browser)
    [endpoint] = (await api.get(f"{agency.path}/endpoints"))["items"]
    await file_call(services, agency, "call_1")
    now = services.clock()
    await services.database.settings.execute(
        "INSERT INTO call_events (id, call_id, at, event, step) VALUES ('event_1', 'call_1', $1, 'call.ended', 'end')",
        now,
    )
    page = await browser.open(f"webhooks/{endpoint['id']}")
    assert "No deliveries yet" in page.words
    again = await browser.fill_in(page, "/replay", span="day")
    assert "being sent again" in again.words
    [row] = again.tree.find("tbody").find_all("tr")
    assert "The call ended" in row.text
    assert "Waiting" in row.text
    assert "None in this state" in (await browser.open(f"webhooks/{endpoint['id']}?state=dead")).words
    delivery = await browser.open(row.find("a").attributes["href"])
    assert "It has not been sent yet" in delivery.words
    assert "being sent again" in (await browser.fill_in(delivery, "/resend")).words


async def test_a_webhook_is_tested_paused_and_gets_a_new_secret(browser: Browser, api: Api, agency: Agency):
    await add(browser)
    [endpoint] = (await api.get(f"{agency.path}/endpoints"))["items"]
    page = await browser.open(f"webhooks/{endpoint['id']}")
    tested = await browser.fill_in(page, "/test", event="call.ended")
    assert "The test event was not accepted: unreachable" in tested.words
    assert '"type": "call.ended"' in tested.words
    question = await browser.fill_in(page, "/rotate-secret")
    assert "Make a new secret?" in question.words
    fresh = await browser.fill_in(question, "")
    secret = fresh.tree.find("div", role="status").find("code").text
    assert secret.startswith("whsec_")
    later = await browser.open(f"webhooks/{endpoint['id']}")
    assert secret not in later.text
    assert "also signs until" in later.words
    paused = await browser.fill_in(await browser.fill_in(page, "/pause"), "")
    assert "until you resume it" in paused.words
    assert (await api.get(f"{agency.path}/endpoints"))["items"][0]["paused"] is True


async def test_an_address_that_is_gone_says_so_and_is_resumed(
    browser: Browser, api: Api, agency: Agency, services: Services
):
    await add(browser)
    [endpoint] = (await api.get(f"{agency.path}/endpoints"))["items"]
    await services.database.settings.execute("UPDATE endpoints SET paused = true, gone_at = $1", services.clock())
    assert "Paused" in (await browser.open("webhooks")).words
    page = await browser.open(f"webhooks/{endpoint['id']}")
    assert "410 Gone" in page.words
    assert "Send events again" not in page.words
    resumed = await browser.fill_in(page, "/resume")
    assert "receives events again" in resumed.words
    assert "410 Gone" not in resumed.words
    assert (await api.get(f"{agency.path}/endpoints"))["items"][0]["paused"] is False


async def test_an_address_is_removed_only_after_a_question(browser: Browser, api: Api, agency: Agency):
    await add(browser)
    [endpoint] = (await api.get(f"{agency.path}/endpoints"))["items"]
    question = await browser.fill_in(await browser.open(f"webhooks/{endpoint['id']}"), "/delete")
    assert "Remove this address?" in question.words
    assert (await browser.fill_in(question, "")).path.endswith("/webhooks")
    assert (await api.get(f"{agency.path}/endpoints"))["items"] == []
    assert (await browser.open(f"webhooks/{endpoint['id']}")).status == 404
