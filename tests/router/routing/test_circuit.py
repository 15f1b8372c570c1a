"""Circuits: what opens them, who may look again and when, and what closes them; held against a plain model."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from adapters.base import ErrorKind
from router.routing import circuit
from router.routing.circuit import Change, Circuits, Permit, Usage
from router.routing.failures import EFFECTS, FAILURES, REFUSALS

ONE, TWO = Usage("agency_1", "vapi", 1), Usage("agency_2", "vapi", 1)
ALL = (None, *ErrorKind)


@dataclass
class Scene:
    """Circuits on a clock that a test moves, and all changes that they told."""

    now: float = 1000.0
    told: list[Change] = field(default_factory=list)
    circuits: Circuits = field(init=False)

    def __post_init__(self) -> None:
        self.circuits = Circuits(self.told.append, lambda: self.now)

    def call(self, usage: Usage, *outcomes: ErrorKind | None) -> int:
        """So many calls one after another, as long as they are let through. Returns how many were."""
        for number, outcome in enumerate(outcomes):
            if not self.circuits.would_admit(usage):
                return number
            self.circuits.report(self.circuits.admit(usage), outcome)
        return len(outcomes)

    def changes(self) -> list[tuple[str, bool]]:
        return [(change.scope, change.opened) for change in self.told]


@pytest.fixture
def scene() -> Scene:
    return Scene()


TIMEOUT, REFUSED = ErrorKind.TIMEOUT, ErrorKind.KEY_REJECTED


@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_the_third_refusal_in_a_row_opens_the_agencys_own_circuit(scene: Scene, kind: ErrorKind):
    assert scene.call(ONE, *[kind] * 10) == 3
    (change,) = scene.told
    assert change == Change("agency", opened=True, usage=ONE, seconds=15, reason=kind)
    assert scene.call(TWO, None) == 1


@pytest.mark.parametrize("kind", sorted(FAILURES))
def test_five_failures_of_two_agencies_open_the_providers_circuit_for_all(scene: Scene, kind: ErrorKind):
    assert scene.call(ONE, *[kind] * 4) == 4
    assert scene.call(TWO, kind, kind) == 1
    assert [(change.scope, change.opened, change.seconds, change.reason) for change in scene.told] == [
        ("provider", True, 15, kind)
    ]
    assert [scene.circuits.would_admit(Usage(f"agency_{n}", "vapi", 1)) for n in range(3)] == [False] * 3
    assert scene.circuits.would_admit(Usage("agency_1", "retell", 1))


def test_one_agencys_failures_do_not_close_a_provider_to_others_who_use_it(scene: Scene):
    scene.call(TWO, None)
    assert scene.call(ONE, *[TIMEOUT] * 20) == 20
    assert scene.told == []
    scene.call(TWO, TIMEOUT)
    assert scene.changes() == [("provider", True)]


def test_if_only_one_agency_uses_a_provider_its_failures_are_enough(scene: Scene):
    assert scene.call(ONE, *[TIMEOUT] * 20) == 5
    assert scene.changes() == [("provider", True)]


def test_an_agency_that_has_not_asked_for_long_does_not_count_as_a_user(scene: Scene):
    scene.call(TWO, None)
    scene.now += 601
    assert scene.call(ONE, *[TIMEOUT] * 20) == 5


@pytest.mark.parametrize("scope", ["agency", "provider"])
def test_bad_requests_open_neither(scene: Scene, scope: str):
    agencies = [ONE] if scope == "agency" else [ONE, TWO]
    for _ in range(20):
        for usage in agencies:
            assert scene.call(usage, ErrorKind.BAD_REQUEST) == 1
    assert scene.told == []


def test_refusals_that_are_not_in_a_row_open_nothing(scene: Scene):
    assert scene.call(ONE, *[REFUSED, REFUSED, None] * 20) == 60
    assert scene.told == []


def deny(scene: Scene, usage: Usage, *assistants: str | None) -> list[ErrorKind | None]:
    """Calls that are refused for these assistants; None: one that is taken. What each counts as."""
    counted = []
    for assistant in assistants:
        permit = scene.circuits.admit(usage)
        failure = ErrorKind.BAD_REQUEST if assistant else None
        counted.append(scene.circuits.report(permit, failure, denied=assistant))
    return counted


def test_a_denial_for_three_different_assistants_in_a_row_means_the_key(scene: Scene):
    assert deny(scene, ONE, "a", "b", "a", "c") == [ErrorKind.BAD_REQUEST] * 3 + [REFUSED]
    assert scene.told == [Change("agency", opened=True, usage=ONE, seconds=15, reason=REFUSED)]
    assert scene.call(TWO, None) == 1


@pytest.mark.parametrize(
    "assistants",
    [["a"] * 9, ["a", "b"] * 9, ["a", "b", None, "c", "d", None, "a", "b"]],
    ids=["one", "two", "others work between"],
)
def test_denials_of_fewer_assistants_open_nothing(scene: Scene, assistants: list[str | None]):
    assert REFUSED not in deny(scene, ONE, *assistants)
    assert scene.told == []


def test_denials_of_different_agencies_are_not_in_a_row(scene: Scene):
    assert deny(scene, ONE, "a", "b") + deny(scene, TWO, "c") == [ErrorKind.BAD_REQUEST] * 3


def test_a_denied_probe_keeps_the_circuit_open_and_a_new_key_begins_afresh(scene: Scene):
    deny(scene, ONE, "a", "b", "c")
    scene.now += 15
    assert deny(scene, ONE, "d") == [REFUSED]
    assert not scene.circuits.would_admit(ONE)
    assert deny(scene, Usage("agency_1", "vapi", 2), "a") == [ErrorKind.BAD_REQUEST]


def test_failures_that_are_far_apart_open_nothing(scene: Scene):
    for _ in range(40):
        scene.now += 7.6  # four of them in any half a minute
        assert scene.call(ONE, TIMEOUT) == 1
    assert scene.told == []


def test_a_busy_provider_that_seldom_fails_stays_asked(scene: Scene):
    """Hundreds of calls a minute of which one in ten fails: that is what the next rung is for."""
    for _ in range(30):
        scene.now += 1
        assert scene.call(ONE, *[None] * 9, TIMEOUT) == 10
        assert scene.call(TWO, *[None] * 9, TIMEOUT) == 10
    assert scene.told == []


def test_a_busy_provider_that_dies_is_noticed_as_soon_as_an_idle_one(scene: Scene):
    for _ in range(500):
        scene.call(ONE, None)
        scene.call(TWO, None)
    assert sum(scene.call(usage, TIMEOUT) for usage in [ONE, TWO] * 10) == 5


def test_half_of_all_calls_failing_opens_the_providers(scene: Scene):
    asked = sum(scene.call(usage, TIMEOUT, None) for usage in [ONE, TWO] * 10)
    assert asked < 12
    assert scene.changes() == [("provider", True)]


@pytest.mark.parametrize(("failing", "scope", "first"), [(REFUSED, "agency", 3), (TIMEOUT, "provider", 5)])
def test_a_probe_after_15_seconds_then_doubling_up_to_two_minutes(scene: Scene, failing, scope, first):
    assert scene.call(ONE, *[failing] * 10) == first
    waits = [15, 30, 60, 120, 120, 120]
    for wait in waits:
        scene.now += wait - 0.01
        assert scene.call(ONE, failing) == 0
        scene.now += 0.01
        assert scene.call(ONE, failing, failing) == 1
    scene.now += 120
    assert scene.call(ONE, None, failing) == 2
    assert scene.changes() == [(scope, True), (scope, False)]
    assert scene.told[1].seconds == sum(waits) + 120


@pytest.mark.parametrize(("failing", "count"), [(REFUSED, 3), (TIMEOUT, 5)])
def test_a_circuit_that_closed_starts_over(scene: Scene, failing, count):
    scene.call(ONE, *[failing] * count)
    for _ in range(3):
        scene.now += 15
        assert scene.call(ONE, None) == 1
        assert scene.call(ONE, *[failing] * 10) == count
    assert [change.seconds for change in scene.told if change.opened] == [15] * 4


@pytest.mark.parametrize("failing", [REFUSED, TIMEOUT])
def test_while_a_probe_is_under_way_no_other_call_is_admitted(scene: Scene, failing):
    scene.call(ONE, *[failing] * 5)
    scene.now += 15
    probe = scene.circuits.admit(ONE)
    assert not scene.circuits.would_admit(ONE)
    scene.now += 59
    assert not scene.circuits.would_admit(ONE)
    scene.circuits.report(probe, None)
    assert scene.circuits.would_admit(ONE)


@pytest.mark.parametrize("failing", [REFUSED, TIMEOUT])
def test_a_probe_without_a_result_is_followed_by_another_after_a_minute(scene: Scene, failing):
    scene.call(ONE, *[failing] * 5)
    scene.now += 15
    lost = scene.circuits.admit(ONE)
    scene.now += 60
    second = scene.circuits.admit(ONE)
    scene.circuits.report(lost, None)
    assert not scene.circuits.would_admit(ONE), "the second one decides"
    scene.circuits.report(second, None)
    assert scene.circuits.would_admit(ONE)


@pytest.mark.parametrize("outcome", ALL)
@pytest.mark.parametrize("failing", [REFUSED, TIMEOUT])
@pytest.mark.parametrize("seconds", [0, 14, 15])
def test_calls_from_before_it_opened_decide_nothing(scene: Scene, failing, outcome, seconds):
    slow = [scene.circuits.admit(ONE) for _ in range(2)]
    scene.call(ONE, *[failing] * 5)
    scene.now += seconds
    probe = scene.circuits.admit(ONE) if seconds == 15 else None
    for permit in slow:
        scene.circuits.report(permit, outcome)
    assert not scene.circuits.would_admit(ONE)
    if probe:
        scene.circuits.report(probe, None)
        assert scene.circuits.would_admit(ONE)


def test_a_refused_probe_shows_that_the_provider_is_there(scene: Scene):
    scene.call(TWO, TIMEOUT)
    scene.call(ONE, *[TIMEOUT] * 4)
    scene.now += 15
    assert scene.call(ONE, REFUSED) == 1
    assert scene.changes() == [("provider", True), ("provider", False)]


@pytest.mark.parametrize(
    ("failing", "idle"), [(REFUSED, ErrorKind.BAD_REQUEST), (REFUSED, TIMEOUT), (TIMEOUT, ErrorKind.BAD_REQUEST)]
)
def test_after_a_probe_that_told_nothing_the_next_call_probes(scene: Scene, failing, idle):
    scene.call(TWO, None)
    scene.call(ONE, *[failing] * 5)
    scene.call(TWO, failing)
    scene.now += 15
    assert scene.call(ONE, idle, None) == 2
    assert scene.circuits.would_admit(ONE)


def test_an_agencys_probe_waits_for_the_providers(scene: Scene):
    scene.call(ONE, *[REFUSED] * 3)
    scene.call(TWO, *[TIMEOUT] * 4)
    scene.circuits.report_leg(ONE, TIMEOUT)
    assert scene.changes() == [("agency", True), ("provider", True)]
    scene.now += 15
    probe = scene.circuits.admit(TWO)
    assert not scene.circuits.would_admit(ONE)
    scene.circuits.report(probe, None)
    assert scene.call(ONE, None, None) == 2


def test_a_new_version_of_the_key_is_asked_at_once_and_the_old_ones_circuit_is_gone(scene: Scene):
    scene.call(ONE, *[REFUSED] * 3)
    renewed = Usage(ONE.agency_id, ONE.provider, 2)
    scene.now += 4
    assert scene.circuits.would_admit(renewed)
    assert scene.call(renewed, REFUSED, None) == 2
    assert [(change.opened, change.usage.key_version, change.seconds) for change in scene.told] == [
        (True, 1, 15),
        (False, 1, 4),
    ]


def test_refusals_of_a_key_that_was_replaced_say_nothing_of_the_new_one(scene: Scene):
    renewed = Usage(ONE.agency_id, ONE.provider, 2)
    old = [scene.circuits.admit(ONE) for _ in range(9)]
    scene.call(renewed, REFUSED)
    for permit in old:
        scene.circuits.report(permit, REFUSED)
    assert scene.call(renewed, REFUSED) == 1
    assert scene.told == []


def test_a_new_key_does_not_open_a_dead_provider(scene: Scene):
    scene.call(ONE, *[TIMEOUT] * 5)
    assert not scene.circuits.would_admit(Usage(ONE.agency_id, ONE.provider, 2))


def test_a_leg_that_failed_counts_like_a_handoff_that_failed(scene: Scene):
    for usage in [ONE, TWO] * 5:
        if scene.call(usage, None):
            scene.circuits.report_leg(usage, ErrorKind.UNREACHABLE)
    assert scene.changes() == [("provider", True)]


DROPPED = ErrorKind.OUT_OF_CREDIT


def test_calls_that_are_taken_on_and_dropped_for_want_of_money_open_the_agencys_circuit(scene: Scene):
    """Every request goes well meanwhile."""
    for _ in range(3):
        assert scene.call(ONE, None) == 1
        scene.circuits.report_leg(ONE, DROPPED)
    assert scene.changes() == [("agency", True)]
    assert scene.call(ONE, None) == 0
    assert scene.call(TWO, None) == 1


def test_after_a_probe_one_more_dropped_call_opens_it_again_and_one_that_goes_well_ends_the_matter(scene: Scene):
    for _ in range(3):
        scene.circuits.report_leg(ONE, DROPPED)
    scene.now += 15
    assert scene.call(ONE, None) == 1
    scene.circuits.report_leg(ONE, DROPPED)
    assert scene.changes() == [("agency", True), ("agency", False), ("agency", True)]
    scene.now += 15
    assert scene.call(ONE, None) == 1
    scene.circuits.report_leg(ONE, None)
    scene.circuits.report_leg(ONE, DROPPED)
    scene.circuits.report_leg(ONE, DROPPED)
    assert scene.call(ONE, None) == 1


def test_dropped_calls_that_are_far_apart_are_not_in_a_row(scene: Scene):
    for _ in range(9):
        scene.circuits.report_leg(ONE, DROPPED)
        scene.now += 601
    assert scene.told == []


def test_a_refused_key_that_is_not_used_any_more_is_forgotten_after_a_day(scene: Scene):
    scene.call(ONE, *[REFUSED] * 3)
    scene.now += 86_401
    scene.call(TWO, REFUSED)
    assert scene.changes() == [("agency", True), ("agency", False)]


def test_memory_of_refused_keys_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(circuit, "_MOST_AGENCIES", 3)
    for number in range(10):
        scene.call(Usage(f"agency_{number}", "vapi", 1), *[REFUSED] * 3)
    still_open = [
        number for number in range(10) if not scene.circuits.would_admit(Usage(f"agency_{number}", "vapi", 1))
    ]
    assert still_open == [7, 8, 9]
    assert scene.changes().count(("agency", True)) - scene.changes().count(("agency", False)) == 3


# The model: everything that ever happened, in lists, judged from the start each time.


@dataclass
class ModelCircuit:
    """When it opened and is to be probed, how often probes have failed, and whose probe is on its way since when."""

    opened: float | None = None
    until: float = 0.0
    failed_probes: int = 0
    probe: tuple[Permit, float] | None = None

    def admits(self, now: float) -> bool:
        if self.opened is None:
            return True
        return now >= self.until and (self.probe is None or now - self.probe[1] >= 60)

    def open_at(self, now: float) -> None:
        self.opened, self.until, self.failed_probes, self.probe = now, now + 15, 0, None

    def fail_probe(self, now: float) -> None:
        self.failed_probes += 1
        self.until, self.probe = now + min(120, 15 * 2**self.failed_probes), None

    def close(self) -> None:
        self.opened = self.probe = None


AGENCIES = st.sampled_from(["agency_1", "agency_2", "agency_3"])
OUTCOMES = st.sampled_from([*ALL, None, TIMEOUT, TIMEOUT, REFUSED, REFUSED])


class AgainstTheModel(RuleBasedStateMachine):
    """Calls come, go and report in any order while time passes and keys are saved."""

    calls: Bundle[Permit] = Bundle("calls")

    @initialize()
    def begin(self) -> None:
        self.scene = Scene()
        self.versions = dict.fromkeys(("agency_1", "agency_2", "agency_3"), 1)
        self.provider = ModelCircuit()
        self.keys: dict[str, ModelCircuit] = {name: ModelCircuit() for name in self.versions}
        self.refusals = dict.fromkeys(self.versions, 0)
        self.dropped: dict[str, list[float]] = {name: [] for name in self.versions}
        self.asked_at: dict[str, float] = {}
        self.outcomes: list[tuple[float, str, bool]] = []
        self.open_now: set[tuple[str, str]] = set()
        self.seen = 0

    @rule(seconds=st.sampled_from([0.5, 5, 14, 16, 31, 61, 125, 700]))
    def time_passes(self, seconds: float) -> None:
        self.scene.now += seconds

    @rule(agency=AGENCIES)
    def key_is_saved(self, agency: str) -> None:
        self.versions[agency] += 1
        self.keys[agency] = ModelCircuit()
        self.refusals[agency], self.dropped[agency] = 0, []

    @rule(target=calls, agency=AGENCIES, count=st.integers(1, 4))
    def calls_come_in(self, agency: str, count: int):
        now, admitted = self.scene.now, []
        usage = Usage(agency, "vapi", self.versions[agency])
        for _ in range(count):
            expected = self.provider.admits(now) and self.keys[agency].admits(now)
            assert self.scene.circuits.would_admit(usage) is expected
            if not expected:
                break
            permit = self.scene.circuits.admit(usage)
            for each in (self.provider, self.keys[agency]):
                if each.opened is not None:
                    each.probe = permit, now
            self.asked_at[agency] = now
            admitted.append(permit)
        return multiple(*admitted)

    @rule(permit=consumes(calls), outcome=OUTCOMES)
    def call_ends(self, permit: Permit, outcome: ErrorKind | None) -> None:
        self.scene.circuits.report(permit, outcome)
        self.judge(permit, outcome)

    @rule(agency=AGENCIES, outcome=st.sampled_from([None, *sorted(REFUSALS | FAILURES)]))
    def leg_ends(self, agency: str, outcome: ErrorKind | None) -> None:
        usage = Usage(agency, "vapi", self.versions[agency])
        self.scene.circuits.report_leg(usage, outcome)
        self.judge(Permit(usage, leg=True), outcome)

    def judge(self, permit: Permit, outcome: ErrorKind | None) -> None:
        if permit.usage.key_version == self.versions[permit.usage.agency_id]:
            self.judge_key(permit, outcome)
        if not permit.leg or outcome is not None:
            self.judge_provider(permit, outcome)

    def judge_key(self, permit: Permit, outcome: ErrorKind | None) -> None:
        now, agency = self.scene.now, permit.usage.agency_id
        key = self.keys[agency]
        if key.opened is None:
            if self.count(permit, outcome) >= 3:
                key.open_at(now)
        elif key.probe and key.probe[0] is permit:
            self.settle(key, now, failed=outcome in REFUSALS, well=outcome is None)
            if key.opened is None:
                self.refusals[agency], self.dropped[agency] = 0, [now for _ in self.dropped[agency][:2]]

    def judge_provider(self, permit: Permit, outcome: ErrorKind | None) -> None:
        now, agency = self.scene.now, permit.usage.agency_id
        if self.provider.opened is None:
            if outcome is not ErrorKind.BAD_REQUEST:
                self.outcomes.append((now, agency, outcome not in FAILURES))
            if outcome in FAILURES and self.is_dead(now):
                self.outcomes.clear()
                self.provider.open_at(now)
        elif self.provider.probe and self.provider.probe[0] is permit:
            self.settle(self.provider, now, failed=outcome in FAILURES, well=outcome is None or outcome in REFUSALS)

    def count(self, permit: Permit, outcome: ErrorKind | None) -> int:
        """Refusals in a row, of requests or of calls that were taken on and dropped."""
        now, agency = self.scene.now, permit.usage.agency_id
        if outcome is None:
            self.refusals[agency] = 0
            self.dropped[agency] = [] if permit.leg else self.dropped[agency]
        elif outcome in REFUSALS and not permit.leg:
            self.refusals[agency] += 1
            return self.refusals[agency]
        elif outcome in REFUSALS:
            stale = bool(self.dropped[agency]) and now - self.dropped[agency][-1] > 600
            self.dropped[agency] = [*([] if stale else self.dropped[agency]), now]
            return len(self.dropped[agency])
        return 0

    @staticmethod
    def settle(circuit: ModelCircuit, now: float, *, failed: bool, well: bool) -> None:
        if well:
            circuit.close()
        elif failed:
            circuit.fail_probe(now)
        else:
            circuit.probe = None

    def is_dead(self, now: float) -> bool:
        lately = [(agency, well) for at, agency, well in self.outcomes if now - at <= 30]
        users = [agency for agency, at in self.asked_at.items() if now - at <= 600]
        failing = {agency for agency, well in lately if not well}
        return sum(not well for _, well in lately[-10:]) >= 5 and (len(failing) > 1 or len(users) <= 1)

    @invariant()
    def told_changes_alternate(self) -> None:
        for change in self.scene.told[self.seen :]:
            name = (change.scope, change.usage.agency_id if change.scope == "agency" else "")
            assert (name in self.open_now) is not change.opened
            (self.open_now.add if change.opened else self.open_now.discard)(name)
        self.seen = len(self.scene.told)
        assert (("provider", "") in self.open_now) is (self.provider.opened is not None)
        # A circuit of a replaced key is told to be closed once the new key is used.
        assert self.names_open(self.keys) <= {name for scope, name in self.open_now if scope == "agency"}

    @staticmethod
    def names_open(keys: dict[str, ModelCircuit]) -> set[str]:
        return {name for name, key in keys.items() if key.opened is not None}

    @invariant()
    def at_most_one_probe_of_each(self) -> None:
        for agency in self.versions:
            usage = Usage(agency, "vapi", self.versions[agency])
            expected = self.provider.admits(self.scene.now) and self.keys[agency].admits(self.scene.now)
            assert self.scene.circuits.would_admit(usage) is expected


TestAgainstTheModel = AgainstTheModel.TestCase
TestAgainstTheModel.settings = settings(stateful_step_count=60)


def test_every_kind_of_failure_has_its_consequences():
    assert set(EFFECTS) == set(ErrorKind)
