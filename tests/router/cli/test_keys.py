"""`callrouter keys rotate`: a new platform key in front, everything sealed under it, and calls go on all the while."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing

import asyncpg
import pytest

from adapters.sandbox.world import DemoWorld
from crypto import new_key_entry
from tests.router.cli.commands import Command, Commands, mistakes
from tests.router.cli.service import ADMIN_TOKEN, place_call, providers, url_of
from router.cli.demo import provision

pytestmark = pytest.mark.anyio


async def start(commands: Commands, keys: str) -> tuple[Command, str]:
    serving = commands.start("serve", CALLROUTER_PLATFORM_KEYS=keys)
    return serving, await url_of(serving)


async def stop(serving: Command) -> None:
    serving.tell(signal.SIGTERM)
    assert await asyncio.to_thread(serving.end) == 0


async def rotate(commands: Commands, keys: str) -> Command:
    return await asyncio.to_thread(commands.run, "keys", "rotate", CALLROUTER_PLATFORM_KEYS=keys)
