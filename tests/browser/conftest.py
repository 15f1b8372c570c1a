"""A real browser before the whole service, on the sandbox. Skipped where no Chromium is."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from adapters.sandbox.carrier import Script
from adapters.sandbox.world import DemoWorld, demo_world
from tests.support.local_http import local_client
from tests.support.world import ADMIN_TOKEN, World, open_world

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Started as root in a container it has no sandbox of its own; nothing is fetched that a test did not ask for.
_ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
_PATIENCE_MS = 30_000  # machines that run the suite are busy

expect.set_options(timeout=_PATIENCE_MS)


@dataclass
class Desk:
    """Somebody at an agency before the console."""

    world: World
    demo: DemoWorld
    agency_id: str
    token: str
    api: httpx.AsyncClient
    page: Page

    def url(self, path: str) -> str:
        return f"{self.world.urls[0]}/console/{self.agency_id}/{path}"

    async def sign_in(self) -> None:
        await self.page.goto(f"{self.world.urls[0]}/console")
        await self.page.get_by_label("Access token").fill(self.token)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(f"**/console/{self.agency_id}/**")
        await self.page.goto(self.url("keys"))

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = await self.api.request(method, f"/v1/agencies/{self.agency_id}{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json() if reply.content else None

    async def leave_message(self) -> None:
        """A call that no AI takes, and a caller who speaks after the tone."""
        account = self.world.sandbox.state.twilio.accounts[self.world.account_sid]
        number = "+15005550142"
        self.world.sandbox.state.twilio.add_number(account, number)
        client = await self.ask("POST", "/clients", {"name": "Quiet Florist", "routing": {"mode": "voicemail"}})
        admin = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        taken = await self.api.post(
            f"/v1/agencies/{self.agency_id}/numbers",
            json={"e164": number, "client_id": client["id"], "account": "platform"},
            headers=admin,
        )
        assert taken.is_success, taken.text
        timeline = await self.world.carrier(_as_client(self, client["id"], number)).place_call(
            to=number, from_="+14155550123", script=Script()
        )
        assert timeline.answered_by == "voicemail"


def _as_client(desk: Desk, client_id: str, number: str) -> Any:
    from tests.support.world import Client  # noqa: PLC0415

    return Client(desk.agency_id, client_id, number, desk.world.account_sid, desk.world.auth_token)


@pytest.fixture(scope="package")
async def chromium() -> AsyncIterator[Browser]:
    """One for all tests: each has a page, and with it cookies and storage, of its own."""
    if _CHROMIUM is None:
        pytest.skip("there is no Chromium here: install one (on Debian: apt-get install chromium) to run these tests")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS, timeout=60_000)
        yield browser
        await browser.close()


@pytest.fixture
async def desk(chromium: Browser, database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """An agency without anything. A message of the browser's own, such as a forbidden script, fails the test."""
    async with open_world(database_dsn, tmp_path, jobs=True) as world:
        admin = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with local_client(base_url=world.urls[0], headers=admin, timeout=30) as api:
            agency = (await api.post("/v1/agencies", json={"name": "Bright Voice"})).json()
            token = (await api.post(f"/v1/agencies/{agency['id']}/tokens", json={"name": "Anna"})).json()["token"]
            api.headers["Authorization"] = f"Bearer {token}"
            page = await chromium.new_page()
            page.set_default_timeout(_PATIENCE_MS)
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
            yield Desk(world, demo_world(world.sandbox.state), agency["id"], token, api, page)
            assert complaints == []
            await page.close()
