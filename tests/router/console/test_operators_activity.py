"""The operator's audit log: all agencies, deleted ones, and what concerns none; nobody else sees it."""

from __future__ import annotations

import pytest

from router.store.tenants.audit import count_refused_tokens
from tests.router.api.client import Agency, Api
from tests.router.console.browsing import Browser, PageSeen
from tests.router.console.full_agency import MARKUP
from tests.router.console.test_pages import check_page
from tests.support.api_service import ADMIN_TOKEN, Services

pytestmark = pytest.mark.anyio

PAGE = "/console/activity"


def rows(page: PageSeen) -> list[str]:
    return [row.text for row in page.tree.find("tbody").find_all("tr")]


async def test_the_operator_sees_what_happened_in_all_agencies(
    stranger: Browser, api: Api, agency: Agency, services: Services
):
    client = await api.new_client(agency, name="Corner Bakery")
    other = await api.new_agency(f"Other {MARKUP}")
    gone = await api.new_agency("Gone")
    await api.delete(gone.path)
    await count_refused_tokens(services.database.settings, {"203.0.113.7": 12}, services.clock())
    agencies = await stranger.sign_in(ADMIN_TOKEN)
    assert agencies.tree.find("a", href=PAGE)
    page = await stranger.open(PAGE)
    check_page(page)
    seen = rows(page)
    assert any("Client created" in row and "Bright Voice" in row and client["id"] in row for row in seen)
    assert any("Agency created" in row and f"Other {MARKUP}" in row for row in seen)
    assert any("Agency deleted" in row and gone.id in row and "The operator" in row for row in seen)
    assert any("Wrong tokens × 12" in row and "203.0.113.7" in row for row in seen)
    assert page.tree.find("a", href=f"/console/{other.id}/activity").text
    assert [form.attributes["action"] for form in page.tree.find_all("form")] == ["/console/sign-out"]


async def test_it_is_read_page_by_page(stranger: Browser, api: Api, agency: Agency):
    for number in range(60):
        await api.patch(agency.path, {"name": f"Voice {number}"})
    await stranger.sign_in(ADMIN_TOKEN)
    page = await stranger.open(PAGE)
    [older] = [link for link in page.tree.find_all("a") if link.text == "Older"]
    assert len(rows(page)) == 50
    last = await stranger.open(older.attributes["href"])
    seen = rows(page) + rows(last)
    assert sum("Settings changed" in row for row in seen) == 60
    assert sum("Agency created" in row for row in seen) == 1
    assert "Older" not in last.words
    assert (await stranger.open(f"{PAGE}?cursor=x")).status == 422


async def test_nobody_else_sees_it(browser: Browser, stranger: Browser):
    assert (await stranger.open(PAGE)).heading == "Sign in"
    page = await browser.open(PAGE)
    assert (page.status, page.heading) == (404, "Page not found")
