"""The service: every object of a process, made once, its jobs, and what runs beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from adapters.registry import PROVIDERS, Declarations
from crypto import Keyring, Secret
from router.addresses import Addresses
from router.api.auth import Authentication
from router.api.open_answers import OpenAnswers
from router.app.areas import Areas, make_areas
from router.app.calls import CallPath, make_call_path
from router.app.outside import Outside, make_outside
from router.app.tracing import tracing
from router.calls.claims import Caps
from router.calls.memory import MemoryKeeper
from router.calls.route_file import RouteFile
from router.clock import Clock, utc_now
from router.dialling import Dialling
from router.events.deliveries import Deliveries
from router.events.sending import Sender
from router.health import ServiceHealth
from router.jobs import JobRunner, Turns
from router.mail import Letters, Mailer, read_smtp_url
from router.peers import Proxies, WrongTokens
from router.settings import Settings, reveal
from router.store.events.feed import CHANNEL as CALL_EVENTS
from router.store.guard import DatabaseAwayError
from router.store.notices import Notices
from router.store.pool import AWAY_ERRORS
from router.telemetry import emit
from router.tenants.alert_posts import AlertPosts
from router.webhooks.token_watch import TokenWatch
from router.webhooks.verify import Verifier

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

MEMORY_SECONDS: Final = 15.0
ADDRESS_SECONDS: Final = 15.0
EARLY_ENDS_SECONDS: Final = 2.0
KEY_NOTES_SECONDS: Final = 1.0
REFUSALS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """For the applications, the commands and tests. Code that needs one of these gets that one, never the whole."""

    settings: Settings
    health: ServiceHealth
    outside: Outside
    areas: Areas
    calls: CallPath
    caps: Caps
    fallback_keyring: Keyring
    keeper: MemoryKeeper
    verifier: Verifier
    runner: JobRunner
    proxies: Proxies
    authentication: Authentication
    answers: OpenAnswers

    @asynccontextmanager
    async def answering_calls(self, *, jobs: bool) -> AsyncIterator[None]:
        """Run everything beside the requests. Without `jobs`, background jobs are left to other processes."""
        async with tracing(self.settings), self.outside.opened(self.settings.dsn):
            await self.keeper.load()
            await self._look_at_address()
            try:
                async with _going_on(self._tasks(jobs=jobs)):
                    yield
            finally:
                await self.calls.live_calls.aclose()
                await self.verifier.aclose()
                await self.keeper.save()

    @asynccontextmanager
    async def doing_jobs(self) -> AsyncIterator[None]:
        """For a process that takes no calls."""
        async with tracing(self.settings), self.outside.opened(self.settings.dsn):
            await self._look_at_address()
            yield

    async def _look_at_address(self) -> None:
        with suppress(DatabaseAwayError):
            await self.outside.guard.ask(self.areas.address.look)

    def _tasks(self, *, jobs: bool) -> dict[str, Work]:
        dsn = self.settings.direct_dsn
        tasks: dict[str, Work] = {
            "memory": _every(MEMORY_SECONDS, self.keeper.exchange),
            "public-address": _every(ADDRESS_SECONDS, self.areas.address.look),
            "notices": Notices(dsn, self._hear_of_change).run,
            "call-events": Notices(dsn, self.outside.feed.hear, CALL_EVENTS).run,
            "early-ends": _every(EARLY_ENDS_SECONDS, self.calls.closer.carry_out_early_ends),
            "key-notes": _every(KEY_NOTES_SECONDS, self.calls.key_notes.write),
            "refused-tokens": _every(REFUSALS_SECONDS, self.authentication.write_refusals),
        }
        return tasks | ({"jobs": self._run_jobs} if jobs else {})

    async def _hear_of_change(self, agency_id: str | None) -> None:
        """'': the public address changed, of no agency."""
        if not agency_id:
            await self.areas.address.look()
        if agency_id == "":
            return
        await self.answers.check(agency_id)
        await self.keeper.refresh(agency_id)

    async def _run_jobs(self) -> None:
        """At the end, unfinished jobs return to the queue."""
        running = asyncio.ensure_future(self.runner.run())
        try:
            await asyncio.shield(running)
        finally:
            await self.runner.stop()
            await running


def make_service(
    settings: Settings, health: ServiceHealth, clock: Clock = utc_now, providers: Declarations = PROVIDERS
) -> Service:
    """Connects nothing yet, but needs the running event loop. The settings must have all secrets.

    `providers` are those that the settings were loaded for.
    """
    outside = make_outside(settings, providers, clock, lambda: health.draining)
    fallback_keyring = Keyring.parse(reveal(settings.fallback_keys), derives=False)
    areas = make_areas(
        database=outside.database,
        vault=outside.vault,
        fallback_keyring=fallback_keyring,
        addresses=Addresses(settings.base_url, settings.fallback_base_url, settings.public_url is not None),
        carrier=outside.carrier,
        listening_carrier=outside.listening_carrier,
        listening_providers=outside.listening_providers,
        platform=outside.platform,
        providers=outside.providers,
        dialling=Dialling(settings.premium_prefixes),
        purchases_per_day=settings.purchases_per_day,
        mails_an_hour=settings.mails_an_hour,
        sends_mail=settings.mail_from is not None,
        clock=clock,
    )
    health.watch(outside.database, outside.guard, outside.memory, areas.address)
    caps = Caps(settings.caller_calls, settings.agency_calls)
    calls = make_call_path(settings, outside, areas.accounts, caps)
    return Service(
        settings=settings,
        health=health,
        outside=outside,
        areas=areas,
        calls=calls,
        caps=caps,
        fallback_keyring=fallback_keyring,
        keeper=MemoryKeeper(
            outside.memory,
            RouteFile(settings.data_dir / "routes.sealed", outside.keyring),
            outside.database,
            outside.guard,
        ),
        verifier=_make_verifier(settings, outside, areas.address.proving),
        runner=_make_runner(settings, outside, areas, calls),
        proxies=Proxies(settings.trusted_proxies or ()),
        authentication=Authentication(
            outside.database, Secret(reveal(settings.admin_token)), WrongTokens(clock), clock
        ),
        answers=OpenAnswers(outside.database),
    )


def _make_runner(settings: Settings, outside: Outside, areas: Areas, calls: CallPath) -> JobRunner:
    """A runner with all jobs. docs/jobs.md describes each, and what happens when it fails. No call needs one."""
    runner = JobRunner(settings.direct_dsn, must_wait=areas.address.must_wait)
    mailer = Mailer(read_smtp_url(reveal(settings.smtp_url)), settings.mail_from) if settings.mail_from else None
    letters = Letters(mailer, outside.database, settings.mails_an_hour, outside.clock)
    letters.register(runner)
    areas.key_rounds.register(runner)
    areas.confirmations.register(letters)
    areas.key_letters.register(letters)
    areas.number_jobs.register(runner)
    areas.sync_work.register(runner)
    areas.message_mail.register(runner, letters)
    runner.repeat("agencies.retention", "23 3 * * *", areas.retention.apply)
    turns = Turns(outside.database, outside.clock)
    sender = Sender(outside.keyring, outside.receivers, outside.clock)
    deliveries = Deliveries(outside.database, sender, outside.clock, turns)
    deliveries.register(runner)
    areas.alert_watch.register(runner, letters)
    posts = AlertPosts(
        outside.database,
        outside.keyring,
        outside.receivers,
        areas.alert_watch.addresses,
        turns,
        outside.clock,
    )
    posts.register(runner)
    calls.overdue.register(runner)
    calls.unseen.register(runner)
    calls.old_answers.register(runner)
    runner.beside(Notices(settings.direct_dsn, deliveries.hear, CALL_EVENTS).run)
    return runner


def _make_verifier(settings: Settings, outside: Outside, proving: Callable[[], tuple[str, ...]]) -> Verifier:
    watch = TokenWatch(
        database=outside.database,
        vault=outside.vault,
        carrier=outside.carrier,
        platform=outside.platform,
        clock=outside.clock,
    )
    return Verifier(
        database=outside.database,
        guard=outside.guard,
        memory=outside.memory,
        vault=outside.vault,
        platform=outside.platform,
        shared_keys={key_id: Secret(reveal(secret)) for key_id, secret in settings.shared_keys.items()},
        watch=watch,
        proving=proving,
        clock=outside.clock,
    )


def _every(seconds: float, work: Work) -> Work:
    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except AWAY_ERRORS:
                continue
            except Exception as error:  # noqa: BLE001  the next time may go well
                emit("request.failed", exception=error)

    return repeat


@asynccontextmanager
async def _going_on(works: dict[str, Work]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work(), name=name) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
