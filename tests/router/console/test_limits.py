"""An agency's limits, as somebody at its pages meets them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.api.limits import AgencyLimits
from tests.router.api.client import Agency
from tests.router.console.browsing import Browser
from tests.support.api_service import Clock, Services

pytestmark = pytest.mark.anyio


@pytest.fixture
def services(services: Services) -> Services:
    return replace(services, limits=AgencyLimits(requests_a_second=6))


async def test_a_page_counts_as_one_request_however_many_it_makes(browser: Browser, agency: Agency, clock: Clock):
    clock.move(seconds=1)
    for area in ("keys", "clients", "numbers", "calls", "figures", "settings"):
        assert (await browser.open(f"/console/{agency.id}/{area}")).status == 200
    page = await browser.open(f"/console/{agency.id}/keys")
    assert page.status == 429
    assert "6 requests a second" in page.words
    clock.move(seconds=1)
    assert (await browser.open(f"/console/{agency.id}/keys")).status == 200
