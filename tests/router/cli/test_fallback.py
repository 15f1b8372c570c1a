"""`callrouter fallback`: with nothing but its keys it answers for the numbers that a router has set up."""

from __future__ import annotations

import asyncio
import signal
from importlib.metadata import version
from urllib.parse import urlsplit

import pytest

from router.cli.demo import provision
from tests.router.cli.commands import Commands, get, mistakes
from tests.router.cli.service import ADMIN_TOKEN, providers, url_of

OWNER = "+15005550123"


@pytest.mark.anyio
async def test_it_serves_addresses_made_by_the_router(migrated: Commands):
    async with providers(migrated) as (sandbox, world):
        serving = migrated.start("serve", CALLROUTER_FALLBACK_URL="https://elsewhere.example.com")
        await provision(await url_of(serving), ADMIN_TOKEN, world)
        numbers = sandbox.state.twilio.accounts[world.account_sid].numbers.values()
        (address,) = [each["voice_fallback_url"] for each in numbers if each["phone_number"] == world.bland.number]
        serving.tell(signal.SIGTERM)
        assert await asyncio.to_thread(serving.end) == 0
    assert address.startswith("https://elsewhere.example.com/fallback/voice?t=")
    alone = migrated.start(
        "fallback",
        DATABASE_URL="postgres://nobody@127.0.0.1:1/away",
        CALLROUTER_PLATFORM_KEYS=None,
        CALLROUTER_ADMIN_TOKEN=None,
    )
    url = await url_of(alone)
    parts = urlsplit(address)
    answer = await asyncio.to_thread(get, f"{url}{parts.path}?{parts.query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert f">{OWNER}</Number>" in answer.text
    assert (await asyncio.to_thread(get, f"{url}/livez")).status_code == 200
    assert (await asyncio.to_thread(get, f"{url}/readyz")).json()["status"] == "ok"
    counted = (await asyncio.to_thread(get, f"{url}/metrics")).text
    assert 'callrouter_fallbacks_served_total{sealed="opened",step="voice"} 1.0' in counted
    assert f'callrouter_build_info{{command="fallback",version="{version("callrouter")}"}} 1.0' in counted
    assert alone.events("service.started")[0]["database"] == "none"
    alone.tell(signal.SIGTERM)
    assert await asyncio.to_thread(alone.end) == 0
    assert alone.stderr == ""


def test_without_its_keys_it_does_not_start(commands: Commands):
    for keys, said in {None: "required", "k1:AAAA": "entry 1"}.items():
        refused = commands.invoke("fallback", CALLROUTER_FALLBACK_KEYS=keys)
        assert refused.exit_code == 2
        (line,) = mistakes(refused)
        assert line.startswith("CALLROUTER_FALLBACK_KEYS: ")
        assert said in line
