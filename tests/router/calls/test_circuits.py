"""A dead provider and a refused key, end to end: what they cost other callers is nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from router.routing.circuit import Circuits
from router.telemetry import metrics
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall, at_once, takers_of
from tests.support.signed_requests import VOICE
from tests.support.waiting import wait_until
from tests.support.world import Client, World, open_world

__all__ = ["captured_events"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("little_patience")]

MANY = 12


class CircuitTime:
    """The clock of all circuits: real time, plus what a test lets pass."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        patch.setattr("router.app.outside.Circuits", partial(Circuits, clock=self))

    def __call__(self) -> float:
        return time.monotonic() + self._ahead

    def pass_seconds(self, seconds: float) -> None:
        self._ahead += seconds


@pytest.fixture
def circuit_time(monkeypatch: pytest.MonkeyPatch) -> CircuitTime:
    return CircuitTime(monkeypatch)


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path, circuit_time: CircuitTime) -> AsyncIterator[World]:  # noqa: ARG001
    async with open_world(database_dsn, tmp_path, caller_calls=1000) as world:
        yield world


@pytest.fixture
async def impatient(database_dsn: str, tmp_path: Path, circuit_time: CircuitTime) -> AsyncIterator[World]:  # noqa: ARG001
    """A world that gives up on a hanging provider after a second."""
    async with open_world(database_dsn, tmp_path, handoff_timeout=1, caller_calls=1000) as world:
        yield world


async def ring(world: World, client: Client, replica: int = 0, **parameters: str) -> str:
    """One new call to the client. Who is to take it."""
    reply = await PostedCall(world, client).post(VOICE, replica=replica, **parameters)
    (taker,) = takers_of([reply])
    return taker


async def ring_at_once(world: World, client: Client, count: int = MANY) -> list[str]:
    return takers_of(await at_once(count, lambda _: PostedCall(world, client).ring()))


def open_circuits(scope: str, provider: str) -> float:
    """What the gauge of circuits that are not closed says."""
    text = metrics.render()[0].decode()
    name = f'callrouter_circuits_open{{provider="{provider}",scope="{scope}"}}'
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.rpartition(" ")[2])


async def test_a_dead_provider_costs_callers_nothing_after_the_first_few(impatient: World):
    world = impatient
    clients = [await world.add_client(providers=["vapi", "retell"]) for _ in range(3)]
    world.sandbox.state.faults.set("vapi", "hang")
    takers = [await ring(world, client) for _ in range(10) for client in clients]
    assert set(takers) == {"retell"}
    assert world.asked("vapi") == 5
    assert world.asked("retell") == 30


async def test_a_provider_that_fails_one_agency_is_still_asked_for_another(world: World):
    ours, theirs = [await world.add_client(providers=["vapi", "retell"]) for _ in range(2)]
    await ring(world, theirs)
    world.sandbox.state.faults.set("vapi", "503")
    for _ in range(10):
        assert await ring(world, ours) == "retell"
    world.sandbox.state.faults.clear()
    assert await ring(world, theirs) == "vapi"


async def test_a_refused_key_is_tried_three_times_and_matters_to_its_own_agency_alone(world: World):
    ours, theirs = [await world.add_client(providers=["vapi", "retell"]) for _ in range(2)]
    world.sandbox.state.vapi.orgs.revoke(ours.keys["vapi"])
    for _ in range(10):
        assert [await ring(world, ours), await ring(world, theirs)] == ["retell", "vapi"]
    assert [world.asked_with(each, "vapi") for each in (ours, theirs)] == [3, 10]


async def test_an_assistant_that_is_refused_as_such_opens_nothing_and_is_marked(world: World):
    client = await world.add_client(providers=["vapi", "retell"])
    world.sandbox.state.faults.set("vapi", "404")
    for _ in range(10):
        assert await ring(world, client) == "retell"
    assert world.asked("vapi") == 10
    error = "SELECT error FROM assistants WHERE client_id = $1 AND provider = $2"
    assert "bad request" in await world.db.fetchval(error, client.client_id, "vapi")
    assert await world.db.fetchval(error, client.client_id, "retell") is None


async def clients_of_one_agency(world: World, count: int) -> list[Client]:
    """Each with an agent at Retell under the agency's key."""
    first = await world.add_client(providers=["retell"])
    rest = [await world.add_client(providers=["retell"], agency_id=first.agency_id) for _ in range(count - 1)]
    org, *others = [world.sandbox.state.retell.orgs.of(client.keys["retell"]) for client in (first, *rest)]
    for other in others:
        org.agents |= other.agents
        org.llms |= other.llms
    return [first, *rest]


def asked_for(world: World) -> list[str]:
    """The agents for which Retell was asked to take a call."""
    return [asked.body["agent_id"] for asked in world.sandbox.state.requests_to("retell", operation="handoff")]


async def test_a_suspended_agent_is_marked_and_costs_the_agency_nothing(world: World):
    suspended, well = await clients_of_one_agency(world, 2)
    agent = await world.db.fetchval("SELECT remote_id FROM assistants WHERE client_id = $1", suspended.client_id)
    world.sandbox.state.retell.orgs.of(suspended.keys["retell"]).suspended.add(agent)
    check_at = "SELECT check_at FROM keys WHERE agency_id = $1"
    before = await world.db.fetchval(check_at, suspended.agency_id)
    for _ in range(5):
        assert [await ring(world, suspended), await ring(world, well)] == ["voicemail", "retell"]
        assert await ring(world, suspended) == "voicemail"
    assert len(asked_for(world)) == 15
    error = "SELECT error FROM assistants WHERE client_id = $1"
    assert "bad request" in await world.db.fetchval(error, suspended.client_id)
    assert await world.db.fetchval(error, well.client_id) is None
    assert await world.db.fetchval(check_at, suspended.agency_id) == before


async def test_a_key_that_is_refused_for_three_agents_in_a_row_is_a_refused_key(world: World):
    clients = await clients_of_one_agency(world, 4)
    world.sandbox.state.faults.set("retell", {"fault": "403", "operation": "handoff"})
    assert {await ring(world, client) for client in (clients * 2)} == {"voicemail"}
    assert len(asked_for(world)) == 3
    told = "SELECT reason FROM call_events WHERE event LIKE 'handoff.%' AND reason IS NOT NULL ORDER BY at"
    reasons = [row["reason"] for row in await world.db.fetch(told)]
    assert reasons == ["bad_request", "bad_request", "key_rejected", *["circuit_open"] * 5]


async def test_a_saved_key_works_on_the_next_call_on_every_replica(database_dsn: str, tmp_path: Path, circuit_time):  # noqa: ARG001
    async with open_world(database_dsn, tmp_path, replicas=2, caller_calls=1000) as world:
        client = await world.add_client(providers=["vapi", "retell"])
        old, new = client.keys["vapi"], "a-key-that-was-just-saved"
        world.sandbox.state.vapi.orgs.rotate(old, new)
        for replica in (0, 1):
            assert {await ring(world, client, replica) for _ in range(5)} == {"retell"}
        assert world.asked_with(client, "vapi") == 6, "three on each"
        await world.save_key(client.agency_id, "vapi", new)
        assert [await ring(world, client, replica) for replica in (0, 1)] == ["vapi", "vapi"]


@pytest.mark.parametrize("scope", ["provider", "agency"])
async def test_after_15_seconds_one_of_many_callers_probes(world: World, circuit_time: CircuitTime, scope):
    client = await world.add_client(providers=["vapi", "retell"])
    fault, opens_at = ("reset", 5) if scope == "provider" else ("401", 3)
    world.sandbox.state.faults.set("vapi", fault)
    assert {await ring(world, client) for _ in range(8)} == {"retell"}
    asked = opens_at
    for wait in (15, 30):
        circuit_time.pass_seconds(wait - 5)
        assert await ring_at_once(world, client) == ["retell"] * MANY
        assert world.asked("vapi") == asked
        circuit_time.pass_seconds(5)
        assert await ring_at_once(world, client) == ["retell"] * MANY
        asked += 1
        assert world.asked("vapi") == asked


def give_lines(world: World, client: Client) -> None:
    """So many at Vapi that calls overflow for no other reason than the one that a test is about: these never end."""
    world.sandbox.state.vapi.orgs.of(client.keys["vapi"]).concurrency_limit = 10_000


@pytest.mark.parametrize("scope", ["provider", "agency"])
async def test_the_probe_of_a_provider_that_is_well_again_closes_the_circuit(world: World, circuit_time, scope):
    client = await world.add_client(providers=["vapi", "retell"])
    give_lines(world, client)
    world.sandbox.state.faults.set("vapi", "503" if scope == "provider" else "402")
    assert {await ring(world, client) for _ in range(8)} == {"retell"}
    asked = world.asked("vapi")
    # A probe that takes a moment: all others come while it is on its way.
    world.sandbox.state.faults.set("vapi", {"fault": "late", "seconds": 0.1, "times": 1})
    circuit_time.pass_seconds(15)
    takers = await ring_at_once(world, client)
    assert takers.count("vapi") >= 1
    assert world.asked("vapi") - asked == takers.count("vapi")
    assert await ring_at_once(world, client) == ["vapi"] * MANY


async def test_opening_and_closing_are_told_in_the_log_and_in_the_metrics(
    world: World, circuit_time: CircuitTime, captured_events: CapturedEvents
):
    client = await world.add_client(providers=["vapi", "retell"])
    before = {scope: open_circuits(scope, "vapi") for scope in ("agency", "provider")}

    async def opened(scope: str) -> float:
        return open_circuits(scope, "vapi") - before[scope]

    for fault, count in (("402", 3), ("503", 5)):
        world.sandbox.state.faults.set("vapi", fault)
        for _ in range(count):
            await ring(world, client)
        await world.save_key(client.agency_id, "vapi", client.keys["vapi"])
    assert (await opened("agency"), await opened("provider")) == (0, 1), "the refused key's circuit went with the key"
    for _ in range(2):
        circuit_time.pass_seconds(120)
        await ring(world, client)
    assert await opened("provider") == 1, "failed probes do not open a circuit again"
    circuit_time.pass_seconds(120)
    world.sandbox.state.faults.clear()
    assert await ring(world, client) == "vapi"
    assert await opened("provider") == 0

    lines = [line for line in captured_events.all() if line["event"].startswith("circuit.")]
    told = [(line["event"], line["scope"], line["provider"], line.get("reason")) for line in lines]
    assert told == [
        ("circuit.opened", "agency", "vapi", "out_of_credit"),
        ("circuit.closed", "agency", "vapi", None),
        ("circuit.opened", "provider", "vapi", "provider_error"),
        ("circuit.closed", "provider", "vapi", None),
    ]
    assert [(line.get("agency_id"), line.get("key_version")) for line in lines] == [
        (client.agency_id, 1),
        (client.agency_id, 1),
        (None, None),
        (None, None),
    ]
    assert lines[0]["seconds"] == 15
    assert lines[3]["seconds"] > 360
    skipped = captured_events.named("handoff.skipped")
    assert {line["reason"] for line in skipped} <= {"circuit_open"}


async def test_many_waiting_calls_of_one_agency_do_not_keep_another_agencys_call_waiting(
    database_dsn: str, tmp_path: Path, captured_events: CapturedEvents
):
    patient = {"answer_deadline": 14, "handoff_timeout": 13}  # on a slow machine, too, all come while the first wait
    async with open_world(database_dsn, tmp_path, caller_calls=1000, agency_calls=1000, **patient) as world:
        ours, theirs = [await world.add_client(providers=["vapi", "retell"]) for _ in range(2)]
        give_lines(world, ours)
        give_lines(world, theirs)
        await ring(world, theirs)
        world.sandbox.state.faults.set("vapi", {"fault": "hang", "times": 60})
        crowd = [asyncio.create_task(PostedCall(world, ours).ring()) for _ in range(60)]
        try:
            await wait_until(lambda: world.asked_with(ours, "vapi") == 60)
            assert await ring(world, theirs) == "vapi"

            async def is_turned_away() -> bool:
                return await ring(world, ours) == "retell"

            await wait_until(is_turned_away)  # once those who wait are overdue, the next one goes on at once
            assert await ring(world, theirs) == "vapi"
            skipped = captured_events.named("handoff.skipped")
            assert [(line["agency_id"], line["reason"]) for line in skipped] == [(ours.agency_id, "at_capacity")]
        finally:
            for task in crowd:
                task.cancel()
            await asyncio.gather(*crowd, return_exceptions=True)
