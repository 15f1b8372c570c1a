"""Several replicas on one database: any of them takes any step of a call, and a step happens once on all of them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sandbox.carrier.requests import Reply
from tests.support.posting import PostedCall, at_once, only_document, taker_of, takers_of
from tests.support.waiting import wait_until
from tests.support.world import PROVIDERS, World, open_world

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("little_patience")]

MANY = 20


@pytest.fixture
async def replicas(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path, replicas=2) as world:
        yield world


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_call_that_comes_in_on_both_at_once_is_handed_off_once(replicas: World, provider):
    client = await replicas.add_client(providers=[provider])
    call = PostedCall(replicas, client)
    document = only_document(await at_once(MANY, lambda number: call.ring(replica=number % 2)))
    assert taker_of(document) == provider
    assert replicas.asked_with(client, provider) == 1
    assert await replicas.db.fetchval("SELECT count(*) FROM calls") == 1


async def test_a_legs_end_that_comes_in_on_both_at_once_has_one_answer(replicas: World):
    client = await replicas.add_client(providers=PROVIDERS)
    call = PostedCall(replicas, client)
    documents = [only_document([await call.ring()])]
    for _ in PROVIDERS[1:]:
        documents.append(
            only_document(await at_once(MANY, lambda number: call.go_on(documents[-1], replica=number % 2)))
        )
    assert [taker_of(document) for document in documents] == list(PROVIDERS)
    assert [replicas.asked_with(client, provider) for provider in PROVIDERS] == [1] * len(PROVIDERS)
    failed = "SELECT count(*) FROM call_events WHERE event = 'handoff.failed'"
    assert await replicas.db.fetchval(failed) == len(PROVIDERS) - 1


async def test_the_owners_leg_that_ends_on_both_at_once_has_one_answer(replicas: World):
    client = await replicas.add_client(providers=["retell"], routing={"mode": "owner_first"})
    call = PostedCall(replicas, client)
    owner = only_document([await call.ring()])
    document = only_document(
        await at_once(MANY, lambda number: call.go_on(owner, replica=number % 2, DialCallStatus="busy"))
    )
    assert (taker_of(owner), taker_of(document)) == ("owner", "retell")
    assert replicas.asked_with(client, "retell") == 1


@pytest.mark.parametrize("replica", [0, 1])
async def test_a_repeated_request_waits_for_the_answer_to_the_first(replicas: World, replica):
    client = await replicas.add_client(providers=["retell"])
    replicas.sandbox.state.faults.set("retell", {"fault": "late", "seconds": 1})
    call = PostedCall(replicas, client)

    async def is_asked() -> bool:
        return replicas.asked_with(client, "retell") > 0

    async def ask(number: int) -> Reply:
        if number:
            await wait_until(is_asked)
        return await call.ring(replica=replica if number else 0)

    assert taker_of(only_document(await at_once(4, ask))) == "retell"
    assert replicas.asked_with(client, "retell") == 1


async def test_each_step_may_reach_another_replica(replicas: World):
    client = await replicas.add_client(providers=PROVIDERS, routing={"mode": "ai", "on_failure": "ring_through"})
    call = PostedCall(replicas, client)
    replies = [await call.ring()]
    for replica in itertools.islice(itertools.cycle([1, 0]), len(PROVIDERS) + 1):
        replies.append(await call.go_on(replies[-1].body.decode(), replica=replica))
    assert takers_of(replies) == [*PROVIDERS, "owner", "voicemail"]
    assert [replicas.asked_with(client, provider) for provider in PROVIDERS] == [1] * len(PROVIDERS)


@pytest.mark.parametrize("replica", [0, 1])
async def test_a_saved_key_is_used_by_every_replica_on_its_next_call(replicas: World, replica):
    client = await replicas.add_client(providers=["vapi"])
    for each in (0, 1):
        assert takers_of([await PostedCall(replicas, client).ring(replica=each)]) == ["vapi"]
    old, client.keys["vapi"] = client.keys["vapi"], "a-key-that-was-just-saved"
    replicas.sandbox.state.vapi.orgs.rotate(old, client.keys["vapi"])
    await replicas.save_key(client.agency_id, "vapi", client.keys["vapi"])
    assert takers_of([await PostedCall(replicas, client).ring(replica=replica)]) == ["vapi"]
    assert replicas.asked_with(client, "vapi") == 1


@pytest.mark.parametrize("replica", [0, 1])
async def test_a_changed_mode_is_followed_by_every_replica_on_its_next_call(replicas: World, replica):
    client = await replicas.add_client(providers=["vapi"])
    for each in (0, 1):
        assert takers_of([await PostedCall(replicas, client).ring(replica=each)]) == ["vapi"]
    await replicas.db.execute("""UPDATE clients SET routing = '{"mode": "ring_through"}'""")
    assert takers_of([await PostedCall(replicas, client).ring(replica=replica)]) == ["owner"]
