"""Our adapter for Bland before the stand-in, with an org of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.bland import Bland
from adapters.http import Http
from adapters.sandbox.bland_org import BlandOrg
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.state import Sandbox
from tests.adapters.canary import CANARY
from tests.adapters.sandbox.conftest import Clock

SIP = "us2.sip.bland.ai:5061;transport=tls;secure=true"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def box(clock: Clock) -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(state=Sandbox(clock)) as running:
        yield running


@pytest.fixture
def org(box: RunningSandbox) -> BlandOrg:
    return box.state.bland.add_org(CANARY)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http()
    yield client
    await client.aclose()


@pytest.fixture
def bland(box: RunningSandbox, http: Http) -> Bland:
    return Bland(http, f"{box.url}/bland", SIP)
