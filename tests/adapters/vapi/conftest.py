"""Our adapter for Vapi before the stand-in, with an org of its own and an assistant to put there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.http import Http
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.state import Sandbox
from adapters.sandbox.vapi_org import VapiOrg
from adapters.vapi import Vapi
from tests.adapters.canary import CANARY
from tests.adapters.sandbox.conftest import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def box(clock: Clock) -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(state=Sandbox(clock)) as running:
        yield running


@pytest.fixture
def org(box: RunningSandbox) -> VapiOrg:
    return box.state.vapi.add_org(CANARY)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http()
    yield client
    await client.aclose()


@pytest.fixture
def vapi(box: RunningSandbox, http: Http) -> Vapi:
    return Vapi(http, f"{box.url}/vapi")
