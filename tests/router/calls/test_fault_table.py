"""Every fault at every provider, and every routing mode: where the caller ends up, and what is noted.

Each is a call by a strict carrier over real HTTP. Which combinations of faults and modes there are beyond these is a
matter of the ladder and the dispatcher, whose own tests know neither HTTP nor providers (tests/router/routing).
Agencies and keys are a call's own; the service is shared, because starting it takes longer than a call.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.sandbox.carrier import Script, Timeline
from tests.support.circuits import let_circuits_forget
from tests.support.databases import fresh_database
from tests.support.serving import listen, url_of
from tests.support.world import PROVIDERS, Client, World, open_world

pytestmark = pytest.mark.anyio

REFUSED = "refused connection"  # nothing listens at the provider's address
REASONS = {
    "401": ErrorKind.KEY_REJECTED,
    "402": ErrorKind.OUT_OF_CREDIT,
    "403": ErrorKind.KEY_REJECTED,
    "404": ErrorKind.BAD_REQUEST,
    "408": ErrorKind.TIMEOUT,
    "409": ErrorKind.BAD_REQUEST,
    "422": ErrorKind.BAD_REQUEST,
    "429": ErrorKind.RATE_LIMITED,
    "429 with Retry-After": ErrorKind.RATE_LIMITED,
    "500": ErrorKind.PROVIDER_ERROR,
    "502": ErrorKind.PROVIDER_ERROR,
    "503": ErrorKind.PROVIDER_ERROR,
    "503 with Retry-After": ErrorKind.PROVIDER_ERROR,
    "wallet": ErrorKind.OUT_OF_CREDIT,
    "concurrency": ErrorKind.AT_CAPACITY,
    "hang": ErrorKind.TIMEOUT,
    "slow-body": ErrorKind.TIMEOUT,
    "reset": ErrorKind.UNREACHABLE,
    REFUSED: ErrorKind.UNREACHABLE,
    "garbage": ErrorKind.MALFORMED_REPLY,
    "html": ErrorKind.MALFORMED_REPLY,
    "empty": ErrorKind.MALFORMED_REPLY,
    "no-twiml": ErrorKind.MALFORMED_REPLY,
    "bad-twiml": ErrorKind.MALFORMED_REPLY,
    "doctype-twiml": ErrorKind.MALFORMED_REPLY,
    "broken-twiml": ErrorKind.MALFORMED_REPLY,
    "insecure-twiml": ErrorKind.MALFORMED_REPLY,
    "huge": ErrorKind.MALFORMED_REPLY,
    "gzip-bomb": ErrorKind.MALFORMED_REPLY,
    "redirect": ErrorKind.MALFORMED_REPLY,
    "echo-key": ErrorKind.PROVIDER_ERROR,
}
OWN_REASONS = {("403", "retell"): ErrorKind.BAD_REQUEST}  # it speaks of one agent as often as of the key
SLOW = frozenset({"hang", "slow-body"})
OF_THE_CLIENT = ("hang", "slow-body", "reset", REFUSED, "html", "huge", "gzip-bomb", "redirect")
NEXT = dict(zip(PROVIDERS, (*PROVIDERS[1:], PROVIDERS[0]), strict=True))


@dataclass(frozen=True, slots=True)
class Mode:
    """Routing settings, what the owner does when rung, and who has the caller when no AI does."""

    routing: dict[str, Any]
    otherwise: str
    owner: str = "accepts"

    @property
    def script(self) -> Script:
        """A caller who has heard enough of an AI hangs up: nothing needs to be waited for."""
        return Script(caller="hangs-up-during-ai", owner=self.owner)  # type: ignore[arg-type]


def closed(mode: str) -> dict[str, Any]:
    return {"timezone": "Europe/Berlin", "open": [], "closed_mode": mode}


WITH_AI = {
    "ai, then voicemail": Mode({"mode": "ai", "on_failure": "voicemail"}, "voicemail"),
    "ai, then owner": Mode({"mode": "ai", "on_failure": "ring_through"}, "owner"),
    "owner first": Mode({"mode": "owner_first"}, "voicemail", owner="no-answer"),
    "closed, owner first": Mode({"mode": "voicemail", "hours": closed("owner_first")}, "voicemail", owner="busy"),
}
WITHOUT_AI = {
    "ring through": Mode({"mode": "ring_through"}, "owner"),
    "ring through, not there": Mode({"mode": "ring_through"}, "voicemail", owner="mailbox"),
    "voicemail": Mode({"mode": "voicemail"}, "voicemail"),
    "closed, ring through": Mode({"mode": "ai", "hours": closed("ring_through")}, "owner"),
    "closed, voicemail": Mode({"mode": "ai", "on_failure": "ring_through", "hours": closed("voicemail")}, "voicemail"),
}

WorldWith = Callable[..., Awaitable[World]]


@pytest.fixture(scope="module")
async def world_with(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorldWith]:
    """The service with a fault at some providers and none at the others. Services are kept until the module's end."""
    opened: dict[tuple[frozenset[str], bool], World] = {}
    async with contextlib.AsyncExitStack() as stack:
        pass_an_hour = let_circuits_forget(stack.enter_context(pytest.MonkeyPatch.context()))

        async def world_with(fault: str, *providers: str) -> World:
            pass_an_hour()  # so that no cell suffers from those before
            dead = frozenset(providers) if fault == REFUSED else frozenset[str]()
            if (world := opened.get((dead, fault in SLOW))) is None:
                overrides: dict[str, Any] = {f"{provider}_url": unused_address() for provider in dead}
                if fault in SLOW:
                    overrides["handoff_timeout"] = 0.2
                dsn = await stack.enter_async_context(fresh_database(postgres_dsn))
                folder = tmp_path_factory.mktemp("world")
                world = await stack.enter_async_context(open_world(dsn, folder, **overrides))
                opened[dead, fault in SLOW] = world
            world.sandbox.state.faults.clear()
            for provider in providers:
                play(world, provider, fault)
            return world

        yield world_with


def play(world: World, provider: str, fault: str) -> None:
    if fault == REFUSED:
        return
    name, retry_after, _ = fault.partition(" with Retry-After")
    world.sandbox.state.faults.set(provider, {"fault": name, "retry_after": 3} if retry_after else name)


def reason_of(fault: str, provider: str) -> ErrorKind:
    return OWN_REASONS.get((fault, provider), REASONS[fault])


def unused_address() -> str:
    listening = listen()
    url = url_of(listening)
    listening.close()
    return url


def in_turn(*axes: Sequence[Any]) -> list[Any]:
    """As many cells as the longest axis has values; the other axes begin again at their ends."""
    return [tuple(axis[number % len(axis)] for axis in axes) for number in range(max(map(len, axes)))]


def each_provider_with_each_fault() -> list[Any]:
    """Every provider meets every fault that it words or reads itself, and every mode several. What breaks a connection or a
    body meets one provider each: they all have the same client.
    """
    cells = [
        *itertools.product([fault for fault in REASONS if fault not in OF_THE_CLIENT], PROVIDERS),
        *zip(OF_THE_CLIENT, itertools.cycle(PROVIDERS), strict=False),
    ]
    return [(fault, provider, mode) for (fault, provider), mode in zip(cells, itertools.cycle(WITH_AI), strict=False)]


@pytest.mark.parametrize(("fault", "provider", "mode"), each_provider_with_each_fault())
async def test_the_next_provider_takes_the_call(world_with: WorldWith, fault, provider, mode):
    world = await world_with(fault, provider)
    client = await world.add_client(providers=[provider, NEXT[provider]], routing=WITH_AI[mode].routing)

    timeline = await world.call(client, WITH_AI[mode].script)

    assert (timeline.answered_by, timeline.provider) == ("ai", NEXT[provider])
    assert await failures(world, timeline) == [(provider, reason_of(fault, provider))]
    assert ("handoff.succeeded", NEXT[provider], None) in await world.events(timeline)
    await assert_well_handled(world, client, timeline, fault, outcome="ai")


# One fault of each kind. What is left when all are slow is a matter of the deadline.
ONE_OF_EACH_KIND = list({kind: fault for fault, kind in REASONS.items() if fault not in SLOW}.values())


@pytest.mark.parametrize(("fault", "provider", "mode"), in_turn(ONE_OF_EACH_KIND, PROVIDERS, list(WITH_AI)))
async def test_when_all_providers_fail_the_mode_decides_who_takes_the_call(
    world_with: WorldWith, fault, provider, mode
):
    world = await world_with(fault, *PROVIDERS)
    others = [name for name in PROVIDERS if name != provider]
    client = await world.add_client(providers=[provider, *others], routing=WITH_AI[mode].routing)

    timeline = await world.call(client, WITH_AI[mode].script)

    assert timeline.answered_by == WITH_AI[mode].otherwise
    assert await failures(world, timeline) == [(name, reason_of(fault, name)) for name in (provider, *others)]
    await assert_well_handled(world, client, timeline, fault, outcome=WITH_AI[mode].otherwise)


@pytest.mark.parametrize("mode", WITHOUT_AI)
async def test_a_mode_without_ai_asks_no_provider(world_with: WorldWith, mode):
    world = await world_with("503", *PROVIDERS)
    client = await world.add_client(providers=PROVIDERS, routing=WITHOUT_AI[mode].routing)

    timeline = await world.call(client, WITHOUT_AI[mode].script)

    assert timeline.answered_by == WITHOUT_AI[mode].otherwise
    assert await failures(world, timeline) == []
    assert [world.asked_with(client, provider) for provider in PROVIDERS] == [0] * len(PROVIDERS)
    await assert_well_handled(world, client, timeline, "503", outcome=WITHOUT_AI[mode].otherwise)


@pytest.mark.parametrize("fault", ["401", "429", "503", "reset"])
async def test_the_next_provider_takes_a_call_that_a_number_at_bland_was_to_take(world_with: WorldWith, fault):
    world = await world_with(fault, "bland")
    client = await world.add_client(providers=["bland", "vapi"], bland_mode="number")

    timeline = await world.call(client, WITH_AI["ai, then voicemail"].script)

    assert (timeline.answered_by, timeline.provider) == ("ai", "vapi")
    assert await failures(world, timeline) == [("bland", REASONS[fault])]
    await assert_well_handled(world, client, timeline, fault, outcome="ai")


async def failures(world: World, timeline: Timeline) -> list[tuple[str | None, str | None]]:
    """Who did not take the call, and why; in the order in which they were asked."""
    events = await world.events(timeline)
    return [(provider, reason) for event, provider, reason in events if event == "handoff.failed"]


async def assert_well_handled(world: World, client: Client, timeline: Timeline, fault: str, *, outcome: str) -> None:
    """Recorded as it was, each provider asked once at most, and every one of the carrier's requests answered well."""
    call = await world.find_ended_call(timeline)
    assert (call["outcome"], call["answered_by"]) == (outcome, outcome)
    assert call["ended_at"] is not None
    asked = [provider for event, provider, _ in await world.events(timeline) if event == "handoff.requested"]
    assert len(asked) == len(set(asked))
    for provider in client.keys:
        refused = fault == REFUSED and world.asked_with(client, provider) == 0
        assert world.asked_with(client, provider) == (provider in asked) or refused
    assert world.sandbox.state.requests_to("redirected") == []
    assert (timeline.failures, timeline.violations) == ([], [])
    assert {request.status for request in timeline.requests} == {200}
    assert timeline.fallback_used is False
