"""What reaches outside the process: the database, the providers, the carrier. Made from the settings and closed again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import asyncpg

from adapters.carrier import Account
from adapters.http import Http, Limits
from adapters.receivers import Receivers
from adapters.registry import Declarations, Providers
from adapters.twilio import Twilio
from crypto import Keyring, Secret
from router.calls.events import tell_circuit
from router.calls.memory import RouteMemory
from router.calls.recorder import Recorder
from router.calls.spool import Spool
from router.clock import Clock
from router.dialling import Dialling
from router.events.feed import EventFeed
from router.routing.circuit import Circuits
from router.routing.dispatch import Dispatcher
from router.routing.route import Access, Route
from router.settings import Settings, reveal
from router.store.calls.calls import can_claim_calls
from router.store.guard import DatabaseAwayError, Guard
from router.store.pool import Database, make_database
from router.store.schema import connect_to_schema
from router.store.sealed import key_context, registration_address_context
from router.store.watch import PoolWatch
from router.telemetry import metrics, traces
from router.vault import Vault

_OPERATORS: Final = 20  # downloads, beside those of the agencies
# More than bulkheads let wait at a provider, and at three.
CALLS_LIMITS: Final = Limits(connections=6000, per_host=1600)


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything that leads out of the process or stores what comes in.

    `live_carrier` has connections for live calls only: transfers and time limits must not wait behind anything.
    `listening_carrier` and `listening_providers` have those for recordings that people listen to, as slowly as they like:
    nothing else waits behind.
    """

    database: Database
    watch: PoolWatch
    guard: Guard
    recorder: Recorder
    memory: RouteMemory
    http: Http
    slow_http: Http
    listening_http: Http
    providers: Providers
    circuits: Circuits
    dispatcher: Dispatcher
    live_carrier: Twilio
    carrier: Twilio
    listening_carrier: Twilio
    listening_providers: Providers
    platform: Account | None
    receivers: Receivers
    feed: EventFeed
    vault: Vault
    clock: Clock

    @property
    def keyring(self) -> Keyring:
        return self.vault.keyring

    @asynccontextmanager
    async def opened(self, dsn: str) -> AsyncIterator[None]:
        """In use while the block runs, even if the database is down. Raises SchemaError if it has another schema."""
        async with self.database.opened(), self.watch.watching():
            await _look_at_database(dsn, self.guard)
            self.recorder.start()
            try:
                yield
            finally:
                await self.dispatcher.aclose()
                await self.recorder.aclose()
                await self.http.aclose()
                await self.slow_http.aclose()
                await self.listening_http.aclose()
                await self.receivers.aclose()


def make_outside(
    settings: Settings, declarations: Declarations, clock: Clock, is_stopping: Callable[[], bool]
) -> Outside:
    """Connects nothing yet. Long requests, such as event streams, end soon after `is_stopping` returns True."""
    vault = Vault(Keyring.parse(reveal(settings.platform_keys)))
    database, guard = make_database(settings.dsn, figures_seconds=settings.figures_timeout), Guard()
    http = Http(CALLS_LIMITS, observe=_request_finished)
    slow_http = Http(observe=_request_finished)
    listening_http = Http(Limits(per_host=settings.downloads + _OPERATORS), observe=_request_finished)
    providers = Providers(declarations, http, settings.providers)
    metrics.register_providers(providers)
    circuits = Circuits(tell_circuit)
    return Outside(
        database=database,
        watch=PoolWatch(database.pools, {"calls": lambda pool: can_claim_calls(pool, clock())}),
        guard=guard,
        recorder=Recorder(
            partial(_reconnect, settings.dsn, database), guard, Spool(settings.data_dir / "spool", vault.keyring)
        ),
        memory=RouteMemory(),
        http=http,
        slow_http=slow_http,
        listening_http=listening_http,
        providers=providers,
        circuits=circuits,
        dispatcher=Dispatcher(
            providers,
            partial(_open_access, vault.keyring),
            settings.handoff_timeout,
            Dialling(settings.premium_prefixes),
            partial(_open_address, vault.keyring),
            circuits,
        ),
        live_carrier=Twilio(http, settings.twilio_url),
        carrier=Twilio(slow_http, settings.twilio_url),
        listening_carrier=Twilio(listening_http, settings.twilio_url),
        listening_providers=Providers(declarations, listening_http, settings.providers),
        platform=platform_account(settings),
        receivers=Receivers(private=settings.private_endpoints == "on"),
        feed=EventFeed(database, is_stopping),
        vault=vault,
        clock=clock,
    )


def _request_finished(system: str, outcome: str, seconds: float) -> None:
    metrics.outgoing_finished(system, outcome, seconds)
    traces.request_finished(system, outcome, seconds)


def platform_account(settings: Settings) -> Account | None:
    """The platform's own carrier account, if it has one."""
    if settings.twilio_account_sid is None:
        return None
    return Account(settings.twilio_account_sid, Secret(reveal(settings.twilio_auth_token)))


async def _reconnect(dsn: str, database: Database) -> asyncpg.Connection:
    """The recorder's own connection; it notices when the database is back. Raises SchemaError."""
    connection = await connect_to_schema(dsn)
    await database.renew()
    return connection


async def _look_at_database(dsn: str, guard: Guard) -> None:
    """If it is down, the service starts anyway, with the routes saved by the last run. Raises SchemaError."""
    with suppress(DatabaseAwayError):
        connection = await guard.ask(partial(connect_to_schema, dsn))
        connection.terminate()


def _open_access(keyring: Keyring, agency_id: str, access: Access) -> Secret:
    return keyring.open(access.sealed_key or "", *key_context(agency_id, access.provider, access.key_version))


def _open_address(keyring: Keyring, route: Route, access: Access) -> Secret:
    context = registration_address_context(route.agency_id, route.number, access.provider)
    return keyring.open(access.target.sealed_address or "", *context)
