"""While the operator has not decided on another public address, each page says what waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.router.api.client import ADMIN_TOKEN
from tests.router.console.browsing import Browser
from tests.support.local_http import local_client

pytestmark = pytest.mark.anyio

WAITS = "Changes at Twilio and the providers wait"


async def test_agencies_and_the_operator_see_it_until_it_is_decided(services, browser, console_url):
    pages = ["keys", "numbers", "settings"]
    await services.areas.address.look()
    assert not [page for page in pages if WAITS in (await browser.open(page)).text]
    # Another process has moved everything to its address.
    elsewhere = replace(services, public_url="https://elsewhere.example").areas.address
    await elsewhere.look()
    await elsewhere.adopt()
    await services.areas.address.look()
    for page in pages:
        shown = (await browser.open(page)).text
        assert WAITS in shown
        assert "callrouter move" not in shown, "only the operator can run it"
    async with local_client(base_url=console_url, timeout=30) as http:
        operator = Browser(http)
        assert "callrouter move" in (await operator.sign_in(ADMIN_TOKEN)).text
    await services.areas.address.adopt()
    assert WAITS not in (await browser.open("numbers")).text
