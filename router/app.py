"""Settings → the service: makes everything that reaches outside, hands it to who needs it, and mounts the routes.

The composition root: here and in router.cli alone, concrete things meet. What each does is elsewhere.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import BaseRoute, Route, Router

from crypto import Keyring, Secret
from router.api.app import api_routes
from router.calls.memory import MemoryKeeper, RouteMemory
from router.calls.route_file import RouteFile
from router.composition.api import api_parts
from router.composition.areas import areas_of
from router.composition.background import running_jobs
from router.composition.calls import CallPath, make_call_path
from router.composition.outside import (
    Clock,
    Outside,
    caps,
    direct_dsn,
    open_outside,
    platform_account,
    reveal,
)
from router.console import ConsoleServices, console_routes
from router.health import Check, health_routes
from router.hygiene import is_memory_overwritten, is_memory_readable
from router.settings import Settings
from router.store.events.feed import CHANNEL as CALL_EVENTS
from router.store.notices import Notices
from router.store.pool import Database
from router.store.tenants.ended_sessions import SessionsOnRecord
from router.telemetry import emit, metrics
from router.webhooks.accounts import Accounts
from router.webhooks.fallback import fallback_routes
from router.webhooks.proof import Proof
from router.webhooks.providers import ProviderWebhooks
from router.webhooks.token_watch import TokenWatch
from router.webhooks.transfers import TransferWebhooks
from router.webhooks.twilio import TwilioWebhooks
from router.webhooks.verify import Verifier

_VERSION: Final = version("callrouter")


def create_app(settings: Settings, *, jobs: bool = True, clock: Clock = lambda: datetime.now(UTC)) -> Starlette:
    """The whole service as an ASGI application. Settings are complete: secrets given or generated.

    `jobs` False: background jobs are left to other processes.
    """
    health = ServiceHealth()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _open_service(settings, health, clock, jobs=jobs) as routes:
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


@asynccontextmanager
async def _open_service(
    settings: Settings, health: ServiceHealth, clock: Clock, *, jobs: bool
) -> AsyncIterator[list[BaseRoute]]:
    async with open_outside(settings, clock, lambda: health.draining) as outside:
        health.pool, health.memory = outside.database, outside.memory
        keeper = MemoryKeeper(
            outside.memory,
            RouteFile(settings.data_dir / "routes.sealed", outside.keyring),
            outside.database,
            outside.guard,
        )
        await keeper.load()
        notices = Notices(direct_dsn(settings), keeper.refresh)
        happenings = Notices(direct_dsn(settings), outside.feed.hear, CALL_EVENTS)
        calls = make_call_path(settings, outside)
        twilio = _twilio_webhooks(settings, outside, calls)
        tasks = [
            asyncio.create_task(keeper.save_now_and_then(), name="memory"),
            asyncio.create_task(notices.run(), name="notices"),
            asyncio.create_task(happenings.run(), name="call-events"),
            asyncio.create_task(twilio.closer.carry_out_early_ends_now_and_then(), name="early-ends"),
            asyncio.create_task(calls.key_notes.write_now_and_then(), name="key-notes"),
        ]
        api = _api_routes(settings, outside)
        try:
            async with running_jobs(settings, outside) if jobs else nullcontext():
                yield [
                    *twilio.routes(),
                    *_provider_routes(outside, calls),
                    *api,
                    *console_routes(_console_services(settings, outside, Router(api))),
                    Route("/", lambda _: RedirectResponse("console")),
                ]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await twilio.verifier.aclose()
            await keeper.save()


def _api_routes(settings: Settings, outside: Outside) -> list[BaseRoute]:
    parts = api_parts(
        areas_of(settings, outside),
        keyring=outside.keyring,
        providers=outside.providers,
        dispatcher=outside.dispatcher,
        caps=caps(settings),
        feed=outside.feed,
        receivers=outside.receivers,
    )
    return api_routes(tuple(outside.providers), parts, Secret(reveal(settings.admin_token)), settings.base_url)


def _twilio_webhooks(settings: Settings, outside: Outside, calls: CallPath) -> TwilioWebhooks:
    accounts = Accounts(
        database=outside.database,
        guard=outside.guard,
        memory=outside.memory,
        keyring=outside.keyring,
        platform=platform_account(settings),
        clock=outside.clock,
    )
    watch = TokenWatch(
        database=outside.database,
        keyring=outside.keyring,
        carrier=outside.carrier,
        platform=platform_account(settings),
        clock=outside.clock,
    )
    return TwilioWebhooks(
        verifier=Verifier(accounts, watch, settings.base_url),
        flow=calls.flow,
        claims=calls.claims,
        mailbox=calls.mailbox,
        closer=calls.closer,
        keyring=outside.keyring,
        answer_deadline=settings.answer_deadline,
    )


def _provider_routes(outside: Outside, calls: CallPath) -> list[Route]:
    proof = Proof(outside.database, outside.keyring, outside.clock)
    reports = ProviderWebhooks(proof, outside.providers, calls.native, calls.reports)
    return [*reports.routes(), *TransferWebhooks(proof, outside.providers, calls.transfers).routes()]


def _console_services(settings: Settings, outside: Outside, api: Router) -> ConsoleServices:
    return ConsoleServices(
        api=api,
        keyring=outside.keyring,
        ended=SessionsOnRecord(outside.database, outside.guard, outside.clock),
        public_url=settings.base_url,
        clock=outside.clock,
    )


def _fallback(settings: Settings) -> list[Route]:
    keyring = Keyring.parse(reveal(settings.fallback_keys))
    return fallback_routes(keyring, urlsplit(settings.fallback_base_url).path)


def _announce(settings: Settings) -> None:
    emit(
        "service.started",
        version=_VERSION,
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
