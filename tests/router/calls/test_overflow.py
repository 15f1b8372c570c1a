"""Calls beyond the lines that an agency has at a provider: they go down the ladder, and the provider is not even asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from router.keys import rounds
from router.telemetry import metrics
from tests.support.database_proxy import proxied
from tests.support.mail_server import MailServer, running_mail_server
from tests.support.posting import PostedCall, at_once, takers_of
from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN, PROVIDERS, Client, World, open_world

pytestmark = pytest.mark.anyio

STATUS = "/webhooks/twilio/status"


async def give_lines(world: World, client: Client, provider: str, limit: int, others: int = 0, age: int = 0) -> None:
    """How many lines the agency has there, and what was found out about them so many seconds ago."""
    getattr(world.sandbox.state, provider).orgs.of(client.keys[provider]).concurrency_limit = limit
    await world.db.execute(
        "UPDATE keys SET lines_limit = $3, lines_used = $4, lines_others = $4, lines_at = now() - $5 * interval '1 second' "
        "WHERE agency_id = $1 AND kind = $2",
        client.agency_id,
        provider,
        limit,
        others,
        age,
    )


async def ring(world: World, client: Client) -> tuple[PostedCall, str]:
    """A call that goes on until it is hung up, and who is to take it."""
    call = PostedCall(world, client)
    (taker,) = takers_of([await call.ring()])
    if taker in PROVIDERS:  # on record before the next call comes, also on a machine that is busy with something else

        async def is_on_record() -> bool:
            return await world.db.fetchval("SELECT provider FROM calls WHERE call_sid = $1", call.call_sid) == taker

        await wait_until(is_on_record)
    return call, taker


async def hang_up(call: PostedCall) -> None:
    reply = await call.post(STATUS, CallStatus="completed", CallDuration="30")
    assert reply.status < 300


async def explain(world: World, client: Client) -> dict[str, tuple[bool, str]]:
    reply = await world.http.get(
        f"{world.urls[0]}/v1/agencies/{client.agency_id}/explain",
        params={"to": client.number},
        headers={"authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    return {rung["provider"] or rung["step"]: (rung["would_take"], rung["reason"]) for rung in reply.json()["rungs"]}


async def skipped(world: World, call: PostedCall) -> list[tuple[str, str]]:
    rows = await world.db.fetch(
        "SELECT e.provider, e.reason FROM call_events e JOIN calls c ON c.id = e.call_id "
        "WHERE c.call_sid = $1 AND e.event = 'handoff.skipped'",
        call.call_sid,
    )
    return [tuple(row) for row in rows]


async def test_with_one_line_the_second_of_two_calls_goes_to_the_next_provider_unasked(world: World):
    client = await world.add_client(providers=["vapi", "retell"])
    await give_lines(world, client, "vapi", 1)
    first, taker = await ring(world, client)
    assert taker == "vapi"
    assert (await explain(world, client))["vapi"] == (False, "at_capacity")
    second, taker = await ring(world, client)
    assert taker == "retell"
    assert world.asked("vapi") == 1
    assert await skipped(world, second) == [("vapi", "at_capacity")]
    assert await skipped(world, first) == []
    await hang_up(first)
    assert (await explain(world, client))["vapi"] == (True, "ready")
    assert (await ring(world, client))[1] == "vapi"


async def test_two_calls_in_the_same_moment_do_not_both_take_the_last_line(world: World):
    """The second comes in while the provider is still being asked to take the first."""
    client = await world.add_client(providers=["vapi", "retell"])
    await give_lines(world, client, "vapi", 1)
    world.sandbox.state.faults.set("vapi", {"fault": "late", "seconds": 1, "operation": "handoff"})
    takers = takers_of(await at_once(2, lambda _: PostedCall(world, client).ring()))
    assert sorted(takers) == ["retell", "vapi"]
    assert world.asked("vapi") == 1


async def test_without_another_provider_the_owners_phone_rings(world: World):
    client = await world.add_client(providers=["vapi"], routing={"on_failure": "ring_through"})
    await give_lines(world, client, "vapi", 1)
    await ring(world, client)
    assert (await ring(world, client))[1] == "owner"


async def test_one_agencys_lines_do_not_limit_another(world: World):
    ours, theirs = [await world.add_client(providers=["vapi"]) for _ in range(2)]
    for client in (ours, theirs):
        await give_lines(world, client, "vapi", 1)
    await ring(world, ours)
    assert (await ring(world, theirs))[1] == "vapi"


async def test_clients_of_one_agency_share_its_lines(world: World):
    ours = await world.add_client(providers=["retell", "bland"])
    await give_lines(world, ours, "retell", 1)
    sibling = await world.add_client(providers=[], agency_id=ours.agency_id)
    await ring(world, ours)
    assert (await explain(world, sibling))["retell"][0] is False


async def test_lines_that_others_use_count_for_a_minute(world: World):
    """The agency's own outbound calls, say; the limit itself stays known."""
    client = await world.add_client(providers=["retell"])
    await give_lines(world, client, "retell", 5, others=5, age=10)
    assert (await explain(world, client))["retell"] == (False, "at_capacity")
    await give_lines(world, client, "retell", 5, others=5, age=70)
    assert (await explain(world, client))["retell"] == (True, "ready")
    await give_lines(world, client, "retell", 0, age=100_000)
    assert (await explain(world, client))["retell"] == (False, "at_capacity")


async def test_a_provider_with_unknown_lines_is_not_skipped(world: World):
    client = await world.add_client(providers=["vapi"])
    assert {(await ring(world, client))[1] for _ in range(4)} == {"vapi"}


async def test_vapi_says_with_a_call_how_many_lines_there_are(world: World):
    client = await world.add_client(providers=["vapi", "retell"])
    org = world.sandbox.state.vapi.orgs.of(client.keys["vapi"])
    org.concurrency_limit = 1
    first, taker = await ring(world, client)
    assert taker == "vapi"

    async def is_known() -> bool:
        row = await world.db.fetchrow("SELECT * FROM keys WHERE agency_id = $1 AND kind = 'vapi'", client.agency_id)
        return (row["lines_limit"], row["lines_used"], row["lines_others"]) == (1, 1, 0)

    await wait_until(is_known)
    assert (await ring(world, client))[1] == "retell"
    await hang_up(first)
    assert (await ring(world, client))[1] == "vapi"
    assert world.asked("vapi") == 2


async def test_while_the_database_is_away_every_provider_is_asked(database_dsn: str, tmp_path: Path):
    async with (
        proxied(database_dsn) as proxy,
        open_world(database_dsn, tmp_path) as setting,
        open_world(
            proxy.dsn,
            tmp_path,
            platform_keys=setting.settings.platform_keys,
            twilio_account_sid=setting.account_sid,
            twilio_auth_token=SecretStr(setting.auth_token),
            vapi_url=f"{setting.sandbox.url}/vapi",
        ) as behind,
    ):
        client = await setting.add_client(providers=["vapi"])
        await give_lines(setting, client, "vapi", 1)
        world = replace(setting, urls=behind.urls)
        assert (await ring(world, client))[1] == "vapi"
        assert (await ring(world, client))[1] == "voicemail"
        proxy.refuse()
        assert takers_of([await PostedCall(world, client).ring()]) == ["vapi"]
        proxy.go_on()


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    async with running_mail_server() as server:
        yield server


@pytest.fixture
async def telling(
    database_dsn: str, tmp_path: Path, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A world with jobs and mail, whose keys are looked at every second."""
    monkeypatch.setattr(rounds, "_ROUNDS_AT", "* * * * * *")
    mail: dict[str, Any] = {
        "smtp_url": SecretStr(f"smtp://127.0.0.1:{mail_server.port}"),
        "mail_from": "calls@example.com",
    }
    async with open_world(database_dsn, tmp_path, jobs=True, **mail) as world:
        yield world


async def test_the_agency_gets_one_mail_when_its_lines_are_not_enough(telling: World, mail_server: MailServer):
    client = await telling.add_client(providers=["vapi", "retell"])
    await telling.set_alert_email(client, "alerts@agency.test")
    await give_lines(telling, client, "vapi", 1)
    for _ in range(3):
        await ring(telling, client)
    await wait_until(lambda: mail_server.mails)
    (taken,) = mail_server.mails
    assert taken.recipients == ["alerts@agency.test"]
    assert taken.message["Subject"] == "All lines at Vapi were in use"


async def test_a_key_that_a_provider_refuses_a_call_with_is_found_out_and_told(telling: World, mail_server: MailServer):
    """Long before its next look on schedule: the refused call brings it about."""
    client = await telling.add_client(providers=["vapi", "retell"])
    await telling.set_alert_email(client, "alerts@agency.test")
    await telling.db.execute(
        "UPDATE keys SET check_at = now() + interval '1 day', checked_at = now() - interval '5 minutes'"
    )
    telling.sandbox.state.vapi.orgs.revoke(client.keys["vapi"])
    assert (await ring(telling, client))[1] == "retell"

    async def is_suspected() -> bool:
        found = await telling.db.fetchval(
            "SELECT suspected FROM keys WHERE agency_id = $1 AND kind = 'vapi'", client.agency_id
        )
        return found == "failing"

    await wait_until(is_suspected)
    telling.clock.advance(61)
    await wait_until(lambda: mail_server.mails)
    assert mail_server.mails[0].message["Subject"] == "Vapi refuses your key"
    assert client.keys["vapi"] not in mail_server.mails[0].message.as_string()
    assert 'callrouter_key_checks_total{kind="vapi",result="failing"}' in metrics.render()[0].decode()
