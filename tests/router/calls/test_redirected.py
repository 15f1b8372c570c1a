"""Bland takes a call by redirect: its own documents run, and we are asked again only if its server fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
from pydantic import SecretStr

from adapters.sandbox.carrier import Quirks, Script, Timeline
from router.calls.live_calls import LiveCalls
from tests.router.calls.test_transfer import ASSISTANT, Assistant
from tests.support.circuits import let_circuits_forget
from tests.support.database_proxy import proxied
from tests.support.databases import fresh_database
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall, action_of, only_document, taker_of
from tests.support.provider_reports import report_end
from tests.support.provider_samples import samples, tell
from tests.support.signed_requests import STATUS, new_call_sid
from tests.support.waiting import wait_until
from tests.support.world import Client, World, open_world

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

WITH_OWNER = {"on_failure": "ring_through"}


@pytest.fixture(scope="module")
async def forgetful(
    postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[World, Callable[[], None]]]:
    """One service for all of these calls, and what makes its circuits forget."""
    with pytest.MonkeyPatch.context() as patch:
        forget = let_circuits_forget(patch)
        patch.setattr("router.app.calls.LiveCalls", partial(LiveCalls, pauses=(0.0, 0.05, 0.05)))
        folder = tmp_path_factory.mktemp("redirected")
        async with fresh_database(postgres_dsn) as dsn, open_world(dsn, folder, replicas=2) as world:
            yield world, forget


@pytest.fixture
def world(forgetful: tuple[World, Callable[[], None]]) -> World:
    world, forget = forgetful
    forget()
    return world


async def add_client(world: World, *more: str, **rest: Any) -> Client:
    """Of an agency whose calls go to Bland by redirect, then to the other providers."""
    return await world.add_client(providers=["bland", *more], bland_mode="redirect", **({"routing": WITH_OWNER} | rest))


async def call(world: World, client: Client, script: Script | None = None, **rest: Any) -> Timeline:
    return await world.call(client, script, fallback_url=world.fallback_url(client), **rest)


def redirect_of(document: str) -> str:
    """The address that a document leads to, as Twilio asks for it."""
    address = ET.fromstring(document).findtext("Redirect")  # noqa: S314  (our own)
    assert address
    return address.partition("#")[0]


class RedirectedCall(PostedCall):
    """A call that Bland's server was asked to take. Twilio's further requests, one by one."""

    address: str = ""

    async def begin(self) -> RedirectedCall:
        reply = await self.ring()
        assert taker_of(reply.body.decode()) == "bland"
        self.address = redirect_of(reply.body.decode())
        return self

    async def fail(self, *, replica: int = 0, **more: str) -> str:
        """Twilio asks the fallback; the document that it gets. By default Bland's server has refused."""
        fallback = urlsplit(self.world.fallback_url(self.client))
        said = {"ErrorCode": "11200", "ErrorUrl": self.address} | more
        return only_document([await self.post(f"{fallback.path}?{fallback.query}", replica=replica, **said)])


def is_ours(document: str) -> bool:
    """Whether the call is still in our hands: the static fallback has no state."""
    return "/webhooks/twilio/calls/" in document or "<Redirect" in document


async def begin(world: World, *more: str, **rest: Any) -> RedirectedCall:
    return await RedirectedCall(world, await add_client(world, *more, **rest)).begin()


def limits_of(world: World, call_sid: str) -> list[int]:
    """The time limits that the carrier's API was given for the call, in seconds from its beginning."""
    asked = [each for each in world.sandbox.state.requests_to("twilio") if each.path.endswith(f"/{call_sid}.json")]
    return [int(each.form()["TimeLimit"]) for each in asked if "TimeLimit" in each.form()]


async def test_blands_ai_answers_and_the_call_is_limited_through_the_carriers_api(world: World):
    client = await add_client(world, assistant={"prompt": "You answer.", "max_seconds": 300})

    async def wait_for_limit(timeline: Timeline) -> None:
        await wait_until(lambda: limits_of(world, timeline.call_sid))

    timeline = await call(world, client, Script(ai_talks=600), during_ai=wait_for_limit)
    assert (timeline.answered_by, timeline.provider, timeline.failures) == ("ai", "bland", [])
    assert limits_of(world, timeline.call_sid) == [360]
    assert timeline.seconds <= 361
    ended = await world.find_ended_call(timeline)
    assert (ended["outcome"], ended["provider"], ended["answered_by"]) == ("ai", "bland", "ai")
    assert ended["answered_at"] is not None


async def test_the_call_carries_our_id_and_the_clients_variables(world: World):
    client = await add_client(world)
    timeline = await call(world, client)
    (org,) = [each for each in world.sandbox.state.bland.orgs if each.key == client.keys["bland"]]
    (taken,) = org.calls.values()
    assert taken["request_data"]["router_call_id"] == (await world.find_call(timeline))["id"]
    assert taken["request_data"]["client_name"] == "Acme Plumbing"


async def test_a_limit_that_the_carrier_refuses_is_set_again(world: World):
    client = await add_client(world)

    async def wait_for_limits(timeline: Timeline) -> None:
        await wait_until(lambda: len(limits_of(world, timeline.call_sid)) == 2)

    world.sandbox.state.faults.set("twilio", {"fault": "503", "operation": "all", "times": 1})
    timeline = await call(world, client, Script(ai_talks=4000), during_ai=wait_for_limits)
    assert timeline.seconds <= limits_of(world, timeline.call_sid)[-1]
    assert "call.unlimited" not in [event for event, _, _ in await world.events(timeline)]


async def test_a_limit_that_the_carrier_never_takes_is_noted(world: World):
    redirected = await begin(world)  # the carrier's API does not know this call
    noted = """
        SELECT 1 FROM call_events e JOIN calls c ON c.id = e.call_id WHERE c.call_sid = $1 AND e.event = 'call.unlimited'
    """
    await wait_until(lambda: world.db.fetchval(noted, redirected.call_sid))


@pytest.mark.parametrize("ai", ["fails", "busy", "no-answer"])
async def test_a_server_that_refuses_leads_to_the_next_provider(world: World, ai):
    client = await add_client(world, "retell")
    timeline = await call(world, client, Script(ai=(ai, "answers")))
    assert [(leg.provider, leg.status) for leg in timeline.legs] == [("bland", "failed"), ("retell", "answered")]
    assert timeline.violations == []
    events = await world.events(timeline)
    assert ("handoff.failed", "bland", "provider_error") in events
    assert ("call.fell_back", "retell", None) in events
    assert (await world.find_ended_call(timeline))["outcome"] == "ai"
    assert world.asked_with(client, "bland") == world.asked_with(client, "retell") == 1


async def test_servers_that_refuse_open_blands_circuit(world: World):
    clients = [await add_client(world), await add_client(world)]
    for number in range(5):
        await call(world, clients[number % 2], Script(ai="fails"))
    timeline = await call(world, clients[0])
    assert ("handoff.skipped", "bland", "circuit_open") in await world.events(timeline)
    assert timeline.answered_by == "owner"


async def test_without_another_provider_the_owner_is_rung_and_may_talk_as_long_as_they_like(world: World):
    client = await add_client(world, assistant={"prompt": "You answer.", "max_seconds": 10})
    call_sid, script = new_call_sid(), Script(ai="fails", owner_talks=900)

    async def wait_for_limits(seconds: float) -> None:
        if seconds == script.owner_rings:
            await wait_until(lambda: len(limits_of(world, call_sid)) == 2)

    timeline = await call(world, client, script, call_sid=call_sid, meanwhile=wait_for_limits)
    assert timeline.answered_by == "owner"
    assert timeline.legs[-1].talk_seconds == 900
    first, second = limits_of(world, call_sid)
    assert first == 70
    assert second >= 4 * 3600


async def test_a_caller_who_hangs_up_meanwhile_is_no_failure_of_blands(world: World):
    client = await add_client(world)
    timeline = await call(world, client, Script(caller="hangs-up-while-ringing"))
    assert (await world.find_ended_call(timeline))["outcome"] == "abandoned"
    assert not any(
        event.startswith(("handoff.failed", "call.answered")) for event, _, _ in await world.events(timeline)
    )


async def test_a_caller_who_hangs_up_on_the_ai_was_answered_however_soon(world: World):
    client = await add_client(world, "retell")
    timeline = await call(world, client, Script(caller="hangs-up-during-ai", ai_talks=2))
    assert [leg.provider for leg in timeline.legs] == ["bland"]
    assert (await world.find_ended_call(timeline))["outcome"] == "ai"


async def test_a_repeated_request_for_the_fallback_gets_the_same_document(world: World):
    failed = await begin(world, "retell")
    documents = {await failed.fail() for _ in range(2)}
    documents |= set(await asyncio.gather(*(failed.fail() for _ in range(3))))
    (document,) = documents
    assert taker_of(document) == "retell"
    assert world.asked_with(failed.client, "retell") == 1


async def test_whichever_process_is_asked_goes_on(world: World):
    failed = await begin(world, "retell")
    document = await failed.fail(replica=1)
    assert taker_of(document) == "retell"
    assert await failed.fail() == document


async def test_without_the_database_the_process_that_answered_goes_on(database_dsn: str, tmp_path: Path):
    async with (
        proxied(database_dsn) as proxy,
        open_world(database_dsn, tmp_path, database_url=SecretStr(proxy.dsn)) as world,
    ):
        client = await add_client(world, "retell")
        await call(world, client)
        proxy.refuse()
        timeline = await call(world, client, Script(ai=("fails", "answers")))
        proxy.go_on()
        assert [leg.provider for leg in timeline.legs] == ["bland", "retell"]
        assert (await world.find_ended_call(timeline))["outcome"] == "ai"


async def test_after_the_next_rung_a_late_repeat_gets_the_one_where_the_call_stands(world: World):
    failed = await begin(world, "retell")
    document = await failed.fail()
    after = only_document([await failed.go_on(document)])
    assert taker_of(after) == "owner"
    assert taker_of(await failed.fail()) == "voicemail"


@pytest.mark.parametrize("seconds", [21, 600])
async def test_a_later_error_leads_to_the_owner_and_never_to_a_second_ai(world: World, seconds: float):
    failed = await begin(world, "retell")
    world.clock.advance(seconds)
    document = await failed.fail(CallStatus="in-progress")
    assert is_ours(document)
    assert taker_of(document) == "owner"
    assert world.asked_with(failed.client, "retell") == 0
    assert taker_of(only_document([await failed.go_on(document)])) == "voicemail"


async def test_an_error_after_bland_reported_something_leads_to_a_person_too(world: World):
    failed = await begin(world, "retell")
    await report_end(world, failed.client, failed.call_sid)
    assert taker_of(await failed.fail()) == "owner"


async def test_where_no_one_may_be_rung_a_later_error_leads_to_the_voicemail(world: World):
    failed = await begin(world, routing={})
    world.clock.advance(30)
    assert taker_of(await failed.fail()) == "voicemail"


@pytest.mark.parametrize(
    "said",
    [
        {"ErrorUrl": "https://server.aws.dc8.bland.ai/incoming?encrypted_key=enc-0"},
        {"ErrorUrl": "https://server.aws.dc8.bland.ai/another"},
        {"ErrorUrl": ""},
        {"ErrorUrl": "/webhooks/twilio/voice"},
        {"CallSid": "CA" + "0" * 32},
    ],
)
async def test_an_error_at_another_address_gets_the_static_document(world: World, said):
    failed = await begin(world, "retell")
    document = await failed.fail(**said)
    assert not is_ours(document)
    assert taker_of(document) == "owner"
    assert world.asked_with(failed.client, "retell") == 0


async def test_without_twilios_signature_there_is_the_static_document(world: World):
    failed = await begin(world, "retell")
    form = failed.parameters | {"ErrorCode": "11200", "ErrorUrl": failed.address}
    url = world.fallback_url(failed.client)
    for headers in ({}, {"X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}):
        reply = await world.http.post(url, data=form, headers=headers)
        assert reply.status_code == 200
        assert not is_ours(reply.text)
    assert world.asked_with(failed.client, "retell") == 0


async def test_another_agencys_token_proves_nothing(world: World):
    """Both agencies have numbers on accounts of their own; the request names the other's account."""
    failed = await begin(world, "retell", own_account=True)
    other = await add_client(world, own_account=True)
    forged = RedirectedCall(world, other, call_sid=failed.call_sid)
    forged.address = failed.address
    assert not is_ours(await forged.fail())


async def test_a_call_that_never_left_our_documents_gets_the_static_document(world: World):
    client = await world.add_client(providers=["retell"], routing=WITH_OWNER)
    failed = RedirectedCall(world, client)
    document = (await failed.ring()).body.decode()
    failed.address = f"{world.urls[0]}{action_of(document)}"
    assert not is_ours(await failed.fail(ErrorUrl=failed.address))


async def test_a_transfer_moves_the_call_and_raises_its_limit(world: World):
    client = await add_client(world, assistant=ASSISTANT | {"max_seconds": 60})
    assistant = Assistant(world, client)
    timeline = await call(world, client, Script(ai_acts_after=20, ai_talks=60, owner_talks=900), during_ai=assistant)
    assert [(leg.who, leg.talk_seconds) for leg in timeline.legs] == [("ai", 20), ("owner", 900)]
    assert (await world.find_ended_call(timeline))["outcome"] == "owner"


async def test_an_error_during_a_transfer_gets_the_transfers_document(world: World):
    failed = await begin(world, assistant=ASSISTANT)
    call_id = await world.db.fetchval("SELECT id FROM calls WHERE call_sid = $1", failed.call_sid)
    world.sandbox.state.twilio.accounts[failed.client.account_sid]
    await Assistant(world, failed.client).ask("bland", call_id)
    assert is_ours(await failed.fail())


async def test_blands_report_tells_of_the_answer_and_the_end_in_either_order_and_once(world: World):
    for first in ("report", "carrier"):
        redirected = await begin(world)
        call_id = await world.db.fetchval("SELECT id FROM calls WHERE call_sid = $1", redirected.call_sid)
        reports = samples("bland", call_id, redirected.call_sid)
        world.clock.advance(90)
        if first == "carrier":
            await redirected.post(STATUS, CallStatus="completed", CallDuration="88")
        for report in (*reports, *reports):
            assert (await tell(world, "bland", redirected.client, report)).status_code == 204
        if first == "report":
            await redirected.post(STATUS, CallStatus="completed", CallDuration="88")
        rows = await world.db.fetch(
            "SELECT event FROM call_events WHERE call_id = $1 AND event ~ '^(call.answered|ai.ended|ai.failed|call.ended)' ORDER BY event",
            call_id,
        )
        assert [row["event"] for row in rows] == ["ai.ended", "call.answered", "call.ended"]
        row = await world.db.fetchrow("SELECT * FROM calls WHERE id = $1", call_id)
        assert (row["outcome"], row["answered_by"]) == ("ai", "ai")
        assert row["started_at"] <= row["answered_at"] <= row["ended_at"]
        assert row["cost"] is not None


async def test_the_address_is_in_no_log_event_or_row(world: World, captured_events: CapturedEvents):
    client = await add_client(world, "retell")
    timeline = await call(world, client, Script(ai=("fails", "answers")))
    await world.find_ended_call(timeline)
    [encrypted_key] = next(org.accounts for org in world.sandbox.state.bland.orgs if org.key == client.keys["bland"])
    assert encrypted_key in "".join(timeline.documents)
    assert encrypted_key not in captured_events.text()
    for table in ("calls", "call_events", "call_steps", "registrations", "numbers"):
        rows = await world.db.fetch(f"SELECT * FROM {table}")  # noqa: S608  a constant
        assert encrypted_key not in repr([tuple(row) for row in rows])


async def test_whatever_twilio_sends_twice_counts_once(world: World):
    client = await add_client(world, "retell")
    for quirks in (Quirks(copies=2), Quirks(copies=3, copies_at_once=True)):
        timeline = await call(world, client, Script(ai=("fails", "answers")), quirks=quirks)
        assert [leg.provider for leg in timeline.legs] == ["bland", "retell"]
        events = [event for event, provider, _ in await world.events(timeline) if provider == "bland"]
        assert events.count("handoff.failed") == 1
