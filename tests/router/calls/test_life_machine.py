"""The life of a call, request by request over real HTTP, against a plain model of it: a list and a place in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from router.routing.circuit import Circuits, Thresholds
from tests.support.databases import fresh_database
from tests.support.posting import PostedCall, only_document, taker_of
from tests.support.world import PROVIDERS, World, open_world

LADDER = (*PROVIDERS, "owner", "voicemail")
GONE = {"CallStatus": "completed", "DialCallStatus": "completed", "DialCallDuration": "60", "DialBridged": "true"}


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def world(
    portal: BlockingPortal, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Its circuits never open: they have a state machine of their own."""
    circuits = partial(Circuits, thresholds=Thresholds(failures=1_000_000))
    monkeypatch.setattr("router.app.outside.Circuits", circuits)
    with portal.wrap_async_context_manager(fresh_database(postgres_dsn)) as dsn:  # noqa: SIM117
        with portal.wrap_async_context_manager(open_world(dsn, tmp_path)) as world:
            yield world


def read(document: str) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314  (our own)


def make_machine(portal: BlockingPortal, world: World) -> type[RuleBasedStateMachine]:  # noqa: C901  (rules, side by side)
    class LifeOfACall(RuleBasedStateMachine):
        """The model: who stands on the ladder, who is failing, who has the call, and whether it is over."""

        def __init__(self) -> None:
            super().__init__()
            world.sandbox.state.faults.clear()
            self.failing: set[str] = set()
            self.tried: set[str] = set()
            self.place = -1
            self.over: str | None = None
            self.client = self.wait(world.add_client, providers=PROVIDERS, routing={"on_failure": "ring_through"})
            self.call = PostedCall(world, self.client)
            self.repeat: Callable[[], str] = self.ring
            self.document = ""

        def wait(self, ask: Callable[..., Any], *values: Any, **named: Any) -> Any:
            async def run() -> Any:
                return await ask(*values, **named)

            return portal.call(run)

        def ring(self) -> str:
            return only_document([self.wait(self.call.ring)])

        def post(self, path: str, **more: str) -> str:
            return only_document([self.wait(self.call.post, path, **more)])

        def descend(self) -> None:
            """Past everybody who fails, each of whom is asked once."""
            self.place += 1
            while LADDER[self.place] in self.failing:
                self.tried.add(LADDER[self.place])
                self.place += 1
            self.tried.add(LADDER[self.place])

        def next_document(self, ask: Callable[[], str]) -> None:
            self.repeat = ask
            self.document = ask()

        @initialize(failing=st.sets(st.sampled_from(PROVIDERS)))
        def the_call_comes_in(self, failing: set[str]) -> None:
            for provider in failing:
                self.a_provider_begins_to_fail(provider)
            self.next_document(self.ring)
            self.descend()

        @rule(provider=st.sampled_from(PROVIDERS))
        def a_provider_begins_to_fail(self, provider: str) -> None:
            world.sandbox.state.faults.set(provider, "503")
            self.failing.add(provider)

        @rule(provider=st.sampled_from(PROVIDERS))
        def a_provider_is_well_again(self, provider: str) -> None:
            self.failing.discard(provider)
            world.sandbox.state.faults.clear()
            for each in self.failing:
                world.sandbox.state.faults.set(each, "503")

        @precondition(lambda self: self.over is None and LADDER[self.place] != "voicemail")
        @rule()
        def nobody_answers(self) -> None:
            document = self.document
            self.next_document(lambda: only_document([self.wait(self.call.go_on, document)]))
            self.descend()

        @precondition(lambda self: self.over is None and LADDER[self.place] == "owner")
        @rule(digits=st.sampled_from(["1", "2", ""]))
        def the_owner_answers(self, digits: str) -> None:
            screen = read(self.document).find("Dial/Number").attrib["url"]
            heard = read(self.post(screen))
            pressed = self.post(heard.find("Gather").attrib["action"], Digits=digits)
            assert (len(read(pressed)) == 0) is (digits == "1"), "an empty document accepts"
            document = self.document
            bridged = GONE | {"CallStatus": "in-progress", "DialBridged": "true" if digits == "1" else "false"}
            self.next_document(lambda: only_document([self.wait(self.call.go_on, document, **bridged)]))
            if digits == "1":
                self.over = "owner"
            else:
                self.descend()

        @precondition(lambda self: self.over is None and LADDER[self.place] in ("retell", "bland"))
        @rule()
        def the_caller_hangs_up_on_the_ai(self) -> None:
            document = self.document
            self.next_document(lambda: only_document([self.wait(self.call.go_on, document, **GONE)]))
            self.over = "ai"

        @precondition(lambda self: self.over is None and LADDER[self.place] != "voicemail")
        @rule()
        def the_caller_hangs_up_while_it_rings(self) -> None:
            document = self.document
            gone = {"CallStatus": "no-answer", "DialCallStatus": "canceled", "DialBridged": "false"}
            self.next_document(lambda: only_document([self.wait(self.call.go_on, document, **gone)]))
            self.over = "abandoned"

        @rule()
        def twilio_asks_again(self) -> None:
            again = self.repeat()
            assert taker_of(again) == taker_of(self.document)

        @invariant()
        def whoever_should_has_the_call(self) -> None:
            if self.document:
                assert taker_of(self.document) == ("nobody" if self.over else LADDER[self.place])

        @invariant()
        def each_provider_was_asked_once_at_most(self) -> None:
            for provider in PROVIDERS:
                assert world.asked_with(self.client, provider) == (provider in self.tried)

        def teardown(self) -> None:
            if self.over is None:
                return
            outcome = self.wait(world.db.fetchval, "SELECT outcome FROM calls WHERE call_sid = $1", self.call.call_sid)
            assert outcome == self.over

    return LifeOfACall


def test_a_call_lives_as_the_model_says(portal: BlockingPortal, world: World):
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        make_machine(portal, world),
        settings=settings(stateful_step_count=12, suppress_health_check=checks),
    )
