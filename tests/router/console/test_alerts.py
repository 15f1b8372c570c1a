"""The page on which an agency chooses what it is alerted of."""

from __future__ import annotations

import pytest

from tests.router.api.client import Agency, Api
from tests.router.console.browsing import Browser

pytestmark = pytest.mark.anyio


async def test_alerts_are_chosen_tested_and_their_address_is_not_shown_again(
    browser: Browser, api: Api, agency: Agency
):
    form = {"webhook_url": "http://127.0.0.1:9/secret-path", "low_balance": "7.5", "failures": "9"}
    kinds = ["key_failing", "calls_missed"]
    page = await browser.fill_in(await browser.open("alerts"), "/alerts", kinds=kinds, **form)
    assert "Saved." in page.words
    assert "secret-path" not in page.text
    saved = await api.get(f"{agency.path}/alerts/settings")
    assert (saved["webhook"], saved["low_balance"], saved["failures"]) == ("http://127.0.0.1/…", 7.5, 9)
    assert saved["muted"] == ["low_balance", "number_unreachable", "deliveries_failing"]
    same = await browser.fill_in(page, "/alerts")
    assert (await api.get(f"{agency.path}/alerts/settings")) == saved
    tested = await browser.fill_in(same, "/alerts/test")
    assert "The webhook did not take the test: Unreachable." in tested.words
    refused = await browser.fill_in(same, "/alerts", low_balance="much")
    assert refused.tree.find("p", id="e-low_balance").text
    assert refused.tree.find("input", id="f-low_balance").attributes["value"] == "much"
    await browser.fill_in(same, "/remove-webhook")
    assert (await api.get(f"{agency.path}/alerts/settings"))["webhook"] is None
