"""Our adapter before a Twilio that answers as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import unused_port

from adapters.http import Http
from adapters.twilio import Twilio
from tests.support.scripted_twilio import ScriptedTwilio, scripted_twilio


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedTwilio]:
    async with scripted_twilio() as script:
        yield script


@pytest.fixture
async def twilio(scripted: ScriptedTwilio) -> AsyncIterator[Twilio]:
    http = Http()
    yield Twilio(http, scripted.base_url)
    await http.aclose()


@pytest.fixture
def unused_tcp_port() -> int:
    return unused_port()
