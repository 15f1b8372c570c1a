"""The applications: the whole service, probes and metrics alone, and the static fallback alone."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route, Router

from adapters.registry import PROVIDERS, Declarations
from crypto import Keyring
from router.api.app import api_routes
from router.api.limits import AgencyLimits, Uses, count_once
from router.app.areas import api_parts
from router.app.service import Service, make_service
from router.app.slashes import make_application
from router.clock import Clock, utc_now
from router.console import ConsoleServices, console_routes
from router.dialling import Dialling
from router.health import ServiceHealth, fallback_health_routes, health_routes
from router.hygiene import is_memory_overwritten, is_memory_readable
from router.settings import Settings
from router.store.tenants.sessions import SessionsOnRecord
from router.telemetry import emit, metrics
from router.webhooks.fallback import GoOn, fallback_routes
from router.webhooks.proof import Proof
from router.webhooks.providers import ProviderWebhooks
from router.webhooks.redirected import RedirectedCalls
from router.webhooks.twilio import TwilioWebhooks
from router.webhooks.verify import Verifier

_VERSION: Final = version("callrouter")


def create_app(
    settings: Settings,
    health: ServiceHealth | None = None,
    *,
    jobs: bool = True,
    clock: Clock = utc_now,
    providers: Declarations = PROVIDERS,
) -> Starlette:
    """The whole service as an ASGI application. Call it in the event loop that serves it.

    `health` is what the probes report. Without `jobs`, background jobs are left to other processes. `providers` are
    those that the settings were loaded for.
    """
    service = make_service(settings, health or ServiceHealth(), clock, providers)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with service.answering_calls(jobs=jobs):
            service.health.starting = False
            _announce(settings)
            yield
        metrics.leave()

    return make_application(_routes(service), _webhooks(service), lifespan=lifespan)


def fallback_app(keyring: Keyring, settings: Settings, health: ServiceHealth) -> Starlette:
    """Only the static fallback, its probes and metrics: nothing that could be down."""
    probes = fallback_health_routes(health) if settings.ops_port is None else []
    return make_application(probes, _fallback(keyring, settings))


def ops_app(health: ServiceHealth) -> Starlette:
    """Only the probes and metrics of a process."""
    return make_application(health_routes(health))


def fallback_ops_app(health: ServiceHealth) -> Starlette:
    """Only the probes and metrics of a process that serves the static fallback alone."""
    return make_application(fallback_health_routes(health))


def _webhooks(service: Service) -> list[Route]:
    settings, outside, calls = service.settings, service.outside, service.calls
    twilio = TwilioWebhooks(
        verifier=service.verifier,
        flow=calls.flow,
        callbacks=calls.callbacks,
        mailbox=calls.mailbox,
        closer=calls.closer,
        recovery=calls.recovery,
        recorder=outside.recorder,
        keyring=outside.keyring,
        answer_deadline=settings.answer_deadline,
    )
    redirected = RedirectedCalls(_fallback_verifier(service), calls.flow, settings.answer_deadline)
    proof = Proof(outside.database, outside.vault, outside.clock, service.proxies, service.authentication.wrong)
    return [
        *twilio.routes(),
        *ProviderWebhooks(proof, outside.providers, calls.native, calls.reports, calls.transfers).routes(),
        *_fallback(service.fallback_keyring, settings, redirected.go_on, outside.clock),
    ]


def _routes(service: Service) -> list[BaseRoute]:
    settings, outside = service.settings, service.outside
    api = _api_routes(service)
    console = ConsoleServices(
        open_api=partial(count_once, Router(api, redirect_slashes=False)),
        providers=outside.providers.declarations,
        keyring=outside.keyring,
        sessions=SessionsOnRecord(outside.database, outside.guard, outside.clock),
        proxies=service.proxies,
        confirmations=service.areas.confirmations,
        invitations=service.areas.invitations,
        wrong_tokens=service.authentication.wrong,
        public_url=settings.base_url,
        clock=outside.clock,
        waits=lambda: service.areas.address.differing is not None,
        sends_mail=service.areas.health.sends_mail,
    )
    return [
        *(health_routes(service.health) if settings.ops_port is None else ()),
        *api,
        *console_routes(console),
        Route("/", lambda _: RedirectResponse("console")),
    ]


def _fallback_verifier(service: Service) -> Verifier:
    """The static fallback may have an address of its own."""
    of_its_own = service.settings.fallback_url
    return service.verifier if of_its_own is None else replace(service.verifier, proving=lambda: (of_its_own,))


def _api_routes(service: Service) -> list[BaseRoute]:
    settings, outside = service.settings, service.outside
    parts = api_parts(
        service.areas,
        keyring=outside.keyring,
        providers=outside.providers,
        dispatcher=outside.dispatcher,
        caps=service.caps,
        feed=outside.feed,
        receivers=outside.receivers,
    )
    return api_routes(
        outside.providers.declarations,
        parts,
        service.authentication,
        service.proxies,
        service.answers,
        Uses(_limits_of(settings)),
        settings.base_url,
    )


def _limits_of(settings: Settings) -> AgencyLimits:
    return AgencyLimits(
        requests_a_second=settings.agency_rate,
        requests=settings.agency_requests_at_once,
        streams=settings.agency_streams,
        downloads=settings.agency_downloads,
        all_downloads=settings.downloads,
    )


def _fallback(keyring: Keyring, settings: Settings, go_on: GoOn | None = None, clock: Clock = utc_now) -> list[Route]:
    prefix = urlsplit(settings.fallback_base_url).path
    return fallback_routes(keyring, Dialling(settings.premium_prefixes), prefix, go_on, clock)


def _announce(settings: Settings) -> None:
    metrics.started(_VERSION, "serve")
    emit(
        "service.started",
        version=_VERSION,
        host=settings.host,
        port=settings.port,
        ops_port=settings.ops_port,
        workers=settings.workers,
        database="embedded" if settings.embedded else "external",
        memory_hygiene=is_memory_overwritten(),
        core_dumps=resource.getrlimit(resource.RLIMIT_CORE)[0] != 0,
        dumpable=is_memory_readable(),
        public_url=settings.base_url,
        console=f"{settings.base_url}/console",
    )
    if settings.public_url is None:
        emit(
            "settings.warning",
            setting="CALLROUTER_PUBLIC_URL",
            message="not set: Twilio cannot reach this address from outside",
        )
