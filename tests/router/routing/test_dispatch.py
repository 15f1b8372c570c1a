"""Down the ladder: who is asked, with what, for how long, and what is told about it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import (
    ErrorKind,
    Handoff,
    InboundCall,
    NumberHandoff,
    ProviderError,
    RedirectHandoff,
    StreamHandoff,
)
from crypto import OpenError, Secret
from router.routing.deadline import Deadline
from router.routing.dispatch import Attempt, Dispatcher, Ended, Late, Skipped, Started, Taken, Unreadable
from router.routing.ladder import OWNER, VOICEMAIL
from router.routing.route import Access, Route, Rung, SkipReason
from tests.router.routing.providers import NAMES, FakeProvider, handoff_of, make_access, make_providers, make_route
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

CALL = InboundCall("call_1", "CA1", "agency_1", "client_1", "Acme", "+14155550123", "+15005550001", 900)
AIS = tuple(Rung("ai", name) for name in NAMES)
LADDER = (*AIS, OWNER, VOICEMAIL)
LIVES_ON = 15.0  # seconds for which a request lives on after we gave up on it


class FakeTime:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def open_key(agency_id: str, access: Access) -> Secret:
    return Secret(f"{agency_id}/{access.provider}/{access.sealed_key}")


@dataclass
class Scene:
    """A dispatcher, and all that it told."""

    providers: dict[str, FakeProvider]
    dispatcher: Dispatcher
    route: Route
    time: FakeTime = field(default_factory=FakeTime)
    told: list[Attempt] = field(default_factory=list)

    async def find(self, rungs: tuple[Rung, ...] = LADDER, seconds: float = 9.9) -> Taken:
        deadline = Deadline(seconds, self.time)
        return await self.dispatcher.find_taker(rungs, self.route, CALL, deadline, self.told.append)

    def asked(self) -> list[str]:
        return [attempt.provider for attempt in self.told if isinstance(attempt, Started)]

    def reasons(self) -> list[ErrorKind | None]:
        return [attempt.reason for attempt in self.told if isinstance(attempt, Ended)]

    def skipped(self) -> list[tuple[str, str]]:
        return [(attempt.provider, attempt.reason) for attempt in self.told if isinstance(attempt, Skipped)]

    async def told_of(self, kind: type[Attempt]) -> Attempt:
        await wait_until(lambda: any(isinstance(attempt, kind) for attempt in self.told))
        return next(attempt for attempt in self.told if isinstance(attempt, kind))


def make_scene(
    providers: dict[str, FakeProvider] | None = None,
    *,
    opener: Callable[[str, Access], Secret] = open_key,
    timeout: float = 6.0,
    accesses: tuple[Access, ...] | None = None,
) -> Scene:
    providers = providers or make_providers()
    accesses = tuple(make_access(name) for name in providers) if accesses is None else accesses
    return Scene(providers, Dispatcher(providers, opener, timeout), make_route(*accesses))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = make_scene()
    yield scene
    for provider in scene.providers.values():
        assert len(provider.asked) <= 1, "no provider is asked twice"
    await scene.dispatcher.aclose()


async def test_the_first_handoff_wins_and_no_other_provider_is_asked(scene: Scene):
    taken = await scene.find()
    assert taken == Taken(AIS[0], LADDER[1:], handoff_of("one"))
    assert [len(scene.providers[name].asked) for name in NAMES] == [1, 0, 0]
    assert isinstance(scene.told[0], Started)
    ended = scene.told[1]
    assert isinstance(ended, Ended)
    assert (ended.provider, ended.reason, ended.provider_call_id) == ("one", None, "call-at-one")
    assert len(scene.told) == 2


async def test_a_provider_is_asked_for_this_call_with_the_agencys_own_key(scene: Scene):
    await scene.find()
    ((call, target, key, _),) = scene.providers["one"].asked
    assert (call, target.assistant_id, key) == (CALL, "assistant-one", "agency_1/one/sealed-one")


@pytest.mark.parametrize("kind", ErrorKind)
async def test_whatever_the_first_fails_of_the_next_is_asked(scene: Scene, kind: ErrorKind):
    scene.providers["one"].answer = ProviderError(kind, status=418)
    taken = await scene.find()
    assert (taken.rung.provider, taken.rest) == ("two", LADDER[2:])
    assert scene.reasons() == [kind, None]
    failed = scene.told[1]
    assert isinstance(failed, Ended)
    assert failed.status == 418


async def test_when_all_fail_the_next_person_has_the_call(scene: Scene):
    for provider in scene.providers.values():
        provider.answer = ProviderError(ErrorKind.PROVIDER_ERROR, status=503)
    assert await scene.find() == Taken(OWNER, (VOICEMAIL,))
    assert scene.asked() == list(NAMES)


async def test_a_ladder_of_ais_alone_ends_in_the_voicemail(scene: Scene):
    for provider in scene.providers.values():
        provider.answer = ProviderError(ErrorKind.TIMEOUT)
    assert await scene.find(AIS) == Taken(VOICEMAIL, ())
    assert await make_scene().find(()) == Taken(VOICEMAIL, ())


async def test_a_person_who_comes_first_is_not_preceded_by_an_ai(scene: Scene):
    assert await scene.find((OWNER, *AIS, VOICEMAIL)) == Taken(OWNER, (*AIS, VOICEMAIL))
    assert scene.told == []


@pytest.mark.parametrize("answer", [StreamHandoff((("url", "wss://x"),)), NumberHandoff("+15005550009")])
async def test_every_kind_of_handoff_takes_the_call(scene: Scene, answer):
    scene.providers["one"].answer = answer
    assert (await scene.find()).handoff is answer


@pytest.mark.parametrize("bug", [KeyError("oops"), AttributeError("oops"), ZeroDivisionError(), UnicodeError()])
async def test_a_bug_in_an_adapter_costs_that_adapter_alone(scene: Scene, bug: Exception):
    scene.providers["one"].answer = bug
    assert (await scene.find()).rung.provider == "two"
    failed = scene.told[1]
    assert isinstance(failed, Ended)
    assert (failed.reason, failed.bug) == (ErrorKind.MALFORMED_REPLY, bug)


async def test_an_adapter_that_cancels_its_request_is_not_a_caller_who_hung_up(scene: Scene):
    scene.providers["one"].answer = asyncio.CancelledError()
    assert (await scene.find()).rung.provider == "two"
    assert scene.reasons() == [ErrorKind.UNREACHABLE, None]


outcomes = st.lists(st.sampled_from([*ErrorKind, KeyError("bug"), None]), min_size=len(NAMES), max_size=len(NAMES))


@given(outcomes, st.permutations(LADDER[:-1]))
def test_down_any_ladder_the_first_rung_that_can_takes_the_call(results, above):
    """None of `results` is a handoff; rungs above it were asked once each in order, those below not at all."""
    providers = make_providers()
    for provider, result in zip(providers.values(), results, strict=True):
        if result is not None:
            provider.answer = ProviderError(result) if isinstance(result, ErrorKind) else result
    ladder = (*above, VOICEMAIL)
    takes = {None: True} | {name: result is None for name, result in zip(NAMES, results, strict=True)}
    place = next(index for index, rung in enumerate(ladder) if takes[rung.provider])
    scene = make_scene(providers)
    taken = asyncio.run(scene.find(ladder))
    assert (taken.rung, taken.rest) == (ladder[place], ladder[place + 1 :])
    assert scene.asked() == [rung.provider for rung in ladder[: place + 1] if rung.kind == "ai"]
    assert (taken.handoff is not None) == (taken.rung.kind == "ai")


@pytest.mark.parametrize(
    ("access", "reason"),
    [
        (make_access("one", key=False), SkipReason.NO_KEY),
        (make_access("one", assistant=False), SkipReason.NOT_SYNCED),
    ],
)
async def test_who_cannot_be_asked_is_passed_over_with_the_reason(access: Access, reason: SkipReason):
    scene = make_scene(accesses=(access, make_access("two")))
    assert (await scene.find()).rung.provider == "two"
    assert scene.skipped() == [("one", reason)]
    assert scene.providers["one"].asked == []


async def test_a_provider_that_there_is_not_is_passed_over():
    scene = make_scene()
    assert (await scene.find((Rung("ai", "gone"), *LADDER))).rung.provider == "one"
    assert scene.skipped() == [("gone", SkipReason.NOT_SYNCED)]


async def test_a_key_that_does_not_open_is_said_loudly_and_the_next_provider_asked():
    def opener(agency_id: str, access: Access) -> Secret:
        if access.provider == "one":
            raise OpenError("swapped")
        return open_key(agency_id, access)

    scene = make_scene(opener=opener, accesses=tuple(make_access(name, version=7) for name in NAMES))
    assert (await scene.find()).rung.provider == "two"
    assert scene.told[:2] == [Unreadable("one", 7), Skipped("one", SkipReason.NO_KEY)]
    assert scene.providers["one"].asked == []


async def test_an_address_is_opened_for_the_one_request_and_one_that_does_not_open_skips_its_provider():
    def open_address(route: Route, access: Access) -> Secret:
        if access.provider == "one":
            raise OpenError("moved")
        return Secret(f"{access.target.sealed_address} of {route.number}")

    accesses = tuple(
        replace(make_access(name), target=replace(make_access(name).target, sealed_address=f"sealed by {name}"))
        for name in NAMES
    )
    scene = make_scene(accesses=accesses)
    scene.dispatcher = replace(scene.dispatcher, open_address=open_address)
    assert (await scene.find()).rung.provider == "two"
    assert scene.skipped()[0] == ("one", SkipReason.NO_KEY)
    target = scene.providers["two"].asked[0][1]
    assert target.address == Secret("sealed by two of +15005550001")
    assert not scene.dispatcher.has_readable_key("one", scene.route)
    assert scene.dispatcher.has_readable_key("two", scene.route)


def limits(scene: Scene) -> list[float]:
    """How long each was given, in the order in which they were asked."""
    by_name = {name: provider.asked[0][3] - LIVES_ON for name, provider in scene.providers.items() if provider.asked}
    return [round(by_name[name], 6) for name in scene.asked()]


@pytest.mark.parametrize(
    ("left", "first"),
    [(9.9, 6.0), (7.0, 6.0), (6.5, 5.5), (3.0, 2.0), (1.5, 0.5)],
)
async def test_the_first_leaves_a_second_for_the_next(scene: Scene, left: float, first: float):
    await scene.find(seconds=left)
    assert limits(scene) == [first]


async def test_the_next_ones_have_the_rest(scene: Scene):
    scene.providers["one"].answer = ProviderError(ErrorKind.PROVIDER_ERROR)
    scene.providers["two"].answer = ProviderError(ErrorKind.PROVIDER_ERROR)
    await scene.find(seconds=9.9)
    assert limits(scene) == [6.0, 9.5, 9.5]  # all but what our own reply takes


async def test_the_rest_is_what_is_really_left(scene: Scene):
    class Slow(FakeProvider):
        async def hand_off(self, *arguments):
            scene.time.now += 5.0
            return await super().hand_off(*arguments)

    scene.providers["one"] = Slow("one", ProviderError(ErrorKind.PROVIDER_ERROR))
    scene.dispatcher = Dispatcher(scene.providers, open_key, 6.0)
    await scene.find(seconds=9.0)
    assert limits(scene) == [6.0, 3.6]


async def test_with_less_than_a_second_and_a_half_no_provider_is_asked(scene: Scene):
    assert await scene.find(seconds=1.499) == Taken(OWNER, (VOICEMAIL,))
    assert scene.skipped() == [(name, SkipReason.NO_TIME) for name in NAMES]
    assert all(provider.asked == [] for provider in scene.providers.values())


async def test_after_the_deadline_no_provider_is_asked(scene: Scene):
    assert (await scene.find(seconds=-3)).rung == OWNER


async def test_a_provider_passed_over_leaves_the_first_ones_time_to_the_next():
    scene = make_scene(accesses=(make_access("one", key=False), make_access("two"), make_access("three")))
    scene.providers["two"].answer = ProviderError(ErrorKind.TIMEOUT)
    await scene.find(seconds=9.9)
    assert limits(scene) == [6.0, 9.5]


async def test_a_dead_provider_is_asked_by_the_first_calls_alone_however_many_agencies_use_it():
    providers = make_providers("one", "two")
    providers["one"].answer = ProviderError(ErrorKind.UNREACHABLE)
    dispatcher, told = Dispatcher(providers, open_key, 6.0), list[Attempt]()
    for number in range(500):
        route = make_route(make_access("one"), make_access("two"), agency_id=f"agency_{number % 50}")
        taken = await dispatcher.find_taker(AIS[:2], route, CALL, Deadline(9.9, FakeTime()), told.append)
        assert taken.rung.provider == "two"
    assert len(providers["one"].asked) == 5
    assert [each for each in told if isinstance(each, Skipped)] == [Skipped("one", SkipReason.CIRCUIT_OPEN)] * 495


@pytest.fixture
async def hanging() -> AsyncIterator[Scene]:
    """The first provider does not answer until it is released; nobody waits long for it."""
    providers = make_providers()
    providers["one"].release = asyncio.Event()
    scene = make_scene(providers, timeout=0.02)
    yield scene
    await scene.dispatcher.aclose()


async def test_who_hangs_is_followed_by_the_next(hanging: Scene):
    taken = await hanging.find()
    assert taken.rung.provider == "two"
    assert hanging.reasons() == [ErrorKind.TIMEOUT, None]
    assert hanging.providers["one"].cancelled == 0


async def test_a_late_handoff_is_recorded_and_ended_at_the_provider(hanging: Scene):
    await hanging.find()
    hanging.providers["one"].release.set()
    late = await hanging.told_of(Late)
    assert isinstance(late, Late)
    assert (late.provider, late.ended, late.provider_call_id) == ("one", True, "call-at-one")
    assert hanging.providers["one"].ended == [("call-at-one", "agency_1/one/sealed-one")]


async def test_a_late_handoff_that_cannot_be_ended_is_recorded_too(hanging: Scene):
    hanging.providers["one"].ends_calls = False
    await hanging.find()
    hanging.providers["one"].release.set()
    late = await hanging.told_of(Late)
    assert isinstance(late, Late)
    assert not late.ended
    assert hanging.providers["one"].ended == []


@pytest.mark.parametrize("failure", [ProviderError(ErrorKind.UNREACHABLE), KeyError("bug")])
async def test_a_late_handoff_whose_ending_fails_is_recorded_too(hanging: Scene, failure: Exception):
    hanging.providers["one"].end_fails = failure
    await hanging.find()
    hanging.providers["one"].release.set()
    late = await hanging.told_of(Late)
    assert isinstance(late, Late)
    assert not late.ended


@pytest.mark.parametrize("answer", [NumberHandoff("+15005550009"), RedirectHandoff(Secret("https://canary"))])
async def test_a_late_handoff_without_an_id_cannot_be_ended(hanging: Scene, answer: Handoff):
    hanging.providers["one"].answer = answer
    await hanging.find()
    hanging.providers["one"].release.set()
    late = await hanging.told_of(Late)
    assert isinstance(late, Late)
    assert (late.ended, late.provider_call_id) == (False, None)
    assert "canary" not in repr(hanging.told)


@pytest.mark.parametrize("answer", [ProviderError(ErrorKind.PROVIDER_ERROR), KeyError("bug")])
async def test_a_late_failure_is_no_news(hanging: Scene, answer: Exception):
    hanging.providers["one"].answer = answer
    await hanging.find()
    told = list(hanging.told)
    hanging.providers["one"].release.set()
    await all_let_go(hanging)
    assert hanging.told == told


async def all_let_go(scene: Scene) -> None:
    await wait_until(lambda: not scene.dispatcher._late)


async def test_closing_lets_go_of_late_requests(hanging: Scene):
    await hanging.find()
    assert len(hanging.dispatcher._late) == 1
    await hanging.dispatcher.aclose()
    assert hanging.providers["one"].cancelled == 1
    assert hanging.dispatcher._late == set()
    assert not any(isinstance(attempt, Late) for attempt in hanging.told)


async def test_closing_without_late_requests_does_nothing():
    scene = make_scene()
    await scene.dispatcher.aclose()
    assert scene.told == []


async def test_a_cancelled_caller_cancels_the_request():
    """The whole answer is cut at the deadline: then the request to the provider must not live on."""
    providers = make_providers()
    providers["one"].release = asyncio.Event()
    scene = make_scene(providers)
    finding = asyncio.create_task(scene.find())
    await wait_until(lambda: providers["one"].asked)
    finding.cancel()
    assert isinstance((await asyncio.gather(finding, return_exceptions=True))[0], asyncio.CancelledError)
    await wait_until(lambda: providers["one"].cancelled)
    assert providers["two"].asked == []


async def test_calls_at_once_do_not_wait_for_each_other():
    """Fifty callers wait for a provider that hangs; the others' provider answers all the same."""
    providers = make_providers("one", "two")
    providers["one"].release = asyncio.Event()
    scene = make_scene(providers)
    waiting = [asyncio.create_task(scene.find((AIS[0], VOICEMAIL))) for _ in range(50)]
    await wait_until(lambda: len(providers["one"].asked) == 50)
    assert (await scene.find((AIS[1], VOICEMAIL))).rung.provider == "two"
    assert not any(task.done() for task in waiting)
    providers["one"].release.set()
    assert {taken.rung.provider for taken in await asyncio.gather(*waiting)} == {"one"}


async def test_no_task_is_named_after_a_key(hanging: Scene):
    await hanging.find()
    names = " ".join(task.get_name() for task in asyncio.all_tasks())
    assert "sealed" not in names
    assert "handoff-one" in names


def test_a_deadline_counts_down_on_its_clock():
    clock = FakeTime()
    deadline = Deadline(10, clock)
    steps = itertools.accumulate([4.0, 5.0, 3.0])
    left = []
    for gone in steps:
        clock.now = 1000.0 + gone
        left.append(deadline.left())
    assert left == [6.0, 1.0, -2.0]
