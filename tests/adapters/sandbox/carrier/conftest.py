"""A scripted router, and a carrier that calls it over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from adapters.sandbox.carrier import Anybody, Carrier, Quirks, Script, Timeline
from crypto.secret import Secret
from tests.support.local_http import local_client
from tests.support.scripted_router import ACCOUNT_SID, CALLER, NUMBER, TOKEN, ScriptedRouter, running_router


@pytest.fixture
async def router() -> AsyncIterator[ScriptedRouter]:
    async with running_router() as scripted:
        yield scripted


@dataclass
class Calls:
    """Places calls at the scripted router and counts the virtual seconds that went by."""

    router: ScriptedRouter
    client: httpx.AsyncClient
    passed: list[float] = field(default_factory=list)

    async def place(
        self, script: Script | None = None, *, from_: str | None = CALLER, to: str = NUMBER, **options: object
    ) -> Timeline:
        settings = {"far_end": Anybody(), "strict": False, "quirks": Quirks(), "client": self.client} | options
        voice_url = settings.pop("voice_url", f"{self.router.url}/voice")
        carrier = Carrier(ACCOUNT_SID, Secret(TOKEN), voice_url, pass_time=self._pass, **settings)
        return await carrier.place_call(to=to, from_=from_, script=script)

    async def _pass(self, seconds: float) -> None:
        self.passed.append(seconds)


@pytest.fixture
async def calls(router: ScriptedRouter) -> AsyncIterator[Calls]:
    async with local_client() as client:
        yield Calls(router, client)
