"""What is wrong is said where people look: above every page, on the page of health, and in the operator's list."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import RETELL_KEY, VAPI_KEY
from tests.router.api.client import ADMIN_TOKEN, Agency, Api
from tests.router.console.browsing import Browser
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio


async def test_a_key_without_credit_is_said_on_every_page_and_to_the_operator(
    browser: Browser, stranger: Browser, api: Api, services: Services, agency: Agency
):
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await services.database.settings.execute("UPDATE keys SET status = 'out_of_credit'")
    for name in ("calls", "clients", "numbers"):
        page = await browser.open(name)
        assert "No AI answers now." in page.words, name
        assert page.tree.find("main").find("a", href=f"/console/{agency.id}/health")
    health = await browser.open("health")
    assert "No credit is left at Vapi." in health.words
    assert health.tree.find("main").find("a", href=f"/console/{agency.id}/keys#vapi")
    agencies = await stranger.sign_in(ADMIN_TOKEN)
    assert "No AI answers" in agencies.words
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY, "activate": False})
    assert "Retell stands in." in (await browser.open("calls")).words


async def test_an_agency_that_is_fine_has_no_banner(browser: Browser, api: Api, agency: Agency):
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY})
    page = await browser.open("calls")
    assert page.tree.find("main").find_all("div", **{"class": "notice bad"}) == []
    assert (await browser.open("health")).words.count("Fine") == 7


async def test_what_is_still_to_be_set_up_is_listed_until_it_is_done(browser: Browser, api: Api, agency: Agency):
    page = await browser.open("keys")
    steps = page.tree.find("ol", **{"class": "steps"})
    assert [step.attributes["class"] for step in steps.find_all("li")] == ["open"] * 6
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY})
    await api.new_client(agency, assistant={"prompt": "Hello"})
    steps = (await browser.open("figures")).tree.find("ol", **{"class": "steps"})
    assert [step.attributes["class"] for step in steps.find_all("li")] == ["done"] * 3 + ["open"] * 3
    assert all(link.attributes["href"].startswith(f"/console/{agency.id}/") for link in steps.find_all("a"))
