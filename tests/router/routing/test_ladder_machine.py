"""Calls going down a ladder whose providers fail and recover, against a plain model: who is asked, and who takes them."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from adapters.base import ErrorKind, InboundCall, ProviderError, SipHandoff, Target
from crypto import Secret
from router.routing.circuit import Circuits, Usage
from router.routing.deadline import Deadline
from router.routing.dispatch import Attempt, Dispatcher, Ended, Skipped, Started
from router.routing.ladder import VOICEMAIL
from router.routing.route import Access, Route, Rung, SkipReason
from tests.router.routing.providers import NAMES, FakeProvider

WELL = SipHandoff("sip:call@provider.test")
RUNGS = (*(Rung("ai", name) for name in NAMES), VOICEMAIL)
CALL = InboundCall("call_1", "CA1", "agency_1", "client_1", "Acme", "+14155550123", "+15005550101", 600)


class GoingDown(RuleBasedStateMachine):
    """The model: per provider, how it answers, whether there is a key and an assistant; circuits are asked beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.providers = {name: FakeProvider(name, WELL) for name in NAMES}
        self.keys = dict.fromkeys(NAMES, 1)
        self.synced = dict.fromkeys(NAMES, True)
        self.circuits = Circuits(clock=lambda: self.now)
        self.dispatcher = Dispatcher(
            self.providers, lambda _, access: Secret(access.sealed_key or ""), 6, circuits=self.circuits
        )

    @rule(name=st.sampled_from(NAMES), failure=st.sampled_from([None, *ErrorKind]))
    def a_provider_changes(self, name: str, failure: ErrorKind | None) -> None:
        self.providers[name].answer = WELL if failure is None else ProviderError(failure)

    @rule(name=st.sampled_from(NAMES))
    def a_key_is_saved(self, name: str) -> None:
        self.keys[name] = abs(self.keys[name]) + 1

    @rule(name=st.sampled_from(NAMES))
    def a_key_is_deleted(self, name: str) -> None:
        self.keys[name] = -abs(self.keys[name])

    @rule(name=st.sampled_from(NAMES), synced=st.booleans())
    def an_assistant_comes_or_goes(self, name: str, synced: bool) -> None:
        self.synced[name] = synced

    @rule(seconds=st.sampled_from([1, 14, 16, 130, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(deadline=st.sampled_from([10.0, 10.0, 1.0]))
    def a_call_comes(self, deadline: float) -> None:
        expected, taker = self.foresee(deadline)
        told: list[Attempt] = []
        taken = asyncio.run(
            self.dispatcher.find_taker(RUNGS, self.route(), CALL, Deadline(deadline, lambda: 0.0), told.append)
        )
        assert [(type(each), each.provider, getattr(each, "reason", None)) for each in told] == expected
        assert taken.rung == taker
        assert (taken.handoff is None) is (taker == VOICEMAIL)

    def route(self) -> Route:
        accesses = tuple(
            Access(name, Target("assistant" if self.synced[name] else None), f"key-{version}", version)
            if (version := self.keys[name]) > 0
            else Access(name)
            for name in NAMES
        )
        return Route("agency_1", "client_1", "Acme", "AC1", "+15005550101", accesses=accesses)

    def foresee(self, deadline: float) -> tuple[list[tuple[type, str, object]], Rung]:
        expected: list[tuple[type, str, object]] = []
        for name in NAMES:
            reason = self.why_not(name, deadline)
            if reason is not None:
                expected.append((Skipped, name, reason))
                continue
            answer = self.providers[name].answer
            failure = answer.kind if isinstance(answer, ProviderError) else None
            expected += [(Started, name, None), (Ended, name, failure)]
            if failure is None:
                return expected, Rung("ai", name)
        return expected, VOICEMAIL

    def why_not(self, name: str, deadline: float) -> SkipReason | None:
        if self.keys[name] < 0:
            return SkipReason.NO_KEY
        if not self.synced[name]:
            return SkipReason.NOT_SYNCED
        if deadline < 1.5:
            return SkipReason.NO_TIME
        if not self.circuits.would_admit(Usage("agency_1", name, self.keys[name])):
            return SkipReason.CIRCUIT_OPEN
        return None


GoingDown.TestCase.settings = settings(stateful_step_count=30)
TestGoingDown = GoingDown.TestCase
