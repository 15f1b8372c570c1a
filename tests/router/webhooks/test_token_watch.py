"""Wrong signatures in a row for a number that we know: is it the account's token, or our public address?"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from adapters.base import ErrorKind, KeyCheck, ProviderError
from adapters.carrier import Account
from crypto import Secret
from router.store.pool import make_database
from router.vault import Vault
from router.webhooks.token_watch import TokenWatch
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.signed_requests import VOICE, call_form, post_signed
from tests.support.waiting import wait_until
from tests.support.world import Client, World

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

WRONG = "not-the-token"


async def refuse(world: World, client: Client, times: int = 3, **changes: str) -> None:
    for _ in range(times):
        assert (await post_signed(world, VOICE, call_form(client, **changes), WRONG)).status_code == 403


async def status_of(world: World, client: Client) -> list[tuple[int, str]]:
    rows = await world.db.fetch(
        "SELECT version, status FROM keys WHERE agency_id = $1 AND kind = 'twilio' ORDER BY version", client.agency_id
    )
    return [tuple(row) for row in rows]


def checks(world: World) -> int:
    return len(world.sandbox.state.requests_to("twilio", operation="check"))


async def test_a_token_that_the_carrier_refuses_is_marked_as_failing(world: World, captured_events: CapturedEvents):
    client = await world.add_client(own_account=True)
    world.sandbox.state.twilio.accounts[client.account_sid].auth_token = "rotated-elsewhere"
    await refuse(world, client)
    await wait_until(lambda: captured_events.named("key.failing"))
    line = captured_events.only("key.failing")
    assert (line["agency_id"], line["kind"], line["key_version"]) == (client.agency_id, "twilio", 1)
    assert line["reason"] == "key_rejected"
    assert await status_of(world, client) == [(1, "failing")]
    assert checks(world) == 1
    assert captured_events.named("settings.warning") == []
    assert client.auth_token not in captured_events.text()


async def test_with_a_token_that_works_the_public_address_is_the_likely_cause(
    world: World, captured_events: CapturedEvents
):
    client = await world.add_client(own_account=True)
    await refuse(world, client)
    await wait_until(lambda: captured_events.named("settings.warning"))
    line = captured_events.only("settings.warning")
    assert line["setting"] == "CALLROUTER_PUBLIC_URL"
    assert client.account_sid in line["message"]
    assert await status_of(world, client) == [(1, "valid")]


async def test_the_platforms_own_account_is_looked_into_likewise(world: World, captured_events: CapturedEvents):
    client = await world.add_client()
    await refuse(world, client)
    await wait_until(lambda: captured_events.named("settings.warning"))
    assert captured_events.only("settings.warning")["setting"] == "CALLROUTER_PUBLIC_URL"


async def test_forged_requests_make_us_ask_at_most_once_a_minute(world: World, captured_events: CapturedEvents):
    client = await world.add_client(own_account=True)
    await refuse(world, client, 20)
    await wait_until(lambda: captured_events.named("settings.warning"))
    assert checks(world) == 1


@pytest.mark.parametrize("changes", [{"To": "+15005559999"}, {"To": ""}])
async def test_numbers_that_are_not_ours_start_no_check(world: World, captured_events: CapturedEvents, changes):
    client, known = await world.add_client(own_account=True), await world.add_client(own_account=True)
    await refuse(world, client, 6, **changes)
    await refuse(world, known)
    await wait_until(lambda: captured_events.named("settings.warning"))
    assert checks(world) == 1, "only of the account whose number was called"


async def test_two_refusals_start_no_check_and_a_right_signature_resets_the_count(
    world: World, captured_events: CapturedEvents
):
    client = await world.add_client(own_account=True, routing={"mode": "voicemail"})
    for _ in range(3):
        await refuse(world, client, 2)
        assert (await post_signed(world, VOICE, call_form(client), client.auth_token)).status_code == 200
    other = await world.add_client(own_account=True)
    await refuse(world, other)
    await wait_until(lambda: captured_events.named("settings.warning"))
    assert checks(world) == 1


class FakeCarrier:
    """The carrier's edge: what it says of an account."""

    def __init__(self) -> None:
        self.says: dict[str, ProviderError | None] = {}
        self.asked: list[str] = []

    async def check_account(self, account: Account, limit: float) -> KeyCheck:  # noqa: ARG002
        self.asked.append(account.sid)
        if (error := self.says.get(account.sid)) is not None:
            raise error
        return KeyCheck("valid")


class Watched:
    """A watch on a clock of its own, over a database with an agency's account."""

    def __init__(self, world: World, client: Client, watch: TokenWatch, carrier: FakeCarrier) -> None:
        self.world = world
        self.client = client
        self.watch = watch
        self.carrier = carrier
        self.now = 1000.0

    async def go_wrong(self, times: int = 3) -> int:
        """So many wrong signatures. Returns how often the carrier has been asked by then."""
        for _ in range(times):
            self.watch.note_wrong(self.client.account_sid, self.client.number)
        await asyncio.gather(*self.watch._checks)
        return len(self.carrier.asked)


@pytest.fixture
async def watched(world: World) -> AsyncIterator[Watched]:
    client = await world.add_client(own_account=True)
    carrier = FakeCarrier()
    async with make_database(world.settings.dsn).opened() as database:
        watch = TokenWatch(
            database=database,
            vault=Vault(world.keyring),
            carrier=carrier,
            platform=Account(world.account_sid, Secret(world.auth_token)),
            clock=world.clock,
            monotonic=lambda: watched.now,
        )
        watched = Watched(world, client, watch, carrier)
        yield watched
        await watch.aclose()


async def test_after_a_minute_it_is_looked_into_again_but_told_once_a_version(
    watched: Watched, captured_events: CapturedEvents
):
    watched.carrier.says[watched.client.account_sid] = ProviderError(ErrorKind.KEY_REJECTED, status=401)
    assert [await watched.go_wrong() for _ in range(3)] == [1, 1, 1]
    watched.now += 60
    assert await watched.go_wrong() == 2
    assert len(captured_events.named("key.failing")) == 1
    await watched.world.save_key(
        watched.client.agency_id, "twilio", secrets.token_hex(16), account_sid=watched.client.account_sid
    )
    assert await status_of(watched.world, watched.client) == [(1, "failing"), (2, "valid")]
    watched.now += 60
    await watched.go_wrong()
    assert [line["key_version"] for line in captured_events.named("key.failing")] == [1, 2]
    assert await status_of(watched.world, watched.client) == [(1, "failing"), (2, "failing")]


async def test_a_token_that_is_accepted_again_is_no_longer_failing(watched: Watched):
    sid = watched.client.account_sid
    watched.carrier.says[sid] = ProviderError(ErrorKind.KEY_REJECTED, said="the Twilio account is suspended")
    await watched.go_wrong()
    assert await status_of(watched.world, watched.client) == [(1, "failing")]
    watched.carrier.says[sid] = None
    watched.now += 60
    await watched.go_wrong()
    assert await status_of(watched.world, watched.client) == [(1, "valid")]


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.KEY_REJECTED])
async def test_a_carrier_that_does_not_say_changes_nothing(
    watched: Watched, captured_events: CapturedEvents, kind: ErrorKind
):
    watched.carrier.says[watched.client.account_sid] = ProviderError(kind)
    assert await watched.go_wrong() == 1
    assert await status_of(watched.world, watched.client) == [(1, "valid")]
    assert {"key.failing", "settings.warning"}.isdisjoint(captured_events.names())


async def test_a_refused_platform_token_names_its_setting(watched: Watched, captured_events: CapturedEvents):
    watched.client = await watched.world.add_client()
    watched.carrier.says[watched.client.account_sid] = ProviderError(ErrorKind.KEY_REJECTED)
    await watched.go_wrong()
    assert captured_events.only("settings.warning")["setting"] == "CALLROUTER_TWILIO_AUTH_TOKEN"


async def test_a_token_that_does_not_open_is_said_loudly(watched: Watched, captured_events: CapturedEvents):
    await watched.world.db.execute("UPDATE keys SET sealed = '1.gone.AAAA'")
    assert await watched.go_wrong() == 0
    assert captured_events.only("key.unreadable")["agency_id"] == watched.client.agency_id


async def test_while_the_database_is_away_no_check_is_made(watched: Watched, captured_events: CapturedEvents):
    await watched.watch.database.settings.close()
    assert await watched.go_wrong() == 0
    assert "request.failed" not in captured_events.names()


async def test_memory_of_wrong_signatures_is_bounded(watched: Watched):
    most = watched.watch._wrong.maxsize
    for number in range(round(most) + 100):
        watched.watch.note_wrong("AC1", f"+1500555{number:06}")
    assert len(watched.watch._wrong) == most
