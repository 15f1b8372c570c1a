"""The API over real HTTP, with the real adapters, against the sandbox."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette

from adapters.base import Account
from adapters.bland import Bland
from adapters.http import Http
from adapters.receivers import Receivers
from adapters.retell import Retell
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN, demo_world
from adapters.twilio import Twilio
from adapters.vapi import Vapi
from crypto import Keyring, Secret, new_key_entry
from router.api.app import api_routes
from router.calls.claims import Caps
from router.events.feed import EventFeed
from router.routing.bulkhead import Bulkheads
from router.routing.circuit import Circuits
from router.routing.dispatch import Dispatcher
from router.routing.route import Access
from router.services import ApiServices
from router.store.pool import Database
from router.store.sealed import open_key
from tests.router.api.client import ADMIN_TOKEN, PUBLIC_URL, Api
from tests.support.log_capture import captured_events
from tests.support.serving import serve_app

__all__ = ["captured_events"]

SIP = "sip.example.com"


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        demo_world(running.state)
        yield running


@pytest.fixture
def circuits() -> Circuits:
    return Circuits()


@pytest.fixture
def bulkheads() -> Bulkheads:
    return Bulkheads()


@pytest.fixture
def platform_keys() -> str:
    """As the setting has them."""
    return new_key_entry()


@pytest.fixture
async def services(
    database: Database,
    sandbox: RunningSandbox,
    clock: Clock,
    circuits: Circuits,
    bulkheads: Bulkheads,
    platform_keys: str,
) -> AsyncIterator[ApiServices]:
    http = Http()
    voice = (
        Vapi(http, f"{sandbox.url}/vapi"),
        Retell(http, f"{sandbox.url}/retell", SIP),
        Bland(http, f"{sandbox.url}/bland", SIP),
    )
    keyring, providers = Keyring.parse(platform_keys), {provider.name: provider for provider in voice}
    hosts = {provider.name: provider for provider in voice}

    def open_access(agency_id: str, access: Access) -> Secret:
        return open_key(keyring, access.sealed_key or "", agency_id, access.provider, access.key_version)

    services = ApiServices(
        database=database,
        keyring=keyring,
        fallback_keyring=Keyring.parse(new_key_entry()),
        voice=providers,
        carrier=Twilio(http, f"{sandbox.url}/twilio"),
        dispatcher=Dispatcher(providers, open_access, 6.0, circuits=circuits, bulkheads=bulkheads),
        caps=Caps(of_caller=2, of_agency=3),
        feed=EventFeed(database, lambda: False, most_of_agency=3),
        receivers=Receivers(private=True),
        platform_account=Account(ACCOUNT_SID, Secret(AUTH_TOKEN)),
        admin_token=Secret(ADMIN_TOKEN),
        public_url=PUBLIC_URL,
        fallback_url="https://fallback.example.com",
        assistant_hosts=hosts,
        line_tellers=hosts,
        number_hosts=hosts,
        clock=clock,
        random=secrets.token_bytes,
    )
    yield services
    await services.receivers.aclose()
    await http.aclose()


@pytest.fixture
async def api(services: ApiServices, captured_events) -> AsyncIterator[Api]:  # noqa: ARG001 - it watches the log
    """The operator's client. What is logged meanwhile must be as the catalogue says."""
    async with serve_app(Starlette(routes=api_routes(services))) as url, Api.connect(url, ADMIN_TOKEN) as client:
        yield client
