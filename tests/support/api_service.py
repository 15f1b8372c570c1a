"""The API over real HTTP, with the real adapters, against the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from adapters.carrier import Account, Carrier
from adapters.http import Http
from adapters.receivers import Receivers
from adapters.registry import PROVIDERS, Providers, settings_of
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN, demo_world
from adapters.twilio import Twilio
from crypto import Keyring, Secret, new_key_entry
from router.addresses import Addresses
from router.api.app import api_routes
from router.api.auth import Authentication
from router.api.limits import AgencyLimits, Uses
from router.api.open_answers import OpenAnswers
from router.app.areas import Areas, api_parts, make_areas
from router.calls.claims import Caps
from router.events.feed import EventFeed
from router.peers import Proxies, WrongTokens
from router.routing.bulkhead import Bulkheads
from router.routing.circuit import Circuits
from router.routing.dispatch import Dispatcher
from router.routing.route import Access, Route
from router.store.pool import Database
from router.store.sealed import key_context, registration_address_context
from router.vault import Vault
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


@dataclass(frozen=True)
class Services:
    """What a service under test is made of."""

    database: Database
    keyring: Keyring
    fallback_keyring: Keyring
    voice: Providers
    carrier: Carrier
    dispatcher: Dispatcher
    caps: Caps
    feed: EventFeed
    receivers: Receivers
    platform_account: Account | None
    admin_token: Secret
    proxies: Proxies
    public_url: str
    fallback_url: str
    clock: Clock
    sends_mail: bool = True
    limits: AgencyLimits = AgencyLimits(requests_a_second=100_000)  # noqa: RUF009 - frozen

    @cached_property
    def areas(self) -> Areas:
        return make_areas(
            database=self.database,
            vault=Vault(self.keyring),
            fallback_keyring=self.fallback_keyring,
            addresses=Addresses(self.public_url, self.fallback_url),
            carrier=self.carrier,
            listening_carrier=self.carrier,
            listening_providers=self.voice,
            platform=self.platform_account,
            providers=self.voice,
            dialling=self.dispatcher.dialling,
            purchases_per_day=3,
            mails_an_hour=100,
            sends_mail=self.sends_mail,
            clock=self.clock,
        )

    def api_routes(self) -> list[BaseRoute]:
        parts = api_parts(
            self.areas,
            keyring=self.keyring,
            providers=self.voice,
            dispatcher=self.dispatcher,
            caps=self.caps,
            feed=self.feed,
            receivers=self.receivers,
        )
        authentication = Authentication(self.database, self.admin_token, WrongTokens(self.clock), self.clock)
        return api_routes(
            self.voice.declarations,
            parts,
            authentication,
            self.proxies,
            OpenAnswers(self.database),
            Uses(self.limits, lambda: self.clock().timestamp()),
            self.public_url,
        )


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
) -> AsyncIterator[Services]:
    http = Http()
    urls = {f"{one.name}_url": f"{sandbox.url}/{one.name}" for one in PROVIDERS}
    keyring = Keyring.parse(platform_keys)
    providers = Providers(PROVIDERS, http, dict.fromkeys(settings_of(PROVIDERS), SIP) | urls)

    def open_access(agency_id: str, access: Access) -> Secret:
        return keyring.open(access.sealed_key or "", *key_context(agency_id, access.provider, access.key_version))

    def open_address(route: Route, access: Access) -> Secret:
        context = registration_address_context(route.agency_id, route.number, access.provider)
        return keyring.open(access.target.sealed_address or "", *context)

    services = Services(
        database=database,
        keyring=keyring,
        fallback_keyring=Keyring.parse(new_key_entry(), derives=False),
        voice=providers,
        carrier=Twilio(http, f"{sandbox.url}/twilio"),
        dispatcher=Dispatcher(
            providers, open_access, 6.0, open_address=open_address, circuits=circuits, bulkheads=bulkheads
        ),
        caps=Caps(of_caller=2, of_agency=3),
        feed=EventFeed(database, lambda: False),
        receivers=Receivers(private=True),
        platform_account=Account(ACCOUNT_SID, Secret(AUTH_TOKEN)),
        admin_token=Secret(ADMIN_TOKEN),
        proxies=Proxies(),
        public_url=PUBLIC_URL,
        fallback_url="https://fallback.example.com",
        clock=clock,
    )
    yield services
    await services.receivers.aclose()
    await http.aclose()


@pytest.fixture
async def api(services: Services, captured_events) -> AsyncIterator[Api]:  # noqa: ARG001 - it watches the log
    """The operator's client. What is logged meanwhile must be as the catalogue says."""
    async with serve_app(Starlette(routes=services.api_routes())) as url, Api.connect(url, ADMIN_TOKEN) as client:
        yield client
