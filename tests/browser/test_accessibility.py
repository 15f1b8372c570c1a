"""axe-core finds nothing serious on any page, in light and in dark, wide and on a phone."""

from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.browser.conftest import Desk

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

PHONE, WIDE = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
# Dark pages differ from light ones in nothing but colours.
RULES: dict[Literal["light", "dark"], dict[str, object]] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}
ASSISTANT = {
    "prompt": "You answer for a bakery.",
    "functions": [],
    "knowledge": [{"title": "Hours", "text": "From six."}],
}


async def test_every_page_can_be_used_by_everybody(desk: Desk):
    await desk.leave_message()
    await desk.ask("PUT", "/keys/vapi", {"key": desk.demo.vapi.key})
    await desk.ask("PUT", "/keys/retell", {"key": desk.demo.retell.key, "activate": False})
    client = await desk.ask("POST", "/clients", {"name": "Corner Bakery", "assistant": ASSISTANT})
    [number] = (await desk.ask("GET", "/numbers"))["items"]
    [call] = (await desk.ask("GET", "/calls"))["items"]
    one = f"clients/{client['id']}"
    endpoint = await desk.ask("POST", "/endpoints", {"url": "https://1.1.1.1/calls"})
    await desk.ask("POST", "/invitations", {"name": "Ben"})
    pages = (
        *("keys", "providers", "keys/retell/plan", "clients", "clients/new", one, f"{one}/providers", f"{one}/copy"),
        *(f"{one}/assistant", f"{one}/assistant/voices/retell"),
        *(
            "numbers",
            "numbers/new?country=US",
            f"numbers/{number['e164']}",
            "calls",
            f"calls/{call['id']}",
            "voicemails",
        ),
        *(
            "figures",
            "health",
            "webhooks",
            "explain",
            f"explain?to={number['e164'].replace('+', '%2B')}",
            "activity",
            "alerts",
            "tokens",
            f"webhooks/{endpoint['id']}",
            "settings",
            "nowhere",
        ),
    )
    await check(desk, f"{desk.world.urls[0]}/console/sign-in")
    await desk.sign_in()
    for name in pages:
        await check(desk, desk.url(name))


async def check(desk: Desk, url: str) -> None:
    """Everything that can be opened is open, so that nothing hides."""
    page = desk.page
    await page.set_viewport_size(WIDE)
    await page.goto(url)
    await page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")
    for scheme, rules in RULES.items():
        await page.emulate_media(color_scheme=scheme)
        found = (await Axe().run(page, options=rules)).response["violations"]
        serious = [
            (one["id"], node["html"][:200], node.get("failureSummary"))
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert serious == [], f"{url} in {scheme}"
    await page.set_viewport_size(PHONE)
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], f"{url} is {width} pixels wide on a phone"
