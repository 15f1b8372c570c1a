"""A service in a process of its own with providers in this one, set up as the demo is, and calls to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from adapters.sandbox.carrier import Anybody, Carrier, Timeline
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.world import DemoWorld, demo_world
from crypto.secret import Secret
from tests.router.cli.commands import Command, Commands

ADMIN_TOKEN = "admin_of_the_commands_0123456789"
CALLER = "+14155550123"


@asynccontextmanager
async def providers(commands: Commands) -> AsyncIterator[tuple[RunningSandbox, DemoWorld]]:
    """The sandbox in this process, and commands that know of it."""
    async with running_sandbox() as sandbox:
        world = _attach_to_sip(sandbox, demo_world(sandbox.state))
        commands.environ |= {
            **sandbox.environment,
            "CALLROUTER_TWILIO_ACCOUNT_SID": world.account_sid,
            "CALLROUTER_TWILIO_AUTH_TOKEN": world.auth_token,
        }
        yield sandbox, world


def _attach_to_sip(sandbox: RunningSandbox, world: DemoWorld) -> DemoWorld:
    """With the session that goes before it, Bland is told which of Twilio's calls it is to take."""
    at_bland = sandbox.state.bland
    at_bland.attach(at_bland.orgs.of(world.bland.key), world.bland.registration or "")
    return replace(world, bland=replace(world.bland, mode="sip"))


async def place_call(url: str, world: DemoWorld, caller: str = CALLER) -> Timeline:
    """A call to Bland's client: the one that needs nothing but a registration."""
    carrier = Carrier(
        world.account_sid,
        Secret(world.auth_token),
        f"{url}/webhooks/twilio/voice",
        far_end=Anybody(),
        pass_time=_skip,
        status_url=f"{url}/webhooks/twilio/status",
    )
    return await carrier.place_call(to=world.bland.number, from_=caller)


async def _skip(_seconds: float) -> None:
    """Ringing takes no real time."""


async def url_of(command: Command) -> str:
    """Without keeping the sandbox in this loop from answering."""
    return await asyncio.to_thread(command.url)
