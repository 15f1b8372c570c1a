"""What is explained is what the next live call does, and explaining leaves no trace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.router.calls.test_keys_in_use import damage
from tests.support.posting import PostedCall, takers_of
from tests.support.signed_requests import VOICE
from tests.support.world import ADMIN_TOKEN, PROVIDERS, Client, World, open_world

pytestmark = pytest.mark.anyio

CALLER = "+14155550111"
STRANGER = "+14155550112"
CLOSED = {"timezone": "Europe/Berlin", "open": [], "closed_mode": "ring_through"}
Arrange = Callable[[World, Client], Awaitable[None]]


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path, caller_calls=8, agency_calls=20) as world:
        yield world


async def ask(world: World, client: Client, **query: str) -> httpx.Response:
    return await world.http.get(
        f"{world.urls[0]}/v1/agencies/{client.agency_id}/explain",
        params={"to": client.number} | query,
        headers={"authorization": f"Bearer {ADMIN_TOKEN}"},
    )


async def explain(world: World, client: Client, **query: str) -> list[tuple[str, str | None, bool, str]]:
    reply = await ask(world, client, **query)
    assert reply.status_code == 200, reply.text
    assert reply.json().keys() == {"rungs"}
    return [(rung["step"], rung["provider"], rung["would_take"], rung["reason"]) for rung in reply.json()["rungs"]]


async def ring(world: World, client: Client, caller: str = STRANGER) -> str:
    (taker,) = takers_of([await PostedCall(world, client).post(VOICE, From=caller)])
    return taker


async def nothing(world: World, client: Client) -> None: ...


def fail(provider: str, fault: str, times: int) -> Arrange:
    """So many calls in which the provider fails."""

    async def arrange(world: World, client: Client) -> None:
        world.sandbox.state.faults.set(provider, fault)
        for number in range(times):
            await ring(world, client, f"+1415555030{number}")

    return arrange


async def unlink(world: World, client: Client) -> None:
    await world.db.execute("DELETE FROM assistants WHERE client_id = $1 AND provider = 'vapi'", client.client_id)


async def forget_key(world: World, client: Client) -> None:
    await world.db.execute("DELETE FROM keys WHERE agency_id = $1 AND kind = 'vapi'", client.agency_id)


async def damage_key(world: World, client: Client) -> None:
    await damage(world, client, "vapi", "ciphertext changed")


SCENES: dict[str, tuple[dict[str, Any], Arrange, list[tuple[str, str | None, bool, str]]]] = {
    "all is well": (
        {},
        nothing,
        [
            ("ai", "vapi", True, "ready"),
            ("ai", "retell", False, "stands_by"),
            ("voicemail", None, False, "stands_by"),
            ("owner", None, False, "on_failure_is_voicemail"),
        ],
    ),
    "the provider is dead": (
        {},
        fail("vapi", "503", 5),
        [
            ("ai", "vapi", False, "circuit_open"),
            ("ai", "retell", True, "ready"),
            ("voicemail", None, False, "stands_by"),
            ("owner", None, False, "on_failure_is_voicemail"),
        ],
    ),
    "the key is refused, and there is no other provider": (
        {"providers": ["vapi"], "routing": {"on_failure": "ring_through"}},
        fail("vapi", "401", 3),
        [
            ("ai", "vapi", False, "circuit_open"),
            ("owner", None, True, "ready"),
            ("voicemail", None, False, "stands_by"),
        ],
    ),
    "the assistant is not there": (
        {"routing": {"on_failure": "ring_through"}},
        unlink,
        [
            ("ai", "vapi", False, "not_synced"),
            ("ai", "retell", True, "ready"),
            ("owner", None, False, "stands_by"),
            ("voicemail", None, False, "stands_by"),
        ],
    ),
    "the key was deleted": (
        {"fallback_providers": []},
        forget_key,
        [
            ("ai", "vapi", False, "no_key"),
            ("voicemail", None, True, "ready"),
            ("owner", None, False, "on_failure_is_voicemail"),
        ],
    ),
    "the key does not open": (
        {},
        damage_key,
        [
            ("ai", "vapi", False, "no_key"),
            ("ai", "retell", True, "ready"),
            ("voicemail", None, False, "stands_by"),
            ("owner", None, False, "on_failure_is_voicemail"),
        ],
    ),
    "the owner comes first": (
        {"routing": {"mode": "owner_first"}},
        nothing,
        [
            ("owner", None, True, "ready"),
            ("ai", "vapi", False, "stands_by"),
            ("ai", "retell", False, "stands_by"),
            ("voicemail", None, False, "stands_by"),
        ],
    ),
    "the owner has no phone": (
        {"routing": {"mode": "ring_through"}, "personal_phone": None},
        nothing,
        [
            ("voicemail", None, True, "ready"),
            ("ai", None, False, "mode_is_ring_through"),
            ("owner", None, False, "no_personal_phone"),
        ],
    ),
    "the client is closed": (
        {"routing": {"mode": "ai", "hours": CLOSED}},
        nothing,
        [
            ("owner", None, True, "ready"),
            ("voicemail", None, False, "stands_by"),
            ("ai", None, False, "closed_mode_is_ring_through"),
        ],
    ),
    "voicemail only": (
        {"routing": {"mode": "voicemail"}},
        nothing,
        [
            ("voicemail", None, True, "ready"),
            ("ai", None, False, "mode_is_voicemail"),
            ("owner", None, False, "mode_is_voicemail"),
        ],
    ),
    "no provider at all": (
        {"providers": []},
        nothing,
        [
            ("voicemail", None, True, "ready"),
            ("ai", None, False, "no_provider"),
            ("owner", None, False, "on_failure_is_voicemail"),
        ],
    ),
}


@pytest.mark.parametrize("scene", SCENES)
async def test_the_rung_that_would_take_the_call_takes_the_next_one(world: World, scene: str):
    settings, arrange, expected = SCENES[scene]
    client = await world.add_client(**{"providers": ["vapi", "retell"], **settings})
    await arrange(world, client)
    rungs = await explain(world, client, **{"from": STRANGER})
    assert rungs == expected
    ((step, provider),) = [(step, provider) for step, provider, would_take, _ in rungs if would_take]
    assert await ring(world, client) == (provider or step)


async def snapshot(world: World) -> list[Any]:
    """All that a call would leave: rows, and requests to anybody."""
    tables = await world.db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [
        await world.db.fetchval(f'SELECT string_agg(t::text, chr(10) ORDER BY t::text) FROM "{row["tablename"]}" t')  # noqa: S608
        for row in tables
    ]
    return [rows, len(world.sandbox.state.requests)]


async def test_explaining_places_no_call_writes_nothing_and_takes_no_probe(world: World):
    client = await world.add_client(providers=PROVIDERS)
    await fail("vapi", "503", 5)(world, client)
    before = await snapshot(world)
    for _ in range(3):
        await explain(world, client, **{"from": CALLER})
    assert await snapshot(world) == before


async def test_a_caller_with_too_many_calls_is_told_apart_from_others(world: World):
    client = await world.add_client(providers=["vapi"])
    for _ in range(8):
        await ring(world, client, CALLER)
    why = "too_many_calls_of_caller"
    assert await explain(world, client, **{"from": CALLER}) == [
        ("ai", "vapi", False, why),
        ("voicemail", None, True, why),
        ("owner", None, False, "on_failure_is_voicemail"),
    ]
    assert await ring(world, client, CALLER) == "voicemail"
    for query in ({}, {"from": STRANGER}):
        assert (await explain(world, client, **query))[0] == ("ai", "vapi", True, "ready")
    assert await ring(world, client, STRANGER) == "vapi"


async def test_an_agency_with_too_many_calls_is_told_without_any_caller(world: World):
    client = await world.add_client(providers=["vapi"])
    for number in range(20):
        await ring(world, client, f"+141555504{number:02}")
    assert (await explain(world, client))[:2] == [
        ("ai", "vapi", False, "too_many_calls_of_agency"),
        ("voicemail", None, True, "too_many_calls_of_agency"),
    ]
    assert await ring(world, client) == "voicemail"


async def test_a_caller_whom_the_owners_phone_shows_just_now_looks_like_a_loop(world: World):
    client = await world.add_client(providers=["vapi"], routing={"mode": "owner_first"})
    assert await ring(world, client, CALLER) == "owner"
    rungs = await explain(world, client, **{"from": CALLER})
    assert rungs[0] == ("owner", None, False, "suspected_loop")
    assert ("voicemail", None, True, "suspected_loop") in rungs
    assert await ring(world, client, CALLER) == "voicemail"
    assert (await explain(world, client, **{"from": STRANGER}))[0] == ("owner", None, True, "ready")
    world.clock.advance(timedelta(minutes=5).total_seconds())
    assert (await explain(world, client, **{"from": CALLER}))[0] == ("owner", None, True, "ready")


async def test_a_number_of_another_agency_does_not_exist(world: World):
    ours, theirs = await world.add_client(), await world.add_client()
    for number in (theirs.number, "+15005559999"):
        reply = await ask(world, ours, to=number)
        assert (reply.status_code, reply.json()["type"]) == (404, "/problems/not-found")
