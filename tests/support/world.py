"""The whole service against the sandbox, with an agency and a client: what end-to-end tests of calls start from."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import httpx
from pydantic import SecretStr

from adapters import registry
from adapters.sandbox.bland.org import BlandOrg
from adapters.sandbox.carrier import Carrier, FarEnd, Quirks, SandboxControl, Script, Timeline
from adapters.sandbox.server import RunningSandbox, running_sandbox
from crypto import Keyring, Secret, new_key_entry
from router.app import create_app
from router.calls.fallback import Fallback, fallback_address
from router.health import ServiceHealth
from router.settings import Settings, load_settings, reveal
from router.store.sealed import key_context, registration_address_context, webhook_token_context
from tests.support.local_http import local_client
from tests.support.serving import listen, serve_app, url_of
from tests.support.waiting import wait_until

OWNER = "+15005550123"
CALLER = "+14155550123"
PROVIDERS = tuple(one.name for one in registry.PROVIDERS)
PassTime: TypeAlias = Callable[[float], Awaitable[None]]
KEPT_SHORTER = httpx.Limits(keepalive_expiry=2)  # than servers keep idle connections: no request meets such an end
ADMIN_TOKEN = "admin_of_the_tests_0123456789"


class FakeClock:
    """The service's wall clock: real time, plus what a test lets pass."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


@dataclass(slots=True)
class Client:
    """A client of an agency as tests know it."""

    agency_id: str
    client_id: str
    number: str
    account_sid: str
    auth_token: str
    keys: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """Everything an end-to-end test reaches for."""

    sandbox: RunningSandbox
    settings: Settings
    keyring: Keyring
    clock: FakeClock
    db: Any
    urls: list[str]  # the replicas; the first is the public one
    account_sid: str
    auth_token: str
    http: httpx.AsyncClient
    healths: list[ServiceHealth] = field(default_factory=list)  # what the replicas' probes are told
    _numbers: int = 0

    async def add_client(
        self,
        *,
        providers: Iterable[str] = ("vapi",),
        routing: dict[str, Any] | None = None,
        personal_phone: str | None = OWNER,
        caller_id: str = "caller",
        assistant: dict[str, Any] | None = None,
        fallback_providers: list[str] | None = None,
        own_account: bool = False,
        bland_mode: str = "sip",
        keys: dict[str, str] | None = None,
        agency_id: str | None = None,
    ) -> Client:
        """An agency with a client that all the providers are ready for; the first one is the active one."""
        ready = list(providers)
        now = self.clock()
        agency = agency_id or f"agency_{secrets.token_hex(8)}"
        number = self._new_number()
        account_sid, auth_token = self.account_sid, self.auth_token
        if own_account:
            account_sid, auth_token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
        client = Client(agency, f"client_{secrets.token_hex(8)}", number, account_sid, auth_token)
        client.keys = {name: (keys or {}).get(name) or f"key-{name}-{secrets.token_hex(12)}" for name in ready}
        if agency_id is None:
            await self.db.execute(
                "INSERT INTO agencies (id, name, active_provider, fallback_providers, created_at) "
                "VALUES ($1, 'Agency', $2, $3, $4)",
                agency,
                ready[0] if ready else None,
                fallback_providers,
                now,
            )
            for name, key in client.keys.items():
                await self.save_key(agency, name, key)
            if own_account:
                await self.save_key(agency, "twilio", auth_token, account_sid=account_sid)
        await self.db.execute(
            "INSERT INTO clients (id, agency_id, name, personal_phone, caller_id, routing, assistant, created_at) "
            "VALUES ($1, $2, 'Acme Plumbing', $3, $4, $5, $6, $7)",
            client.client_id,
            agency,
            personal_phone,
            caller_id,
            json.dumps(routing or {}),
            None if assistant is None else json.dumps(assistant),
            now,
        )
        await self.db.execute(
            "INSERT INTO numbers (account_sid, e164, agency_id, client_id, carrier, account, number_sid, voice_url, "
            "fallback_url, status_url, state, fallback_state, created_at) "
            "VALUES ($1, $2, $3, $4, 'twilio', $5, $6, '', '', '', 'active', 'ok', $7)",
            account_sid,
            number,
            agency,
            client.client_id,
            "agency" if own_account else "platform",
            "PN" + secrets.token_hex(16),
            now,
        )
        account = self.sandbox.state.twilio.accounts.get(account_sid)
        if account is None:
            account = self.sandbox.state.twilio.add_account(account_sid, auth_token)
        self.sandbox.state.twilio.add_number(account, number)
        for name in ready:
            await self._make_ready(client, name, bland_mode)
        return client

    async def save_key(self, agency_id: str, kind: str, key: str, *, account_sid: str | None = None) -> None:
        """As the API would: a new version, the former one retired."""
        version = 1 + (
            await self.db.fetchval(
                "SELECT coalesce(max(version), 0) FROM keys WHERE agency_id = $1 AND kind = $2", agency_id, kind
            )
        )
        now = self.clock()
        await self.db.execute(
            "UPDATE keys SET retired_at = $3 WHERE agency_id = $1 AND kind = $2 AND retired_at IS NULL",
            agency_id,
            kind,
            now,
        )
        await self.db.execute(
            "INSERT INTO keys (agency_id, kind, version, sealed, webhook_token_sealed, account_sid, last4, status, "
            "checked_at, saved_at) VALUES ($1, $2, $3, $4, $5, $6, 'last', 'valid', $7, $7)",
            agency_id,
            kind,
            version,
            self.keyring.seal(Secret(key), *key_context(agency_id, kind, version)),
            self.keyring.seal(Secret(f"token-{agency_id}"), *webhook_token_context(agency_id, kind)),
            account_sid,
            now,
        )

    async def set_alert_email(self, client: Client, address: str) -> None:
        """As if the address had confirmed."""
        await self.db.execute(
            "UPDATE agencies SET alert_email = $2, alert_email_confirmed = true WHERE id = $1",
            client.agency_id,
            address,
        )

    def carrier(
        self,
        client: Client,
        *,
        quirks: Quirks | None = None,
        url: str | None = None,
        strict: bool = True,
        meanwhile: PassTime | None = None,
        far_end: FarEnd | None = None,
        **rest: Any,
    ) -> Carrier:
        """A carrier holding the client's number; `url` is the replica that it reaches.

        `meanwhile` is told of all the virtual seconds that went by, after the clock was put forward.
        """
        base = url or self.urls[0]

        async def pass_time(seconds: float) -> None:
            self.clock.advance(seconds)
            if meanwhile is not None:
                await meanwhile(seconds)

        return Carrier(
            client.account_sid,
            Secret(client.auth_token),
            f"{base}/webhooks/twilio/voice",
            far_end=far_end or SandboxControl(self.sandbox.url, self.http),
            pass_time=pass_time,
            status_url=f"{base}/webhooks/twilio/status",
            quirks=quirks or Quirks(),
            strict=strict,
            **rest,
        )

    def fallback_url(self, client: Client, *, rings: bool = True) -> str:
        """The client's VoiceFallbackUrl, as it would be configured for the number."""
        fallback = Fallback(
            agency_id=client.agency_id,
            client_id=client.client_id,
            client_name="Acme Plumbing",
            number=client.number,
            phone=OWNER if rings else None,
            ring_seconds=15,
            screen=True,
            caller_id="caller",
            language="en-US",
            greeting=None,
            voicemail_seconds=120,
        )
        keys = Keyring.parse(reveal(self.settings.fallback_keys), derives=False)
        return fallback_address(keys, self.urls[0], fallback)

    async def call(
        self,
        client: Client,
        script: Script | None = None,
        *,
        from_: str | None = CALLER,
        quirks: Quirks | None = None,
        call_sid: str | None = None,
        forwarded_from: str | None = None,
        **rest: Any,
    ) -> Timeline:
        """One simulated call to the client, from beginning to end."""
        return await self.carrier(client, quirks=quirks, **rest).place_call(
            to=client.number, from_=from_, script=script, call_sid=call_sid, forwarded_from=forwarded_from
        )

    async def find_call(self, timeline: Timeline) -> Any:
        return await self.db.fetchrow("SELECT * FROM calls WHERE call_sid = $1", timeline.call_sid)

    async def find_ended_call(self, timeline: Timeline) -> Any:
        """On a busy machine the end may have gone into the spool first, and arrives from there."""

        async def find() -> Any:
            call = await self.find_call(timeline)
            return call if call is not None and call["ended_at"] is not None else None

        return await wait_until(find)

    async def events(self, timeline: Timeline) -> list[tuple[str, str | None, str | None]]:
        """The call's timeline: event, provider, reason; in order."""
        rows = await self.db.fetch(
            "SELECT e.event, e.provider, e.reason FROM call_events e JOIN calls c ON c.id = e.call_id "
            "WHERE c.call_sid = $1 ORDER BY e.at, e.seq",
            timeline.call_sid,
        )
        return [tuple(row) for row in rows]

    def asked(self, provider: str) -> int:
        """How often a provider was asked to take a call."""
        return len(self.sandbox.state.requests_to(provider, operation="handoff"))

    def asked_with(self, client: Client, provider: str) -> int:
        """How often a provider was asked to take a call with this client's agency's key."""
        api = getattr(self.sandbox.state, provider)
        asked = self.sandbox.state.requests_to(provider, operation="handoff")
        return sum(api.key_of(each) == client.keys[provider] for each in asked)

    def _new_number(self) -> str:
        self._numbers += 1
        return f"+1500556{self._numbers:04d}"

    async def _make_ready(self, client: Client, name: str, bland_mode: str) -> None:
        api = getattr(self.sandbox.state, name)
        org = api.add_org(client.keys[name], "Agency", balance=10.0)
        if name == "bland":
            await self._register_at_bland(client, org, bland_mode)
            return
        await self._link(client, name, api.add_assistant(org))
        if name == "vapi":
            await self._register(client, name, api.add_phone_number(org, client.number), None)

    async def _register_at_bland(self, client: Client, org: BlandOrg, mode: str) -> None:
        """By redirect, Bland has the client's own number; else another one, attached to a SIP trunk or dialled."""
        bland = self.sandbox.state.bland
        if mode != "redirect":
            number = self._new_number()
            bland.add_number(org, number)
            bland.attach(org, number)
            await self._register(client, "bland", number, mode)
            return
        account = self.sandbox.state.twilio.accounts[client.account_sid]
        there = account.number_called(client.number)
        assert there is not None
        before = there["voice_url"]
        address = bland.import_number(org, account, client.number)
        there["voice_url"] = before
        await self._register(client, "bland", client.number, mode)
        await self.db.execute(
            "UPDATE registrations SET sealed_address = $3 WHERE agency_id = $1 AND e164 = $2 AND provider = 'bland'",
            client.agency_id,
            client.number,
            self.keyring.seal(address, *registration_address_context(client.agency_id, client.number, "bland")),
        )

    async def _link(self, client: Client, provider: str, remote_id: str) -> None:
        await self.db.execute(
            "INSERT INTO assistants (client_id, provider, remote_id, state, usable, updated_at) VALUES ($1, $2, $3, 'linked', true, $4)",
            client.client_id,
            provider,
            remote_id,
            self.clock(),
        )

    async def _register(self, client: Client, provider: str, remote_id: str, mode: str | None) -> None:
        await self.db.execute(
            "INSERT INTO registrations (agency_id, e164, provider, remote_id, mode) VALUES ($1, $2, $3, $4, $5)",
            client.agency_id,
            client.number,
            provider,
            remote_id,
            mode,
        )


@contextlib.asynccontextmanager
async def open_world(
    dsn: str,
    folder: Path,
    *,
    replicas: int = 1,
    jobs: bool = False,
    providers: registry.Declarations = registry.PROVIDERS,
    **overrides: Any,
) -> AsyncIterator[World]:
    """A sandbox and the service before it, as many replicas as asked for on one database, with or without jobs."""
    clock = FakeClock()
    account_sid, auth_token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
    platform_keys = new_key_entry()
    async with contextlib.AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(running_sandbox())
        sandbox.state.twilio.add_account(account_sid, auth_token)
        values: dict[str, Any] = {
            "database_url": SecretStr(dsn),
            "data_dir": folder,
            "platform_keys": SecretStr(platform_keys),
            "fallback_keys": SecretStr(new_key_entry()),
            "admin_token": SecretStr(ADMIN_TOKEN),
            "twilio_account_sid": account_sid,
            "twilio_auth_token": SecretStr(auth_token),
            **{f"{api.name}_url": f"{sandbox.url}/{api.name}" for api in sandbox.state.apis},
            **overrides,
        }
        urls, healths = [], []
        settings = None
        for _ in range(replicas):
            listening = listen()
            settings = load_settings(
                {},
                declared=registry.settings_of(providers),
                **(values | {"public_url": overrides.get("public_url") or url_of(listening)}),
            )
            healths.append(ServiceHealth())
            app = create_app(settings, healths[-1], jobs=jobs, clock=clock, providers=providers)
            urls.append(await stack.enter_async_context(serve_app(app, listening, lifespan=True)))
        assert settings is not None
        db = await asyncpg.connect(dsn, statement_cache_size=0)  # it may be that of a pooler
        stack.push_async_callback(db.close)
        http = await stack.enter_async_context(local_client(timeout=30, limits=KEPT_SHORTER))
        keyring = Keyring.parse(platform_keys)
        yield World(sandbox, settings, keyring, clock, db, urls, account_sid, auth_token, http, healths)
