"""/docs in a real browser: under its own policy, without a request to anywhere else, and with requests that work."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Desk

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def test_a_request_can_be_tried_on_the_page(desk: Desk):
    page, home = desk.page, desk.world.urls[0]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{home}/docs")
    await page.get_by_role("button", name="Authorize").first.click()
    await page.locator(".auth-container input").fill(desk.token)
    await page.locator(".auth-btn-wrapper .authorize").click()
    await page.locator(".auth-btn-wrapper .btn-done").click()
    await page.locator("#operations-tag-agencies").click()
    operation = page.locator("#operations-agencies-get_agencies")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()
    await expect(operation.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    await expect(operation.locator(".live-responses-table")).to_contain_text("Bright Voice")
    assert asked
    assert all(url.startswith((home, "data:", "blob:")) for url in asked), asked
