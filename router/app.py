"""Settings → the service: makes everything that reaches outside, hands it to who needs it, and mounts the routes.

The composition root: here and in router.cli alone, concrete things meet. What each does is elsewhere.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import BaseRoute, Route, Router

from adapters.base import Account, VoiceProvider
from adapters.bland import Bland
from adapters.http import Http
from adapters.retell import Retell
from adapters.twilio import Twilio
from adapters.vapi import Vapi
from crypto import Keyring, Secret
from router.agencies import ApiServices, api_routes
from router.agencies.retired import RetiredKeys
from router.calls.claims import Caps, Claims
from router.calls.control import LiveCalls
from router.calls.desk import Desk, Timing
from router.calls.ending import Closer
from router.calls.events import CallEvents, tell_circuit
from router.calls.flow import CallFlow
from router.calls.mailbox import Mailbox
from router.calls.memory import MemoryKeeper, RouteMemory
from router.calls.once import StepKeeper
from router.calls.recorder import Recorder
from router.calls.route_file import RouteFile
from router.calls.spool import Spool
from router.console import ConsoleServices, console_routes
from router.health import Check, health_routes
from router.hygiene import is_memory_overwritten, is_memory_readable
from router.routing.circuit import Circuits
from router.routing.dispatch import Dispatcher
from router.routing.route import Access
from router.settings import Settings
from router.store.ended_sessions import SessionsOnRecord
from router.store.guard import DatabaseAwayError, Guard
from router.store.notices import Notices
from router.store.pool import Connection, Database, open_database
from router.store.schema import connect_to_schema
from router.store.sealed import open_key
from router.telemetry import emit, metrics
from router.webhooks.accounts import Accounts
from router.webhooks.fallback import fallback_routes
from router.webhooks.providers import ProviderWebhooks
from router.webhooks.token_watch import TokenWatch
from router.webhooks.twilio import TwilioWebhooks
from router.webhooks.verify import Verifier

Clock = Callable[[], datetime]


def voice_providers(settings: Settings, http: Http) -> dict[str, VoiceProvider]:
    """The providers there are, in the order in which they stand in for each other."""
    return {
        provider.name: provider
        for provider in (
            Vapi(http, settings.vapi_url),
            Retell(http, settings.retell_url, settings.retell_sip),
            Bland(http, settings.bland_url, settings.bland_sip),
        )
    }


def create_app(settings: Settings, *, clock: Clock = lambda: datetime.now(UTC)) -> Starlette:
    """The whole service as an ASGI application. Settings are complete: secrets given or generated."""
    health = ServiceHealth()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _open_service(settings, health, clock) as routes:
            app.router.routes.extend(routes)
            health.starting = False
            _announce(settings)
            yield
        metrics.leave()

    app = Starlette(routes=[*health_routes(health), *_fallback(settings)], lifespan=lifespan)
    app.state.health = health
    return app


def fallback_app(keyring: Keyring, settings: Settings) -> Starlette:
    """Only the static fallback and a probe: nothing that could be away."""
    prefix = urlsplit(settings.fallback_base_url).path
    live = Route("/livez", lambda _: PlainTextResponse("alive\n"))
    return Starlette(routes=[live, *fallback_routes(keyring, prefix)])


class ServiceHealth:
    """What the probes are told."""

    def __init__(self) -> None:
        self.starting = True
        self.draining = False
        self.pool: Database | None = None
        self.memory: RouteMemory | None = None

    async def database(self) -> Check:
        if self.pool is None:
            return Check(ok=False, detail="not connected yet")
        await self.pool.settings.fetchval("SELECT 1")
        return Check(ok=True, detail="answers")

    def remembered_routes(self) -> int:
        return len(self.memory) if self.memory is not None else 0


@dataclass(frozen=True, slots=True)
class _Outside:
    """What reaches outside the process."""

    database: Database
    guard: Guard
    recorder: Recorder
    memory: RouteMemory
    providers: Mapping[str, VoiceProvider]
    dispatcher: Dispatcher
    carrier: Twilio
    keyring: Keyring
    clock: Clock


@asynccontextmanager
async def _open_service(settings: Settings, health: ServiceHealth, clock: Clock) -> AsyncIterator[list[BaseRoute]]:
    keyring = Keyring.parse(_reveal(settings.platform_keys))
    health.memory = memory = RouteMemory()
    async with open_database(settings.dsn) as database:
        health.pool = database
        guard = Guard()
        keeper = MemoryKeeper(memory, RouteFile(settings.data_dir / "routes.sealed", keyring), database, guard)
        await keeper.load()
        recorder = Recorder(
            partial(_connect_anew, settings.dsn, database), guard, Spool(settings.data_dir / "spool", keyring)
        )
        await _look_at_database(settings.dsn, guard)
        recorder.start()
        http = Http()
        providers = voice_providers(settings, http)
        metrics.register_providers(providers)
        dispatcher = Dispatcher(
            providers, partial(_open_access, keyring), settings.handoff_timeout, circuits=Circuits(tell_circuit)
        )
        outside = _Outside(
            database, guard, recorder, memory, providers, dispatcher, Twilio(http, settings.twilio_url), keyring, clock
        )
        notices = Notices(_reveal(settings.database_direct_url) or settings.dsn, keeper.refresh)
        twilio = _twilio_webhooks(settings, outside)
        tasks = [
            asyncio.create_task(keeper.save_now_and_then(), name="memory"),
            asyncio.create_task(notices.run(), name="notices"),
            asyncio.create_task(RetiredKeys(database, clock).erase_now_and_then(), name="retired-keys"),
            asyncio.create_task(twilio.closer.carry_out_early_ends_now_and_then(), name="early-ends"),
        ]
        api = api_routes(_api_services(settings, outside))
        try:
            yield [
                *twilio.routes(),
                *_provider_webhooks(outside).routes(),
                *api,
                *console_routes(_console_services(settings, outside, Router(api))),
                Route("/", lambda _: RedirectResponse("console")),
            ]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await twilio.verifier.aclose()
            await dispatcher.aclose()
            await recorder.aclose()
            await http.aclose()
            await keeper.save()


async def _connect_anew(dsn: str, database: Database) -> Connection:
    """The recorder's own connection: it is the one that finds the database again. Raises SchemaError."""
    connection = await connect_to_schema(dsn)
    await database.renew()
    return connection


async def _look_at_database(dsn: str, guard: Guard) -> None:
    """Without it the service starts all the same, with what the last run remembered. Raises SchemaError."""
    with suppress(DatabaseAwayError):
        connection = await guard.ask(partial(connect_to_schema, dsn))
        connection.terminate()


def _twilio_webhooks(settings: Settings, outside: _Outside) -> TwilioWebhooks:
    database, guard, recorder = outside.database, outside.guard, outside.recorder
    keyring, clock = outside.keyring, outside.clock
    events = CallEvents(recorder, clock)
    desk = Desk(
        keyring=keyring,
        recorder=recorder,
        events=events,
        timing=Timing(settings.sip_timeout, settings.ring_budget),
        base_path=urlsplit(settings.base_url).path,
        clock=clock,
    )
    steps = StepKeeper(database.calls, guard, keyring, recorder, clock, settings.answer_deadline)
    claims = Claims(
        database=database,
        guard=guard,
        memory=outside.memory,
        steps=steps,
        recorder=recorder,
        caps=_caps(settings),
        clock=clock,
    )
    closer = Closer(database=database, guard=guard, keyring=keyring, recorder=recorder, events=events, clock=clock)
    flow = CallFlow(
        database=database,
        guard=guard,
        claims=claims,
        steps=steps,
        providers=outside.providers,
        dispatcher=outside.dispatcher,
        recorder=recorder,
        desk=desk,
        live_calls=LiveCalls(
            database, guard, outside.memory, keyring, outside.carrier, platform_account(settings), clock
        ),
        closer=closer,
        events=events,
        clock=clock,
    )
    accounts = Accounts(
        database=database,
        guard=guard,
        memory=outside.memory,
        keyring=keyring,
        platform=platform_account(settings),
        clock=clock,
    )
    watch = TokenWatch(
        database=database,
        keyring=keyring,
        carrier=outside.carrier,
        platform=platform_account(settings),
        clock=clock,
    )
    return TwilioWebhooks(
        verifier=Verifier(accounts, watch, settings.base_url),
        flow=flow,
        claims=claims,
        mailbox=Mailbox(database, guard, recorder, events, clock),
        closer=closer,
        keyring=keyring,
        answer_deadline=settings.answer_deadline,
    )


def _provider_webhooks(outside: _Outside) -> ProviderWebhooks:
    return ProviderWebhooks(
        database=outside.database,
        keyring=outside.keyring,
        providers=outside.providers,
        recorder=outside.recorder,
        events=CallEvents(outside.recorder, outside.clock),
        clock=outside.clock,
    )


def _api_services(settings: Settings, outside: _Outside) -> ApiServices:
    return ApiServices(
        database=outside.database,
        keyring=outside.keyring,
        fallback_keyring=Keyring.parse(_reveal(settings.fallback_keys)),
        voice=outside.providers,
        carrier=outside.carrier,
        dispatcher=outside.dispatcher,
        caps=_caps(settings),
        platform_account=platform_account(settings),
        admin_token=Secret(_reveal(settings.admin_token)),
        public_url=settings.base_url,
        fallback_url=settings.fallback_base_url,
        clock=outside.clock,
    )


def _console_services(settings: Settings, outside: _Outside, api: Router) -> ConsoleServices:
    return ConsoleServices(
        api=api,
        keyring=outside.keyring,
        ended=SessionsOnRecord(outside.database, outside.guard, outside.clock),
        public_url=settings.base_url,
        clock=outside.clock,
    )


def _caps(settings: Settings) -> Caps:
    return Caps(settings.caller_calls, settings.agency_calls)


def platform_account(settings: Settings) -> Account | None:
    """The platform's own carrier account, if it has one."""
    if settings.twilio_account_sid is None:
        return None
    return Account(settings.twilio_account_sid, Secret(_reveal(settings.twilio_auth_token)))


def _open_access(keyring: Keyring, agency_id: str, access: Access) -> Secret:
    return open_key(keyring, access.sealed_key or "", agency_id, access.provider, access.key_version)


def _fallback(settings: Settings) -> list[Route]:
    keyring = Keyring.parse(_reveal(settings.fallback_keys))
    return fallback_routes(keyring, urlsplit(settings.fallback_base_url).path)


def _announce(settings: Settings) -> None:
    emit(
        "service.started",
        version=version("callrouter"),
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        database="embedded" if settings.embedded else "external",
        memory_hygiene=is_memory_overwritten(),
        core_dumps=resource.getrlimit(resource.RLIMIT_CORE)[0] != 0,
        dumpable=is_memory_readable(),
        public_url=settings.base_url,
    )
    if settings.public_url is None:
        emit(
            "settings.warning",
            setting="CALLROUTER_PUBLIC_URL",
            message="not set: Twilio cannot reach this address from outside",
        )


def _reveal(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
