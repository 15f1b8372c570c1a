"""The agency's own settings, and what was changed by whom."""

from __future__ import annotations

import pytest

from router.console import words
from tests.router.api.client import ADMIN_TOKEN, Agency, Api
from tests.router.console.browsing import Browser
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio


async def test_name_alerts_and_stand_ins_are_saved(browser: Browser, api: Api, agency: Agency):
    page = await browser.open("settings")
    saved = await browser.fill_in(
        page,
        "/settings",
        name="Brighter Voice",
        alert_email="a@example.com",
        stand_in="order",
        order=["bland", "", "vapi"],
    )
    assert "Saved" in saved.words
    shown = await api.get(agency.path)
    assert (shown["name"], shown["alert_email"]) == ("Brighter Voice", "a@example.com")
    assert shown["fallback_providers"] == ["bland", "vapi"]
    for choice, kept in (("none", []), ("all", None)):
        await browser.fill_in(await browser.open("settings"), "/settings", stand_in=choice)
        assert (await api.get(agency.path))["fallback_providers"] == kept


async def test_how_long_messages_are_kept_is_the_agencys_choice(browser: Browser, api: Api, agency: Agency):
    for days, kept in (("90", 90), ("", None)):
        await browser.fill_in(await browser.open("settings"), "/settings", retention_days=days)
        assert (await api.get(agency.path))["retention_days"] == kept
    again = await browser.fill_in(await browser.open("settings"), "/settings", retention_days="soon")
    assert again.tree.find("p", id="e-retention_days").text
    assert again.tree.find("input", id="f-retention_days").attributes["value"] == "soon"


async def test_an_error_is_shown_at_its_field(browser: Browser):
    page = await browser.open("settings")
    again = await browser.fill_in(
        page, "/settings", name="", alert_email="nobody", stand_in="order", order=["vapi", "vapi", ""]
    )
    assert again.status == 422
    assert again.tree.find("p", id="e-name").text
    assert again.tree.find("p", id="e-alert_email").text
    assert "twice" in again.tree.find("fieldset", id="f-fallback_providers").text


async def test_only_the_operator_deletes_an_agency(browser: Browser, stranger: Browser, api: Api, agency: Agency):
    assert "Delete this agency" not in (await browser.open("settings")).words
    form_token = (await browser.open("keys")).form("/sign-out").find("input", name="form_token").attributes["value"]
    assert (await browser.send("settings/delete", {"form_token": form_token, "confirmed": "yes"})).status == 404
    await stranger.sign_in(ADMIN_TOKEN)
    question = await stranger.fill_in(await stranger.open(f"/console/{agency.id}/settings"), "/settings/delete")
    assert (await stranger.fill_in(question, "")).heading == "Agencies"
    assert (await api.get("/v1/agencies"))["items"] == []


async def test_activity_names_who_changed_what(browser: Browser, api: Api, agency: Agency):
    await browser.fill_in(await browser.open("settings"), "/settings", name="Brighter Voice")
    await api.new_client(agency, name="Corner Bakery")
    page = await browser.open("activity")
    rows = [row.text for row in page.tree.find("tbody").find_all("tr")]
    assert any("Client created" in row and "Corner Bakery" in row and "The operator" in row for row in rows)
    assert any("Settings changed" in row and "tests" in row and "127.0.0.1" in row for row in rows)


async def test_a_read_tokens_visitor_may_look_and_is_told_when_a_change_is_refused(
    stranger: Browser, api: Api, agency: Agency
):
    reading = await api.post(f"{agency.path}/tokens", {"name": "Reader", "role": "read"})
    await stranger.sign_in(reading["token"])
    for name in ("keys", "clients", "numbers", "calls", "webhooks", "settings", "activity"):
        assert (await stranger.open(f"/console/{agency.id}/{name}")).status == 200
    page = await stranger.fill_in(await stranger.open(f"/console/{agency.id}/settings"), "/settings", name="Mine")
    assert page.status == 403
    assert "may only read" in page.words
    assert (await api.get(agency.path))["name"] == "Bright Voice"


async def test_an_address_that_has_not_confirmed_is_shown_and_not_confirmed_by_the_operators_form(
    browser: Browser, stranger: Browser, api: Api, agency: Agency, services: Services
):
    client = await api.new_client(agency)
    at_client = f"clients/{client['id']}"
    for place, field in (("settings", "alert_email"), (at_client, "notify_email")):
        assert "Not confirmed yet" not in (await browser.open(place)).words
        await browser.fill_in(
            await browser.open(place), "/settings" if place == "settings" else "", **{field: "a@example.com"}
        )
        assert "Not confirmed yet" in (await browser.open(place)).words
        again = "/settings/confirmations" if place == "settings" else f"/{at_client}/confirmations"
        refused = await browser.fill_in(await browser.open(place), again)
        assert refused.status == 429
        assert "less than a day ago" in refused.words
        saved = await browser.fill_in(refused, "/settings" if place == "settings" else f"/{at_client}", name="Renamed")
        assert "Saved" in saved.words
        await services.database.settings.execute("UPDATE confirmation_links SET sent_at = sent_at - interval '1 day'")
        assert "The link was sent again" in (await browser.fill_in(refused, again)).words
        await services.database.settings.execute("DELETE FROM confirmation_links")
    await stranger.sign_in(ADMIN_TOKEN)
    operator = Browser(stranger.http, agency.id)
    for place, action in (("settings", "/settings"), (at_client, "")):
        await operator.fill_in(await operator.open(place), action, name="Renamed")
        assert "Not confirmed yet" in (await operator.open(place)).words
    await operator.fill_in(await operator.open("settings"), "/settings", alert_email="b@example.com")
    assert (await api.get(agency.path))["alert_email_confirmed"] is True


def test_a_field_with_an_email_address_says_when_no_mail_is_sent():
    assert "sends no emails" in words.say_email("Gets one email.", None, sends_mail=False)
    assert words.say_email("Gets one email.", None, sends_mail=True) == "Gets one email."
