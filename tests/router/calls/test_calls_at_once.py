"""How many calls at once a caller and an agency may have with the AI: exactly as many, on all replicas together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from router.store.calls.sweeps import recount_calls_at_once
from tests.support.database_proxy import proxied
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall, at_once, only_document, takers_of
from tests.support.signed_requests import STATUS, VOICE
from tests.support.waiting import wait_until
from tests.support.world import Client, World, open_world

__all__ = ["captured_events"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("little_patience")]

CALLER, OTHER_CALLER = "+14155550111", "+14155550112"
MANY = 30


@pytest.fixture
async def replicas(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path, replicas=2, caller_calls=5, agency_calls=8) as world:
        yield world


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path, caller_calls=2, agency_calls=4) as world:
        yield world


def one_caller(_: int) -> str:
    return CALLER


def many_callers(number: int) -> str:
    return f"+141555502{number:02d}"


def callers_of_a_handful(number: int) -> str:
    return many_callers(number % 3)


def unknown_callers(_: int) -> str:
    return "anonymous"


async def ring(world: World, client: Client, caller: str = CALLER) -> str:
    (taker,) = takers_of([await PostedCall(world, client).post(VOICE, From=caller)])
    return taker


async def stay(world: World, client: Client, count: int, caller: Callable[[int], str]) -> list[PostedCall]:
    """So many calls one after another, whose callers stay on the line with the AI."""
    calls = [PostedCall(world, client) for _ in range(count)]
    for number, call in enumerate(calls):
        assert takers_of([await call.post(VOICE, From=caller(number))]) == ["vapi"]
    return calls


async def hang_up(call: PostedCall) -> None:
    reply = await call.post(STATUS, CallStatus="completed", CallDuration="30")
    assert reply.status == 200


async def counted(world: World) -> dict[str, int]:
    """How many calls at once each caller has, and the agency in all, by our count."""
    rows = await world.db.fetch("SELECT caller, n FROM calls_at_once WHERE n > 0")
    return {row["caller"] or "all": row["n"] for row in rows}


@pytest.mark.parametrize(
    ("caller", "most"), [(one_caller, 5), (many_callers, 8), (callers_of_a_handful, 8), (unknown_callers, 8)]
)
async def test_of_thirty_calls_in_the_same_moment_the_ai_gets_as_many_as_it_may(replicas: World, caller, most: int):
    client = await replicas.add_client(providers=["vapi"])
    calls = [PostedCall(replicas, client) for _ in range(MANY)]
    replies = await at_once(MANY, lambda n: calls[n].post(VOICE, replica=n % 2, From=caller(n)))
    assert Counter(takers_of(replies)) == {"vapi": most, "voicemail": MANY - most}
    assert (await counted(replicas))["all"] == most
    await asyncio.gather(*(hang_up(call) for call in calls))
    assert await counted(replicas) == {}


async def test_a_call_that_comes_in_many_times_at_once_counts_once(replicas: World):
    client = await replicas.add_client(providers=["vapi"])
    call = PostedCall(replicas, client)
    only_document(await at_once(MANY, lambda n: call.post(VOICE, replica=n % 2, From=CALLER)))
    assert await counted(replicas) == {CALLER: 1, "all": 1}
    await at_once(4, lambda n: call.post(STATUS, replica=n % 2, CallStatus="completed", CallDuration="30"))
    assert await counted(replicas) == {}


async def test_a_caller_with_too_many_calls_at_once_gets_the_voicemail(world: World, captured_events: CapturedEvents):
    client = await world.add_client(providers=["vapi"])
    first, _ = await stay(world, client, 2, one_caller)
    assert await ring(world, client) == "voicemail"
    line = captured_events.only("call.capped")
    assert (line["of"], line["agency_id"], line["client_id"]) == ("caller", client.agency_id, client.client_id)
    assert await ring(world, client, OTHER_CALLER) == "vapi", "another caller"
    assert world.asked("vapi") == 3
    await hang_up(first)
    assert await ring(world, client) == "vapi", "the call in the voicemail takes no place"


async def test_an_agency_with_too_many_calls_at_once_has_the_next_ones_in_the_voicemail(
    world: World, captured_events: CapturedEvents
):
    client = await world.add_client(providers=["vapi"])
    sibling = await world.add_client(providers=[], agency_id=client.agency_id)
    stranger = await world.add_client(providers=["vapi"])
    (first, *_) = await stay(world, client, 4, many_callers)
    for each in (client, sibling):
        assert await ring(world, each, OTHER_CALLER) == "voicemail"
    assert [line["of"] for line in captured_events.named("call.capped")] == ["agency", "agency"]
    assert await ring(world, stranger, OTHER_CALLER) == "vapi"
    await hang_up(first)
    assert await ring(world, client) == "vapi"


async def test_callers_without_a_number_are_many_and_not_one(world: World):
    await stay(world, await world.add_client(providers=["vapi"]), 4, unknown_callers)
    assert world.asked("vapi") == 4


async def test_a_crowd_is_no_reason_to_answer_a_repeated_request_otherwise(world: World):
    client = await world.add_client(providers=["vapi"])
    calls = await stay(world, client, 2, one_caller)
    replies = [await call.post(VOICE, From=CALLER) for call in calls]
    assert takers_of(replies) == ["vapi", "vapi"]
    assert world.asked("vapi") == 2


async def lose_the_ends(world: World, calls: list[PostedCall]) -> None:
    """The calls end as they do while the database is away: without counting down."""
    await world.db.execute(
        "UPDATE calls SET ended_at = now() WHERE call_sid = ANY ($1)", [call.call_sid for call in calls]
    )


async def delete_the_calls(world: World, calls: list[PostedCall]) -> None:
    await world.db.execute("DELETE FROM calls WHERE call_sid = ANY ($1)", [call.call_sid for call in calls])


async def let_an_hour_pass(world: World, _: list[PostedCall]) -> None:
    """Without an end: Twilio's status callback never came, say."""
    world.clock.advance(3601)


@pytest.mark.parametrize("pass_away", [lose_the_ends, delete_the_calls, let_an_hour_pass])
async def test_calls_that_did_not_count_down_hold_no_place_for_long(world: World, pass_away: Any):
    client = await world.add_client(providers=["vapi"])
    calls = await stay(world, client, 2, one_caller)
    await pass_away(world, calls)
    assert await ring(world, client) == "voicemail"
    await recount_calls_at_once(world.db, world.clock())
    assert await ring(world, client) == "vapi"
    await asyncio.gather(*(hang_up(call) for call in calls))
    assert await counted(world) == {CALLER: 1, "all": 1}, "their ends, once they do come, count nothing down"


async def test_counting_again_changes_nothing_that_is_right(replicas: World):
    """While calls begin and end, in every order."""
    client = await replicas.add_client(providers=["vapi"])
    calls = [PostedCall(replicas, client) for _ in range(MANY)]

    async def come_and_go(number: int) -> None:
        await calls[number].post(VOICE, replica=number % 2, From=callers_of_a_handful(number))
        if number % 5:
            await hang_up(calls[number])

    async def recount() -> None:
        for _ in range(20):
            await recount_calls_at_once(replicas.db, replicas.clock())

    await asyncio.gather(recount(), *(come_and_go(number) for number in range(MANY)))
    before = await counted(replicas)
    live = "SELECT count(*) FROM calls c JOIN call_steps s ON s.call_id = c.id AND s.step = 'inbound' AND '' = ANY (s.counted)"
    assert before.get("all", 0) == await replicas.db.fetchval(f"{live} WHERE c.ended_at IS NULL")
    await recount_calls_at_once(replicas.db, replicas.clock())
    assert await counted(replicas) == before


async def test_without_the_database_no_call_is_one_too_many(database_dsn: str, tmp_path: Path):
    async with (
        proxied(database_dsn) as proxy,
        open_world(database_dsn, tmp_path, caller_calls=1, agency_calls=1, database_url=SecretStr(proxy.dsn)) as world,
    ):
        client = await world.add_client(providers=["vapi"])
        assert await ring(world, client) == "vapi"
        assert await ring(world, client) == "voicemail"
        proxy.refuse()
        assert [await ring(world, client) for _ in range(3)] == ["vapi"] * 3
        proxy.go_on()
        await wait_until(lambda: world.db.fetchval("SELECT count(*) = 5 FROM calls"))
        assert await counted(world) == {CALLER: 1, "all": 1}
