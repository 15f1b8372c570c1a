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
