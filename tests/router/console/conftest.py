"""The console over real HTTP, before the real API, against the sandbox."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial

import pytest
from starlette.applications import Starlette
from starlette.routing import Router

from router.api.limits import count_once
from router.console import ConsoleServices, console_routes
from router.peers import WrongTokens
from tests.router.api.client import ADMIN_TOKEN, Agency, Api
from tests.router.console.browsing import Browser
from tests.support.api_service import Services, bulkheads, circuits, clock, platform_keys, sandbox, services
from tests.support.local_http import local_client
from tests.support.log_capture import captured_events
from tests.support.serving import listen, serve_app, url_of

__all__ = ["bulkheads", "captured_events", "circuits", "clock", "platform_keys", "sandbox", "services"]


class SessionsInMemory:
    """Who signed in, and ended sessions; away while a test says so."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.begun: list[tuple[str, str | None, str | None]] = []
        self.away = False

    async def note_begin(self, actor: str, agency_id: str | None, address: str | None) -> None:
        self._answer()
        self.begun.append((actor, agency_id, address))

    async def end(self, session_id: str, until: datetime) -> None:
        del until
        self._answer()
        self.ids.add(session_id)

    async def has_ended(self, session_id: str) -> bool:
        self._answer()
        return session_id in self.ids

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError


@pytest.fixture
def ended() -> SessionsInMemory:
    return SessionsInMemory()


@pytest.fixture
def public_url() -> str | None:
    """What the operator set; None: where it is really served."""
    return None


@pytest.fixture
async def console_url(
    services: Services,
    ended: SessionsInMemory,
    public_url: str | None,
    captured_events,  # noqa: ARG001 - it watches the log
) -> AsyncIterator[str]:
    listening = listen()
    api = services.api_routes()
    console = ConsoleServices(
        open_api=partial(count_once, Router(api)),
        providers=services.voice.declarations,
        keyring=services.keyring,
        sessions=ended,
        proxies=services.proxies,
        confirmations=services.areas.confirmations,
        invitations=services.areas.invitations,
        wrong_tokens=WrongTokens(services.clock),
        public_url=public_url or url_of(listening),
        clock=services.clock,
        waits=lambda: services.areas.address.differing is not None,
    )
    async with serve_app(Starlette(routes=[*api, *console_routes(console)]), listening) as url:
        yield url


@pytest.fixture
async def api(console_url: str) -> AsyncIterator[Api]:
    """The operator's client."""
    async with Api.connect(console_url, ADMIN_TOKEN) as client:
        yield client


@pytest.fixture
async def agency(api: Api) -> Agency:
    return await api.new_agency("Bright Voice")


@pytest.fixture
async def stranger(console_url: str) -> AsyncIterator[Browser]:
    """Somebody who has not signed in."""
    async with local_client(base_url=console_url, timeout=30) as http:
        yield Browser(http)


@pytest.fixture
async def browser(console_url: str, agency: Agency) -> AsyncIterator[Browser]:
    """Somebody at the agency, signed in."""
    async with local_client(base_url=console_url, timeout=30) as http:
        browser = Browser(http, agency.id)
        page = await browser.sign_in(agency.token)
        assert re.search("<h1>API keys</h1>", page.text)
        yield browser
