"""Canary keys: whatever providers answer and whatever breaks, no key shows in the log, in a reply, in a row or in a file."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from adapters import registry
from adapters.base import Handoff, InboundCall, Target
from adapters.client import Client as OpenedClient
from adapters.sandbox.carrier import Script, Timeline
from adapters.sandbox.faults import NAMES
from crypto import Secret
from router.store.sealed import webhook_token_context
from tests.support.circuits import let_circuits_forget
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall
from tests.support.provider_reports import TAKEN, end_report
from tests.support.signed_requests import VOICE, post_signed
from tests.support.world import ADMIN_TOKEN, PROVIDERS, Client, World, open_world

__all__ = ["captured_events"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("little_patience")]

SOON = Script(caller="hangs-up-during-ai")
RUN = 12  # so many characters of a key in a row are as bad as all of it


def canary() -> str:
    """A key whose base64 has a letter of each alphabet's own, whatever is before it."""
    return f"canary-{secrets.token_hex(6)}~?>~?>-{secrets.token_hex(6)}"


def forms_of(secret: str) -> set[str]:
    """The ways in which a secret may show, in lower case: in plain (any run), hex, URL-encoded, and base64 at any place."""
    raw = secret.encode()
    forms = {secret[start : start + RUN] for start in range(len(secret) - RUN + 1)}
    forms |= {raw.hex(), quote(secret, safe=""), json.dumps(secret)[1:-1]}
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + raw)[4:-4].decode()
        forms |= {encoded, encoded.translate(str.maketrans("+/", "-_"))}
    return {form.lower() for form in forms}


def shown(secrets_: Iterable[str], text: str) -> list[str]:
    folded = text.lower()
    return [secret for secret in secrets_ if any(form in folded for form in forms_of(secret))]


@pytest.mark.parametrize(
    "encoding", ["plain", "a part", "hex", "base64", "url-safe base64", "later in base64", "escaped"]
)
def test_the_search_finds_a_secret_in_each_form(encoding):
    secret = canary()
    inner = f'{{"apiKey": "{secret}"}}'.encode()
    text = {
        "plain": f"Bearer {secret.upper()}",
        "a part": f"…{secret[-RUN:]}",
        "hex": secret.encode().hex().upper(),
        "base64": base64.b64encode(secret.encode()).decode(),
        "url-safe base64": base64.urlsafe_b64encode(inner).decode(),
        "later in base64": base64.b64encode(inner).decode(),
        "escaped": quote(secret),
    }[encoding]
    assert shown([secret], text) == [secret]
    assert shown([secret], base64.b64encode(canary().encode()).decode()) == []


class Aviary:
    """A world whose secrets are canaries, and all that came out of it."""

    def __init__(
        self, world: World, client: Client, webhook_token: str, captured: CapturedEvents, folder: Path
    ) -> None:
        self.world = world
        self.client = client
        self.webhook_token = webhook_token
        self.replies: list[str] = []
        self._captured = captured
        self._folder = folder

    @property
    def secrets(self) -> list[str]:
        settings = self.world.settings
        platform = [settings.platform_keys, settings.fallback_keys]
        return [
            *self.client.keys.values(),
            self.client.auth_token,
            self.world.auth_token,
            self.webhook_token,
            ADMIN_TOKEN,
            *(secret.get_secret_value().partition(":")[2] for secret in platform if secret is not None),
        ]

    async def call(self) -> Timeline:
        timeline = await self.world.call(self.client, SOON)
        self.replies += [request.body for request in timeline.requests]
        return timeline

    async def ask_api(self) -> None:
        """What people are shown of keys and calls."""
        path = f"{self.world.urls[0]}/v1/agencies/{self.client.agency_id}"
        for what in ("", "/keys", "/clients", "/numbers", "/calls", "/audit"):
            response = await self.world.http.get(path + what, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
            assert response.status_code == 200
            # The address that is to be given to a provider holds its token on purpose.
            self.replies.append(response.text.replace(quote(self.webhook_token, safe=""), ""))
        for token in ("x", f"{ADMIN_TOKEN}x", self.client.keys["vapi"]):
            response = await self.world.http.get(path, headers={"Authorization": f"Bearer {token}"})
            assert response.status_code == 401
            self.replies.append(response.text)

    async def assert_silent(self) -> None:
        assert self.replies
        assert shown(self.secrets, self._captured.text()) == []
        assert shown(self.secrets, "\n".join(self.replies)) == []
        assert shown(self.secrets, await dump(self.world)) == []
        files = [path.read_bytes() for path in self._folder.rglob("*") if path.is_file()]
        assert shown(self.secrets, b"\n".join(files).decode("latin-1")) == []


@contextlib.asynccontextmanager
async def open_aviary(
    dsn: str,
    folder: Path,
    captured: CapturedEvents,
    providers: Iterable[str] = PROVIDERS,
    declarations: registry.Declarations = registry.PROVIDERS,
) -> AsyncIterator[Aviary]:
    async with open_world(dsn, folder, answer_deadline=3, handoff_timeout=0.4, providers=declarations) as world:
        keys = {name: canary() for name in PROVIDERS}
        client = await world.add_client(providers=providers, own_account=True, keys=keys)
        webhook_token = canary()
        for kind in (*keys, "twilio"):
            sealed = world.keyring.seal(Secret(webhook_token), *webhook_token_context(client.agency_id, kind))
            await world.db.execute("UPDATE keys SET webhook_token_sealed = $2 WHERE kind = $1", kind, sealed)
        yield Aviary(world, client, webhook_token, captured, folder)


async def dump(world: World) -> str:
    """Every row of every table as text."""
    tables = await world.db.fetch(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
    )
    rows = [row for (table,) in tables for row in await world.db.fetch(f"SELECT t::text FROM {table} t")]  # noqa: S608
    assert rows
    return "\n".join(text for (text,) in rows)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_after_success_and_faults_no_key_shows(
    database_dsn, tmp_path, monkeypatch, captured_events: CapturedEvents, provider
):
    """Each fault at one of the providers. That every error of each adapter is clean is for the adapters' own tests."""
    pass_an_hour = let_circuits_forget(monkeypatch)
    faults = NAMES[PROVIDERS.index(provider) :: len(PROVIDERS)]
    order = [provider, *(name for name in PROVIDERS if name != provider)]
    async with open_aviary(database_dsn, tmp_path, captured_events, order) as aviary:
        await aviary.call()
        for fault in faults:
            pass_an_hour()
            aviary.world.sandbox.state.faults.set(provider, {"fault": fault, "seconds": 0.6, "operation": "handoff"})
            await aviary.call()
        assert aviary.world.asked_with(aviary.client, provider) == len(faults) + 1
        await aviary.ask_api()
        await aviary.assert_silent()


@pytest.mark.parametrize("fault", ["echo-key", "wallet", "garbage", "hang"])
async def test_when_all_providers_fail_no_key_shows(database_dsn, tmp_path, captured_events: CapturedEvents, fault):
    async with open_aviary(database_dsn, tmp_path, captured_events) as aviary:
        for provider in PROVIDERS:
            aviary.world.sandbox.state.faults.set(provider, fault)
        assert (await aviary.call()).answered_by == "voicemail"
        await aviary.assert_silent()


class Leak(Exception):  # noqa: N818
    """An exception of ours that tells the key in every way in which an exception can."""

    def __init__(self, key: str) -> None:
        super().__init__(f"cannot use {key}", key)
        self.key = key
        self.add_note(key)


class Leaking:
    """An adapter of ours with a bug: its exception, its causes and the locals of all their frames hold the key."""

    def missing(self, _: Target) -> None:
        return None

    async def hand_off(self, client: OpenedClient, call: InboundCall, target: Target) -> Handoff:
        opened = client.key.reveal()
        headers = {"Authorization": f"Bearer {opened}"}
        try:
            return await self._fail(headers, call, target, client)
        except Leak as cause:
            raise ExceptionGroup(f"with {opened}", [Leak(opened), ValueError(opened)]) from cause

    async def _fail(self, headers: dict[str, str], *rest: object) -> Handoff:
        raise Leak(headers["Authorization"].removeprefix("Bearer ")) from KeyError(*headers.values(), *rest)


async def test_after_our_own_exceptions_no_key_shows(database_dsn, tmp_path, captured_events: CapturedEvents):
    leaking = tuple(replace(one, calls=Leaking()) for one in registry.PROVIDERS)
    async with open_aviary(database_dsn, tmp_path, captured_events, declarations=leaking) as aviary:
        assert (await aviary.call()).answered_by == "voicemail"
        failed = captured_events.named("request.failed")
        assert [line["exception"]["type"] for line in failed] == ["ExceptionGroup"] * len(PROVIDERS)
        assert all("Leaking.hand_off" in "\n".join(line["exception"]["frames"]) for line in failed)
        await aviary.assert_silent()


@pytest.mark.parametrize("envelope", ["the key itself", "a part of the envelope", "another agency's"])
async def test_keys_that_do_not_open_do_not_show(database_dsn, tmp_path, captured_events: CapturedEvents, envelope):
    async with open_aviary(database_dsn, tmp_path, captured_events) as aviary:
        world = aviary.world
        if envelope == "another agency's":
            await world.add_client(providers=PROVIDERS)
            change = "(SELECT o.sealed FROM keys o WHERE o.kind = keys.kind AND o.agency_id <> keys.agency_id)"
        else:
            change = "substr(sealed, 1, 30)" if envelope == "a part of the envelope" else "'Bearer ' || last4"
        await world.db.execute(
            f"UPDATE keys SET sealed = {change} WHERE agency_id = $1 AND kind <> 'twilio'",  # noqa: S608
            aviary.client.agency_id,
        )
        assert (await aviary.call()).answered_by == "voicemail"
        assert len(captured_events.named("key.unreadable")) == len(PROVIDERS)
        await aviary.assert_silent()


async def test_after_requests_that_are_refused_no_token_shows(database_dsn, tmp_path, captured_events: CapturedEvents):
    async with open_aviary(database_dsn, tmp_path, captured_events) as aviary:
        world, client = aviary.world, aviary.client
        form = PostedCall(world, client).parameters
        responses = [
            await post_signed(world, VOICE, form, world.auth_token),  # another account's token
            await post_signed(world, VOICE, form | {"AccountSid": world.account_sid}, client.auth_token),
            await world.http.post(f"{world.urls[0]}{VOICE}", data=form),
        ]
        assert {response.status_code for response in responses} == {403}
        for provider in PROVIDERS:
            hook = f"{world.urls[0]}/webhooks/{provider}/{client.agency_id}"
            report = end_report(provider, "call_unknown")
            for token, status in ((aviary.webhook_token, TAKEN[provider]), (f"{aviary.webhook_token}x", 401)):
                response = await world.http.post(hook, params={"token": token}, json=report)
                assert response.status_code == status
                responses.append(response)
            for headers in ({"x-vapi-secret": client.keys[provider]}, {"authorization": client.keys[provider]}):
                responses.append(
                    await world.http.post(hook, headers=headers, content=b"\xff" + client.keys[provider].encode())
                )
                assert responses[-1].status_code == 401
        aviary.replies += [response.text for response in responses]
        await aviary.assert_silent()
